/**
 * The user CA of SSH hosts: an Ed25519 key whose public half hosts trust by one line (TrustedUserCAKeys) and whose private half
 * goes sealed to agents, which certify a key of their own for each session. Refuses other kinds of keys.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { publicKeyBlob, publicKeyLine } from '@sallyport/ssh-certificates';
import { InvalidRequest } from '../http/invalid-request.ts';

/** PKCS #8, PEM. */
export const newSshCa = (): string =>
  generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;

/**
 * The line for hosts. @param secret PKCS #8 PEM
 * @throws InvalidRequest for anything but an Ed25519 key
 */
export function sshCaLine(secret: string, name: string): string {
  const problem = new InvalidRequest([
    { field: 'secret', message: 'the PEM (PKCS #8) of an Ed25519 private key is expected, or none: then one is made' },
  ]);
  let key: KeyObject;
  try {
    key = createPrivateKey(secret);
  } catch {
    // The cause would quote a secret.
    throw problem;
  }
  if (key.asymmetricKeyType !== 'ed25519') throw problem;
  return publicKeyLine('ssh-ed25519', publicKeyBlob(createPublicKey(key)), name);
}
