/**
 * A private CA in front of the control plane: added to what this process trusts, before anything is asked of the network.
 * Refuses a file that holds no certificate. The agents' listeners are not concerned: they are verified by Sallyport's root.
 */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import tls from 'node:tls';
import { CliError } from '../exit-codes.ts';

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/**
 * @param file PEM; undefined = none, and nothing changes
 * @returns its absolute path, so that a profile finds it again from any folder
 * @throws CliError usage
 */
export function trustedCa(file: string | undefined): string | undefined {
  if (file === undefined || file === '') return undefined;
  const resolved = path.resolve(file);
  let found: string[];
  try {
    found = readFileSync(resolved, 'utf8').match(CERTIFICATE) ?? [];
    for (const pem of found) new X509Certificate(pem);
  } catch (cause) {
    throw unusable(file, { cause });
  }
  if (found.length === 0) throw unusable(file);
  tls.setDefaultCACertificates([...new Set([...tls.getCACertificates('default'), ...found])]);
  return resolved;
}

const unusable = (file: string, options?: { readonly cause: unknown }): CliError =>
  new CliError('usage', `The CA file ${file} cannot be used.`, 'It must hold PEM certificates.', options);
