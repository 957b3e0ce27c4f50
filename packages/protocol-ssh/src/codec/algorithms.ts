/**
 * What a connection may be encrypted with, by the names of RFC 4253 and its successors. Refuses SHA-1, CBC and RC4 by name.
 * The agent reads its setting by this before any session: it imports nothing of the protocol.
 */
import { GatewayError } from '@sallyport/core';

/** Names on the wire; the first that both know is taken, as the client orders them. */
export interface Algorithms {
  readonly kex: readonly string[];
  readonly cipher: readonly string[];
  readonly mac: readonly string[];
  readonly hostKey: readonly string[];
}

export const MODERN: Algorithms = {
  kex: ['curve25519-sha256', 'curve25519-sha256@libssh.org'],
  cipher: ['aes128-gcm@openssh.com', 'aes256-gcm@openssh.com', 'chacha20-poly1305@openssh.com'],
  mac: ['hmac-sha2-256-etm@openssh.com', 'hmac-sha2-512-etm@openssh.com'],
  hostKey: [
    'ssh-ed25519',
    'ecdsa-sha2-nistp256',
    'ecdsa-sha2-nistp384',
    'ecdsa-sha2-nistp521',
    'rsa-sha2-512',
    'rsa-sha2-256',
  ],
};
/** What may be chosen besides, by who has old hosts; never SHA-1, CBC, or RC4. */
export const ALSO_KNOWN: Algorithms = {
  kex: [
    'ecdh-sha2-nistp256',
    'ecdh-sha2-nistp384',
    'ecdh-sha2-nistp521',
    'diffie-hellman-group16-sha512',
    'diffie-hellman-group18-sha512',
    'diffie-hellman-group14-sha256',
  ],
  cipher: ['aes256-ctr', 'aes192-ctr', 'aes128-ctr'],
  mac: ['hmac-sha2-512', 'hmac-sha2-256'],
  hostKey: [],
};
/**
 * What clients may choose from, by names of any kind; a kind of which none is named stays as it is.
 * @throws GatewayError `config.invalid` for what is not known here, or a kind of key: the agent's own is Ed25519
 */
export function algorithmsNamed(names: readonly string[]): Algorithms {
  const left = new Set(names);
  const of = (kind: keyof Algorithms): readonly string[] => {
    const known = [...MODERN[kind], ...ALSO_KNOWN[kind]];
    const chosen = names.filter((name) => known.includes(name));
    for (const name of chosen) left.delete(name);
    return chosen.length === 0 ? MODERN[kind] : chosen;
  };
  const named = { kex: of('kex'), cipher: of('cipher'), mac: of('mac'), hostKey: MODERN.hostKey };
  const [unknown] = left;
  if (unknown === undefined) return named;
  const list = (['kex', 'cipher', 'mac'] as const).flatMap((kind) => [...MODERN[kind], ...ALSO_KNOWN[kind]]);
  throw new GatewayError('config.invalid', {
    setting: 'SALLYPORT_SSH_ALGORITHMS',
    reason: `${unknown} is none of ${list.join(', ')}`,
  });
}
