/** The client's side of SCRAM-SHA-256 without channel binding (RFC 5802, RFC 7677), to look past the gateway. */
import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import { frame, int32 } from './frames.ts';

const hmac = (key: Uint8Array, text: string): Buffer => createHmac('sha256', key).update(text).digest();

export interface ScramClient {
  /** SASLInitialResponse. */
  first(): Buffer;
  /** SASLResponse to the server's first message (the body of AuthenticationSASLContinue after its code). */
  final(serverFirst: string): Buffer;
}

export function scramClient(secret: string): ScramClient {
  const nonce = randomBytes(18).toString('base64');
  const bare = `n=,r=${nonce}`;
  return {
    first: () => {
      const message = Buffer.from(`n,,${bare}`);
      return frame('p', Buffer.concat([Buffer.from('SCRAM-SHA-256\0'), int32(message.length), message]));
    },
    final: (serverFirst) => {
      const parts = new Map(serverFirst.split(',').map((part) => [part[0], part.slice(2)] as const));
      const salted = pbkdf2Sync(
        secret,
        Buffer.from(parts.get('s') ?? '', 'base64'),
        Number(parts.get('i')),
        32,
        'sha256',
      );
      const withoutProof = `c=biws,r=${parts.get('r') ?? ''}`;
      const clientKey = hmac(salted, 'Client Key');
      const stored = createHash('sha256').update(clientKey).digest();
      const signature = hmac(stored, `${bare},${serverFirst},${withoutProof}`);
      const proof = Buffer.from(clientKey.map((byte, i) => byte ^ signature[i]!));
      return frame('p', `${withoutProof},p=${proof.toString('base64')}`);
    },
  };
}
