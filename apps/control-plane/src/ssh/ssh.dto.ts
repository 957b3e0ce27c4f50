/** What goes over REST about SSH certificates. Refuses to know keys. */
import { LIMITS } from '@sallyport/core';
import { z } from 'zod';
import { Instant, open, secret } from '../http/schema.ts';

export const CertifyKey = z
  .strictObject({
    publicKey: open(z.string().min(1).max(4_096)).describe('As in a `.pub` file: `<type> <base64>`.'),
    accessToken: secret(z.string().min(1).max(LIMITS.accessTokenBytesMax)).describe(
      'For the SSH resource, asked for at /v1/oauth/token with `cnf_jkt` = the key’s JWK thumbprint (RFC 7638).',
    ),
  })
  .meta({ id: 'CertifyKey' });
export const CertifiedKey = z
  .object({
    certificate: open(z.string()).describe('A line for a `-cert.pub` file.'),
    expiresAt: open(Instant),
  })
  .meta({ id: 'CertifiedKey' });
export const SshAuthorities = z
  .object({
    hosts: open(z.array(z.string())).describe('Public keys that certify agents’ host keys; the last one signs now.'),
    knownHosts: open(z.string()).describe('Lines for a known_hosts file.'),
  })
  .meta({ id: 'SshAuthorities' });
