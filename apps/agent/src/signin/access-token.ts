/**
 * Reads and verifies an access token offline (JWS RFC 7515, JWT RFC 7519, at+jwt RFC 9068): one algorithm, keys from the
 * bundle alone, strict claims. Refuses to say why to a client: the reason is for the record. Pure, but for remembering
 * tokens whose signature was right.
 */
import { hash, type KeyObject, verify } from 'node:crypto';
import { LIMITS, objectOf, oneOf, parseString } from '@sallyport/core';
import { type AccessTokenClaims, parseAccessTokenClaims, type VerificationKey } from '@sallyport/model';

export interface TokenTrust {
  /** The `iss` that is accepted. */
  readonly issuer: string;
  readonly projectId: string;
  /** By kid: the key and when it may be used. */
  key(kid: string): { readonly key: KeyObject; readonly about: VerificationKey } | undefined;
}

export type TokenAnswer =
  | { readonly kind: 'good'; readonly claims: AccessTokenClaims }
  | { readonly kind: 'bad'; readonly why: string };

const parseHeader = objectOf({ alg: oneOf('ES256'), typ: oneOf('at+jwt'), kid: parseString });
/** Clocks may differ by this much, s. */
const SKEW_S = 30;
const PARTS = /^([\w-]+)\.([\w-]+)\.([\w-]+)$/;

const bad = (why: string): TokenAnswer => ({ kind: 'bad', why });
const json = (part: string): unknown => JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));

/** What a token says. */
interface ReadToken {
  readonly kid: string;
  readonly claims: AccessTokenClaims;
}

/** By their digest, tokens that carried a key's signature, and whose: one token opens many connections, and is read once. */
const signed = new Map<string, ReadToken & { readonly key: KeyObject }>();
const SIGNED_MAX = 1_000;

/**
 * @param audience resource id the token must be for
 * @param nowMs UTC ms
 */
export function verifyAccessToken(token: string, trust: TokenTrust, audience: string, nowMs: number): TokenAnswer {
  if (token.length > LIMITS.accessTokenBytesMax) return bad('too long');
  const digest = hash('sha256', token, 'base64url');
  const known = signed.get(digest);
  let read: ReadToken;
  try {
    read = known ?? readToken(token);
  } catch (error) {
    return bad(error instanceof Error ? error.message : 'unreadable');
  }
  const { kid, claims } = read;
  const found = trust.key(kid);
  if (found === undefined) return bad('unknown key');
  if (found.key.asymmetricKeyType !== 'ec') return bad('wrong kind of key');
  // The same skew as for the token's own times: a clock that lags must not refuse a key in its first seconds.
  if (nowMs + SKEW_S * 1000 < found.about.notBefore || nowMs > found.about.notAfter) return bad('key not in force');
  if (found.about.issuer !== claims.iss || claims.iss !== trust.issuer) return bad('wrong issuer');
  if (known?.key !== found.key) {
    if (!isSignedBy(found.key, token)) return bad('wrong signature');
    if (signed.size >= SIGNED_MAX) signed.clear();
    signed.set(digest, { kid, claims, key: found.key });
  }
  const now = nowMs / 1000;
  if (claims.aud !== audience) return bad('for another resource');
  if (claims.prj !== trust.projectId) return bad('for another project');
  if (now >= claims.exp + SKEW_S) return bad('expired');
  if (claims.iat > now + SKEW_S) return bad('from the future');
  if ((claims.exp - claims.iat) * 1000 > LIMITS.accessTokenTtlMsMax) return bad('lives too long');
  return { kind: 'good', claims };
}

/** @throws Error that says what is wrong with it */
function readToken(token: string): ReadToken {
  const parts = PARTS.exec(token);
  if (parts === null) throw new Error('not a token');
  const { kid } = parseHeader(json(parts[1] as string), 'header');
  return { kid, claims: parseAccessTokenClaims(json(parts[2] as string), 'claims') };
}

/** The signature alone: what a token says is judged each time. */
function isSignedBy(key: KeyObject, token: string): boolean {
  const end = token.lastIndexOf('.');
  const given = Buffer.from(token.slice(end + 1), 'base64url');
  return verify('sha256', Buffer.from(token.slice(0, end)), { key, dsaEncoding: 'ieee-p1363' }, given);
}
