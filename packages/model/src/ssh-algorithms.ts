/**
 * What a connection of SSH may be encrypted with, by the names of RFC 4253 and its successors: what this version ships, and what
 * may be chosen besides. Refuses SHA-1, CBC and RC4 by leaving them out.
 */

export const SSH_MODERN = {
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
} as const;
/** What may be chosen besides, by who has old hosts; never SHA-1, CBC, or RC4. */
export const SSH_ALSO_KNOWN = {
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
} as const;
