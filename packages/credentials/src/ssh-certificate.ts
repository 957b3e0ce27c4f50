/**
 * A user certificate of OpenSSH as a store gives it, and the check that it is the one that was asked for: this key, these
 * accounts and no others, no longer than asked. Refuses host certificates and what it cannot read. Whom the authority may
 * sign for is for the server to know: here its signature has only to hold.
 */
import { parseCertificate, parsePublicKeyLine, type SshCertificate, signatureHolds } from '@sallyport/ssh-certificates';
import { unavailable } from './source.ts';

/** What a session needs signed. */
export interface SshCertificateAsk {
  /** One line as of a .pub file: `ssh-ed25519 AAAA…`. */
  readonly publicKey: string;
  /** Accounts at the server; at least one. */
  readonly principals: readonly string[];
  readonly ttlMs: number;
}

export interface IssuedSshCertificate {
  /** One line as of a -cert.pub file, without a comment. */
  readonly line: string;
  readonly certificate: SshCertificate;
  /** UTC ms. */
  readonly expiresAtMs: number;
}

/** Servers' clocks and a store's: certificates begin a little before now. */
const SKEW_MS = 5 * 60_000;

/** @throws GatewayError `credential.unavailable` when it is for another key, more accounts, or longer than asked */
export function takeSshCertificate(
  kind: string,
  text: string,
  wanted: SshCertificateAsk,
  nowMs: number,
): IssuedSshCertificate {
  const [type = '', base64 = ''] = text.trim().split(/\s+/);
  const { certificate, key } = read(kind, base64, wanted.publicKey);
  if (!type.startsWith(`${certificate.type}-cert-`))
    throw unavailable(kind, 'the type before the certificate is not its own');
  if (!certificate.publicKey.blob.equals(key))
    throw unavailable(kind, 'the store signed another key than the session’s');
  if (certificate.kind !== 'user' || !signatureHolds(certificate.ca, certificate.signed, certificate.signature))
    throw unavailable(kind, 'what the store signed is no user’s certificate');
  // No principals at all would mean every account.
  const { principals } = certificate;
  const same =
    principals.length > 0 &&
    principals.every((name) => wanted.principals.includes(name)) &&
    wanted.principals.every((name) => principals.includes(name));
  if (!same) throw unavailable(kind, 'the certificate is for other accounts than asked');
  const expiresAtMs = Number(certificate.validBefore) * 1000;
  const tooEarly = Number(certificate.validAfter) * 1000 > nowMs + SKEW_MS;
  if (tooEarly || expiresAtMs <= nowMs || expiresAtMs > nowMs + wanted.ttlMs + SKEW_MS)
    throw unavailable(kind, 'the certificate is not for the time asked');
  return { line: `${type} ${base64}`, certificate, expiresAtMs };
}

function read(kind: string, base64: string, publicKey: string): { certificate: SshCertificate; key: Buffer } {
  try {
    return {
      certificate: parseCertificate(Buffer.from(base64, 'base64')),
      key: parsePublicKeyLine(publicKey).blob,
    };
  } catch (cause) {
    throw unavailable(kind, 'what the store signed is no SSH user certificate', cause);
  }
}
