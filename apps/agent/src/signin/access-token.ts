/**
 * Reads and verifies an access token offline (JWS RFC 7515, JWT RFC 7519, at+jwt RFC 9068): one algorithm, keys from the
 * bundle alone, strict claims. Refuses to say why to a client: the reason is for the record. Pure, but for remembering signatures that were right.
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

/**
 * @param audience resource id the token must be for
 * @param nowMs UTC ms
 */
export function verifyAccessToken(token: string, trust: TokenTrust, audience: string, nowMs: number): TokenAnswer {
  if (token.length > LIMITS.accessTokenBytesMax) return bad('too long');
  const parts = PARTS.exec(token);
  if (parts === null) return bad('not a token');
  const [, headerPart, claimsPart, signaturePart] = parts as unknown as [string, string, string, string];
  let header: ReturnType<typeof parseHeader>;
  let claims: AccessTokenClaims;
  try {
    header = parseHeader(json(headerPart), 'header');
    claims = parseAccessTokenClaims(json(claimsPart), 'claims');
  } catch (error) {
    return bad(error instanceof Error ? error.message : 'unreadable');
  }
  const found = trust.key(header.kid);
  if (found === undefined) return bad('unknown key');
  if (found.key.asymmetricKeyType !== 'ec') return bad('wrong kind of key');
  // The same skew as for the token's own times: a clock that lags must not refuse a key in its first seconds.
  if (nowMs + SKEW_S * 1000 < found.about.notBefore || nowMs > found.about.notAfter) return bad('key not in force');
  if (found.about.issuer !== claims.iss || claims.iss !== trust.issuer) return bad('wrong issuer');
  if (!isSignedBy(found.key, token, `${headerPart}.${claimsPart}`, signaturePart)) return bad('wrong signature');
  const now = nowMs / 1000;
  if (claims.aud !== audience) return bad('for another resource');
  if (claims.prj !== trust.projectId) return bad('for another project');
  if (now >= claims.exp + SKEW_S) return bad('expired');
  if (claims.iat > now + SKEW_S) return bad('from the future');
  if ((claims.exp - claims.iat) * 1000 > LIMITS.accessTokenTtlMsMax) return bad('lives too long');
  return { kind: 'good', claims };
}

/** Digests of tokens by the key whose signature they were found to carry: one token opens many connections. */
const signedBy = new WeakMap<KeyObject, Set<string>>();
const SIGNED_MAX = 1_000;

/** The signature alone: what a token says is judged each time. */
function isSignedBy(key: KeyObject, token: string, signed: string, signature: string): boolean {
  const digest = hash('sha256', token, 'base64url');
  const known = signedBy.get(key) ?? new Set();
  if (known.has(digest)) return true;
  const given = Buffer.from(signature, 'base64url');
  if (!verify('sha256', Buffer.from(signed), { key, dsaEncoding: 'ieee-p1363' }, given)) return false;
  if (known.size >= SIGNED_MAX) known.clear();
  signedBy.set(key, known.add(digest));
  return true;
}
