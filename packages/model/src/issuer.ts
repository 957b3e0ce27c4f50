/**
 * An issuer whose own tokens open sessions at an agent: a trust rule as a bundle carries it, and what is asked of such a
 * token beside its signature. The control plane's exchange asks the same, by the same functions. ADR 0028.
 * Refuses to know signatures and who may sign in; the clock is an argument. RFC 7519 section 4.1, SPIFFE JWT-SVID section 3.
 */
import { LIMITS, listOf, objectOf, oneOf, optional, parseInteger, parseString, recordOf } from '@sallyport/core';
import { type Claims, type Conditions, failedCondition, type Mapped, mapPrincipal } from './claims.ts';

/** A public key (JWK) that signs: RSA from 2048 bits, P-256 to P-521, Ed25519. */
const parseIssuerKey = objectOf({
  kty: oneOf('RSA', 'EC', 'OKP'),
  crv: optional(parseString),
  x: optional(parseString),
  y: optional(parseString),
  n: optional(parseString),
  e: optional(parseString),
  kid: optional(parseString),
  alg: optional(parseString),
  use: optional(oneOf('sig')),
});
export type IssuerKey = ReturnType<typeof parseIssuerKey>;

export const parseTrustedIssuer = objectOf({
  /** Of the trust rule. */
  id: parseString,
  projectId: parseString,
  name: parseString,
  /** `svid`: goes by its subject's trust domain, since `iss` and `iat` are optional there. */
  kind: oneOf('jwt', 'svid'),
  issuer: parseString,
  audiences: listOf(parseString, 10),
  /** Longest life of a token, and longest time since it was issued, s. */
  maxAgeS: parseInteger,
  claims: recordOf(listOf(parseString, 50)),
  /** Name of the principal; `{claim}` puts a claim in. */
  principal: parseString,
  /** Whom the values of the template's claims make, by these values as JSON; '' for a plain name. */
  principals: listOf(
    objectOf({ subject: parseString, id: parseString, name: parseString, kind: oneOf('service', 'ai_agent') }),
    LIMITS.issuerPrincipalsMax,
  ),
  keys: listOf(parseIssuerKey, 50),
});
export type TrustedIssuer = ReturnType<typeof parseTrustedIssuer>;

/** A cluster's or CI system's token is a few KiB; a longer text is not read. */
export const ISSUED_TOKEN_BYTES_MAX = 16 * 1024;
/** Clocks may differ by this much, s. */
export const ISSUED_SKEW_S = 30;
const TYPES: ReadonlySet<unknown> = new Set(['jwt', 'at+jwt', 'jose', 'application/at+jwt']);

/** Asymmetric ones alone: `none` and HMAC (with a public key as its secret) are not among them. */
export const ISSUED_ALGORITHMS: readonly string[] = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
];

/** `typ` of a header; absent is good. A logout token is no proof of who one is. */
export const isIssuedType = (typ: unknown): boolean =>
  typ === undefined || (typeof typ === 'string' && TYPES.has(typ.toLowerCase()));

/** `spiffe://example.org/ns/x` → `spiffe://example.org` (SPIFFE-ID section 2). */
export function trustDomainOf(subject: string): string | undefined {
  return /^(spiffe:\/\/[a-z0-9._-]{1,255})\/[A-Za-z0-9._/-]{1,1800}$/.exec(subject)?.[1];
}

/** What is expected of a token; a TrustedIssuer is one. */
export type ExpectedIssue = Pick<TrustedIssuer, 'kind' | 'issuer' | 'audiences' | 'maxAgeS'> & {
  readonly claims: Conditions;
};

const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);

/** @param nowMs UTC ms @returns what is wrong with a token's claims, for the log and the preview; undefined = nothing */
export function wrongClaim(payload: Claims, expected: ExpectedIssue, nowMs: number): string | undefined {
  const { iss, sub, aud, exp, nbf, iat } = payload;
  const now = nowMs / 1000;
  const isSvid = expected.kind === 'svid';
  if (!isSvid && iss !== expected.issuer) return 'another issuer';
  if (typeof sub !== 'string' || sub === '') return 'no subject';
  if (isSvid && trustDomainOf(sub) !== expected.issuer) return 'another trust domain';
  const audiences = typeof aud === 'string' ? [aud] : Array.isArray(aud) ? (aud as unknown[]) : [];
  if (!audiences.some((one) => expected.audiences.includes(one as string))) return 'unexpected "aud" claim value';
  if (!isNumber(exp)) return 'no expiry';
  if (now >= exp + ISSUED_SKEW_S) return 'expired';
  if (nbf !== undefined && !(isNumber(nbf) && nbf <= now + ISSUED_SKEW_S)) return 'not valid yet';
  if (iat === undefined ? !isSvid : !isNumber(iat)) return 'not said when it was issued';
  const issuedAt = (iat as number | undefined) ?? now;
  if (issuedAt > now + ISSUED_SKEW_S) return 'issued in the future';
  if (now - issuedAt > expected.maxAgeS + ISSUED_SKEW_S) return 'issued too long ago';
  if (exp - issuedAt > expected.maxAgeS + ISSUED_SKEW_S) return 'it lives too long';
  // RFC 8693 section 4.1: a token of a delegation already has somebody behind it. One level, and it is ours to make.
  if (payload['act'] !== undefined || payload['may_act'] !== undefined) return 'it acts for somebody already';
  // RFC 7800: bound to a key of its holder, which nobody has proven here. As a bearer token it is worth nothing.
  if (payload['cnf'] !== undefined) return 'it is bound to a key';
  // OpenID Connect Core section 3.1.3.7: among several audiences `azp` says whose token it is.
  if (audiences.length > 1 && payload['azp'] !== undefined && expected.claims['azp'] === undefined)
    return 'for several audiences, and the rule does not say whose (azp)';
  const failed = failedCondition(payload, expected.claims);
  return failed === undefined ? undefined : `the claim ${failed} is not as the rule says`;
}

/** Whose token it claims to be, to find rules by. Proves nothing. */
export function claimedIssuers({ iss, sub }: Claims): readonly string[] {
  const domain = typeof sub === 'string' ? trustDomainOf(sub) : undefined;
  return [typeof iss === 'string' ? iss : undefined, domain].flatMap((one) => one ?? []);
}

export type IssuedPrincipal = TrustedIssuer['principals'][number];

/**
 * Whom a token makes by one rule whose claims hold.
 * @returns the mapped name, and the principal where the bundle knows one; undefined when a claim of the name is missing
 */
export function issuedPrincipal(
  rule: TrustedIssuer,
  payload: Claims,
): (Mapped & { readonly principal: IssuedPrincipal | undefined }) | undefined {
  const mapped = mapPrincipal(rule.principal, payload);
  if (mapped === undefined) return undefined;
  return { ...mapped, principal: rule.principals.find(({ subject }) => subject === mapped.subject) };
}
