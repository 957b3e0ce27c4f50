/**
 * Where ssh finds what Sallyport keeps for it: one key and its certificate per resource, and whom to believe about agents.
 * Beside the configuration, 0700; a profile has a folder of its own. Refuses to know how a certificate is got.
 */
import { generateKeyPairSync } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import {
  opensshPrivateKey,
  parseCertificate,
  parsePublicKeyLine,
  publicKeyBlob,
  publicKeyLine,
  type SshPublicKey,
} from '@sallyport/ssh-certificates';
import { readPrivateFile, writePrivateFile } from '../config/private-file.ts';
import { configFile } from '../config/profiles.ts';

/** A certificate with less life than this is renewed: signing in to a busy host takes its time. */
const RENEW_BEFORE_S = 30n;

export interface KeyFiles {
  /** Private key; its public half is beside it with `.pub`, the certificate with `-cert.pub`. */
  readonly key: string;
  readonly certificate: string;
  readonly knownHosts: string;
}

/** @param profile of whoever signs in, or the demo principal's name */
export function keyFolder(env: Readonly<Record<string, string | undefined>>, profile: string): string {
  const safe = /^[A-Za-z0-9._-]{1,80}$/.test(profile) && !profile.startsWith('.');
  const name = safe ? profile : `p-${Buffer.from(profile).toString('hex').slice(0, 80)}`;
  return path.join(path.dirname(configFile(env)), 'ssh', name);
}

/** @param resource a DNS label, so that it is a file name too */
export const keyFiles = (folder: string, resource: string): KeyFiles => ({
  key: path.join(folder, resource),
  certificate: path.join(folder, `${resource}-cert.pub`),
  knownHosts: path.join(folder, 'known_hosts'),
});

/** The key of a resource, made at its first use. @throws CliError when others can read it */
export function ensureKey(files: KeyFiles): SshPublicKey {
  const publicFile = `${files.key}.pub`;
  if (readPrivateFile(files.key) !== undefined && existsSync(publicFile))
    return parsePublicKeyLine(readFileSync(publicFile, 'utf8'));
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const comment = `${path.basename(files.key)}@sallyport`;
  const line = publicKeyLine('ssh-ed25519', publicKeyBlob(publicKey), comment);
  writePrivateFile(files.key, opensshPrivateKey(privateKey, comment));
  writePrivateFile(publicFile, `${line}\n`);
  return parsePublicKeyLine(line);
}

/** Whether the certificate on the disk is of this key and still good for a sign-in. */
export function isCertified({ certificate }: KeyFiles, key: SshPublicKey, nowMs: number): boolean {
  if (!existsSync(certificate)) return false;
  try {
    const [, base64 = ''] = readFileSync(certificate, 'utf8').split(' ');
    const { publicKey, validBefore } = parseCertificate(Buffer.from(base64, 'base64'));
    return publicKey.blob.equals(key.blob) && validBefore - RENEW_BEFORE_S > BigInt(Math.floor(nowMs / 1000));
  } catch {
    // What cannot be read is made anew.
    return false;
  }
}
