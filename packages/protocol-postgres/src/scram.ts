/**
 * SCRAM-SHA-256 and SCRAM-SHA-256-PLUS as a client (RFC 5802, RFC 7677), with tls-server-end-point binding (RFC 5929).
 * Refuses to finish without the server's signature: a server that cannot show it knows the password gets nothing more.
 * Limits: at most 1,000,000 iterations, since the server chooses the number and we pay for it; on another thread, so that
 * no other session waits for them.
 */
import { createHash, createHmac, pbkdf2, pbkdf2Sync, timingSafeEqual, X509Certificate } from 'node:crypto';
import { promisify } from 'node:util';
import { GatewayError } from '@sallyport/core';

const ITERATIONS_MAX = 1_000_000;
const saltedPassword = promisify(pbkdf2);

/** `bound`: with the certificate's hash; `unused`: we could, the server offers no PLUS; `none`: no TLS. */
export type ChannelBinding =
  | { readonly kind: 'bound'; readonly certificate: Buffer }
  | { readonly kind: 'unused' }
  | { readonly kind: 'none' };

export interface ScramExchange {
  readonly mechanism: 'SCRAM-SHA-256' | 'SCRAM-SHA-256-PLUS';
  readonly clientFirst: string;
  /** Rejects with GatewayError `upstream.auth`, `upstream.protocol`. */
  clientFinal(serverFirst: string): Promise<string>;
  /** @throws GatewayError `upstream.auth` when the server did not prove itself */
  verify(serverFinal: string): void;
}

/** @param nonce at least 18 random bytes */
export function startScram(password: string, binding: ChannelBinding, nonce: Uint8Array): ScramExchange {
  const header = binding.kind === 'bound' ? 'p=tls-server-end-point,,' : binding.kind === 'unused' ? 'y,,' : 'n,,';
  const clientNonce = Buffer.from(nonce).toString('base64');
  const clientFirstBare = `n=,r=${clientNonce}`;
  let serverSignature: Buffer | undefined;
  return {
    mechanism: binding.kind === 'bound' ? 'SCRAM-SHA-256-PLUS' : 'SCRAM-SHA-256',
    clientFirst: header + clientFirstBare,
    async clientFinal(serverFirst) {
      const { nonce: serverNonce, salt, iterations } = parseServerFirst(serverFirst);
      if (!serverNonce.startsWith(clientNonce) || serverNonce.length === clientNonce.length) {
        throw new GatewayError('upstream.auth', { why: 'nonce' });
      }
      const channel = Buffer.concat([
        Buffer.from(header),
        binding.kind === 'bound' ? endPointHash(binding.certificate) : Buffer.alloc(0),
      ]).toString('base64');
      const withoutProof = `c=${channel},r=${serverNonce}`;
      const authMessage = `${clientFirstBare},${serverFirst},${withoutProof}`;
      const salted = await saltedPassword(normalise(password), salt, iterations, 32, 'sha256');
      const clientKey = hmac(salted, 'Client Key');
      const signature = hmac(createHash('sha256').update(clientKey).digest(), authMessage);
      const proof = Buffer.from(clientKey.map((byte, i) => byte ^ signature[i]!));
      serverSignature = hmac(hmac(salted, 'Server Key'), authMessage);
      return `${withoutProof},p=${proof.toString('base64')}`;
    },
    verify(serverFinal) {
      const value = /^v=([A-Za-z0-9+/=]+)$/.exec(serverFinal)?.[1];
      const given = Buffer.from(value ?? '', 'base64');
      if (serverSignature === undefined || given.length !== 32 || !timingSafeEqual(given, serverSignature)) {
        throw new GatewayError('upstream.auth', { why: 'server signature' });
      }
    },
  };
}

/** Iterations of the verifiers we make: PostgreSQL's own default. */
const VERIFIER_ITERATIONS = 4_096;

/**
 * What a server stores for a password (`rolpassword`), made here so that the server and its log never see the password.
 * @param salt 16 random bytes
 */
export function scramVerifier(password: string, salt: Uint8Array): string {
  const salted = pbkdf2Sync(normalise(password), salt, VERIFIER_ITERATIONS, 32, 'sha256');
  const storedKey = createHash('sha256').update(hmac(salted, 'Client Key')).digest('base64');
  const serverKey = hmac(salted, 'Server Key').toString('base64');
  return `SCRAM-SHA-256$${VERIFIER_ITERATIONS}:${Buffer.from(salt).toString('base64')}$${storedKey}:${serverKey}`;
}

const hmac = (key: Uint8Array, text: string): Buffer => createHmac('sha256', key).update(text).digest();

function parseServerFirst(text: string): {
  readonly nonce: string;
  readonly salt: Buffer;
  readonly iterations: number;
} {
  const match = /^r=([\x21-\x2b\x2d-\x7e]+),s=([A-Za-z0-9+/=]+),i=([1-9][0-9]{0,9})$/.exec(text);
  if (match === null) throw new GatewayError('upstream.protocol', { message: 'SCRAM server-first' });
  const iterations = Number(match[3]);
  if (iterations > ITERATIONS_MAX) throw new GatewayError('upstream.protocol', { iterations });
  return { nonce: match[1]!, salt: Buffer.from(match[2]!, 'base64'), iterations };
}

/** SASLprep (RFC 4013) for what passwords hold in practice: ASCII as it is, else spaces mapped and NFKC. */
const normalise = (password: string): string =>
  /^[\x20-\x7e]*$/.test(password)
    ? password
    : password
        .replaceAll(/[\u00A0\u1680\u2000-\u200B\u202F\u205F\u3000]/g, ' ')
        .replaceAll('\u00AD', '')
        .normalize('NFKC');

/** RFC 5929 section 4.1: the certificate's own signature hash, but SHA-256 for MD5 and SHA-1. */
function endPointHash(certificate: Buffer): Buffer {
  const algorithm = new X509Certificate(certificate).signatureAlgorithm ?? '';
  const name = /sha(256|384|512)/i.exec(algorithm)?.[1];
  if (name === undefined && !/md5|sha1/i.test(algorithm)) {
    // Ed25519 and the like have no hash of their own: RFC 5929 leaves the binding undefined.
    throw new GatewayError('upstream.auth', { why: 'channel binding', algorithm });
  }
  return createHash(`sha${name ?? '256'}`)
    .update(certificate)
    .digest();
}
