/**
 * The text an operator pastes on the agent's host: where to enrol, which root to trust, and a secret that works once.
 * `spj1.` + base64url of JSON {e: endpoints, f: base64url SHA-256 of the root's DER, s: secret}. ADR 0005.
 * Refuses to be kept: only the secret's hash is stored.
 */
import { hash, randomBytes, X509Certificate } from 'node:crypto';

const PREFIX = 'spj1.';

export interface JoinToken {
  readonly endpoints: readonly string[];
  readonly rootFingerprint: string;
  readonly secret: string;
}

export const newJoinSecret = (): string => randomBytes(32).toString('base64url');
export const joinSecretHash = (secret: string): Uint8Array<ArrayBuffer> =>
  new Uint8Array(hash('sha256', secret, 'buffer'));

/** @param root PEM */
export function encodeJoinToken(endpoints: readonly string[], root: string, secret: string): string {
  const fingerprint = hash('sha256', new X509Certificate(root).raw, 'buffer').toString('base64url');
  return `${PREFIX}${Buffer.from(JSON.stringify({ e: endpoints, f: fingerprint, s: secret })).toString('base64url')}`;
}

/** The secret of a whole token, or of a bare one. Undefined for anything else. */
export function joinSecretOf(token: string): string | undefined {
  if (!token.startsWith(PREFIX)) return /^[\w-]{43}$/.test(token) ? token : undefined;
  try {
    const value = JSON.parse(Buffer.from(token.slice(PREFIX.length), 'base64url').toString()) as { s?: unknown };
    return typeof value.s === 'string' ? value.s : undefined;
  } catch {
    // Not JSON: not a token of ours, which the caller refuses like any wrong one.
    return undefined;
  }
}
