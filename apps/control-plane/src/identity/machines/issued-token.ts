/**
 * Reads and verifies a JWT that somebody else issued: one fixed list of asymmetric algorithms, keys from the rule alone
 * (what the token says of keys, `jwk`, `jku`, `x5c`, `x5u`, is not looked at), then the claims as agents ask for them too
 * (packages/model/src/issuer.ts). Refuses to know principals. The clock is an argument.
 */
import {
  claimedIssuers,
  type ExpectedIssue,
  ISSUED_ALGORITHMS,
  ISSUED_SKEW_S,
  ISSUED_TOKEN_BYTES_MAX,
  isIssuedType,
  wrongClaim,
} from '@sallyport/model';
import { decodeJwt, decodeProtectedHeader, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose';

export interface UnverifiedOrigin {
  /** The issuer, or the trust domain of a SPIFFE subject. */
  readonly issuers: readonly string[];
}

/** Whose token it claims to be, to find rules by; undefined for what is no signed JWT. Proves nothing. */
export function claimedOrigin(token: string): UnverifiedOrigin | undefined {
  if (token.length > ISSUED_TOKEN_BYTES_MAX || !/^[\w-]+\.[\w-]+\.[\w-]+$/.test(token)) return undefined;
  try {
    if (!isIssuedType(decodeProtectedHeader(token).typ)) return undefined;
    const issuers = claimedIssuers(decodeJwt(token));
    return issuers.length === 0 ? undefined : { issuers };
  } catch {
    // Whatever cannot be read is no token: the caller's answer is the same for all of them.
    return undefined;
  }
}

/**
 * @throws Error that says why, for the log and the preview; never for whoever sent the token
 */
export async function verifyIssued(
  token: string,
  expected: ExpectedIssue,
  keys: JWTVerifyGetKey,
  nowMs: number,
): Promise<JWTPayload & { readonly exp: number }> {
  const { payload } = await jwtVerify(token, keys, {
    algorithms: [...ISSUED_ALGORITHMS],
    clockTolerance: ISSUED_SKEW_S,
    currentDate: new Date(nowMs),
  });
  const wrong = wrongClaim(payload, expected, nowMs);
  if (wrong !== undefined) throw new Error(wrong);
  return { ...payload, exp: payload.exp! };
}
