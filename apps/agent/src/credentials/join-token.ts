/**
 * Reads a join token: where to enrol, which root to trust, and a secret that works once.
 * `spj1.` + base64url of JSON {e: endpoints, f: base64url SHA-256 of the root's DER, s: secret}. docs/adr/0005.
 */
import { GatewayError, listOf, objectOf, parseString, type Secret } from '@sallyport/core';

const PREFIX = 'spj1.';
const parseJoinToken = objectOf({ e: listOf(parseString, 20), f: parseString, s: parseString });

export interface JoinToken {
  /** The whole token, as it is sent: only to a server that chains to the root below. */
  readonly text: string;
  /** `host:port` of enrolment endpoints, tried in turn. */
  readonly endpoints: readonly string[];
  /** SHA-256 of the root certificate's DER. */
  readonly rootFingerprint: Buffer;
}

/** @throws GatewayError `enroll.failed` for what is not a join token */
export function readJoinToken(token: Secret<string>): JoinToken {
  const text = token.reveal();
  try {
    if (!text.startsWith(PREFIX)) throw new Error('not a join token');
    const parts = parseJoinToken(
      JSON.parse(Buffer.from(text.slice(PREFIX.length), 'base64url').toString('utf8')),
      'token',
    );
    return { text, endpoints: parts.e, rootFingerprint: Buffer.from(parts.f, 'base64url') };
  } catch (cause) {
    throw new GatewayError('enroll.failed', { reason: 'token' }, { cause });
  }
}
