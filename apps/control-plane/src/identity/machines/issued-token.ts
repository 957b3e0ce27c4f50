/**
 * Reads and verifies a JWT that somebody else issued: one fixed list of asymmetric algorithms, keys from the rule alone
 * (what the token says of keys, `jwk`, `jku`, `x5c`, `x5u`, is not looked at), issuer, audience and times.
 * Refuses to know rules' conditions and principals. The clock is an argument.
 */
import { decodeJwt, decodeProtectedHeader, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose';
import { ALGORITHMS } from './public-keys.ts';

/** A cluster's or CI system's token is a few KiB; a longer text is not read. */
export const ISSUED_TOKEN_BYTES_MAX = 16 * 1024;
/** Clocks may differ by this much, s. */
export const SKEW_S = 30;
const TYPES: ReadonlySet<string> = new Set(['jwt', 'at+jwt', 'jose', 'application/at+jwt']);

export interface UnverifiedOrigin {
  /** The issuer, or the trust domain of a SPIFFE subject. */
  readonly issuers: readonly string[];
}

/** Whose token it claims to be, to find rules by; undefined for what is no signed JWT. Proves nothing. */
export function claimedOrigin(token: string): UnverifiedOrigin | undefined {
  if (token.length > ISSUED_TOKEN_BYTES_MAX || !/^[\w-]+\.[\w-]+\.[\w-]+$/.test(token)) return undefined;
  try {
    const { typ } = decodeProtectedHeader(token);
    if (typ !== undefined && !TYPES.has(String(typ).toLowerCase())) return undefined;
    const { iss, sub } = decodeJwt(token);
    const domain = typeof sub === 'string' ? trustDomainOf(sub) : undefined;
    const issuers = [typeof iss === 'string' ? iss : undefined, domain].flatMap((one) => one ?? []);
    return issuers.length === 0 ? undefined : { issuers };
  } catch {
    // Whatever cannot be read is no token: the caller's answer is the same for all of them.
    return undefined;
  }
}

/** `spiffe://example.org/ns/x` → `spiffe://example.org` (SPIFFE-ID section 2). */
export function trustDomainOf(subject: string): string | undefined {
  return /^(spiffe:\/\/[a-z0-9._-]{1,255})\/[A-Za-z0-9._/-]{1,1800}$/.exec(subject)?.[1];
}

export interface Expected {
  readonly issuer: string;
  readonly isSpiffe: boolean;
  readonly audiences: readonly string[];
  /** Longest life of a token, and longest time since it was issued, s. */
  readonly maxAgeS: number;
}

/**
 * @throws Error that says why, for the log and the preview; never for whoever sent the token
 */
export async function verifyIssued(
  token: string,
  expected: Expected,
  keys: JWTVerifyGetKey,
  nowMs: number,
): Promise<JWTPayload> {
  const { payload } = await jwtVerify(token, keys, {
    algorithms: [...ALGORITHMS],
    // A JWT-SVID need not name its issuer: its subject's trust domain is checked below.
    ...(expected.isSpiffe ? {} : { issuer: expected.issuer }),
    audience: [...expected.audiences],
    clockTolerance: SKEW_S,
    currentDate: new Date(nowMs),
    requiredClaims: ['sub', 'aud', 'exp', ...(expected.isSpiffe ? [] : ['iat'])],
  });
  const now = nowMs / 1000;
  if (payload.iat !== undefined && payload.iat > now + SKEW_S) throw new Error('issued in the future');
  const issuedAt = payload.iat ?? now;
  if (now - issuedAt > expected.maxAgeS + SKEW_S) throw new Error('issued too long ago');
  if (payload.exp! - issuedAt > expected.maxAgeS + SKEW_S) throw new Error('it lives too long');
  if (expected.isSpiffe && trustDomainOf(payload.sub!) !== expected.issuer) throw new Error('another trust domain');
  // RFC 8693 section 4.1: a token of a delegation already has somebody behind it. One level, and it is ours to make.
  if (payload['act'] !== undefined || payload['may_act'] !== undefined) throw new Error('it acts for somebody already');
  return payload;
}
