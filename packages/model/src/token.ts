/**
 * Claims of an access token: a JWT (ES256, `typ: at+jwt`, RFC 9068) that opens sessions on one resource for minutes.
 * Under 1,000 bytes in all, since OpenSSH cuts a password at 1,023. docs/adr/0004 fixes the claims; a golden file pins them.
 */
import { listOf, objectOf, oneOf, optional, parseInteger, parseString } from '@sallyport/core';
import { PRINCIPAL_KINDS } from './principal.ts';

export const parseAccessTokenClaims = objectOf({
  iss: parseString,
  /** The resource's id (UUID text). */
  aud: parseString,
  /** Principal id that acts. */
  sub: parseString,
  /** Its name and kind. */
  nam: parseString,
  knd: oneOf(...PRINCIPAL_KINDS),
  /** On behalf of: principal id, name and kind of the one acted for; absent when it acts for itself. */
  obo: optional(objectOf({ sub: parseString, nam: parseString, knd: oneOf(...PRINCIPAL_KINDS) })),
  jti: parseString,
  /** Seconds since the epoch (RFC 7519). */
  iat: parseInteger,
  exp: parseInteger,
  /** Project id. */
  prj: parseString,
  /** Grant ids this token draws on (base64url of the 16 bytes); a narrowing, never a right by itself. `["*"]` = all. */
  gr: listOf(parseString, 16),
  /** How the person behind it signed in, when a provider said so (ADR 0014): methods (RFC 8176), level, instant (seconds), provider. */
  amr: optional(listOf(parseString, 20)),
  acr: optional(parseString),
  ath: optional(parseInteger),
  idp: optional(parseString),
  /** Why access is asked for, in the requester's words, at most 200 bytes. */
  rsn: optional(parseString),
  /**
   * What whoever shows the token has to prove besides (RFC 7800): the TLS client certificate with this SHA-256
   * (RFC 8705), or the key with this thumbprint (RFC 9449). Both base64url. Absent: whoever holds it may use it.
   */
  cnf: optional(objectOf({ 'x5t#S256': optional(parseString), jkt: optional(parseString) })),
});
export type AccessTokenClaims = ReturnType<typeof parseAccessTokenClaims>;
