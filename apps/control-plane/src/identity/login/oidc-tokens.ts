/**
 * Checks tokens that an OpenID provider signed: id tokens (OpenID Connect Core 3.1.3.7) and logout tokens (Back-Channel
 * Logout 1.0, 2.6). Keys come from the provider's own jwks_uri alone: `jku`, `x5u` and `jwk` in a header are ignored, as is
 * every symmetric algorithm and `none`. Refuses to guess at clocks: the skew allowed is a setting.
 */
import { createRemoteJWKSet, customFetch, decodeJwt, errors, jwtVerify, type RemoteJWKSet } from 'jose';
import type { Claims } from '../mapping/read-groups.ts';
import type { ProviderHttp } from './provider-fetch.ts';

/** A rotated key is looked for at most this often, so that unknown key ids cannot be used to flood the provider. */
const REFETCH_MS = 5_000;
const KEYS_KEPT_MS = 10 * 60_000;
const TOKEN_CHARS_MAX = 200_000;
const LOGOUT_EVENT = 'http://schemas.openid.net/event/backchannel-logout';
/** A logout token older than this is refused whatever its `exp` says, so that used ids need not be kept for ever. */
export const LOGOUT_TOKEN_S = 300;

export interface TokenExpectations {
  readonly issuer: string;
  readonly clientId: string;
  readonly algorithms: readonly string[];
  readonly skewS: number;
}
export interface LogoutOrder {
  readonly tokenId: string;
  readonly subject: string | undefined;
  readonly sessionId: string | undefined;
}

/** A token that does not prove what it should; `message` names the claim, for previews and logs. */
export class TokenRefused extends Error {}
const refuse = (message: string): never => {
  throw new TokenRefused(message);
};
const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';

export class OidcTokens {
  readonly #expect: TokenExpectations;
  readonly #nowMs: () => number;
  readonly #keys: RemoteJWKSet;
  constructor(expect: TokenExpectations, jwksUri: URL, http: ProviderHttp, nowMs: () => number) {
    this.#expect = expect;
    this.#nowMs = nowMs;
    this.#keys = createRemoteJWKSet(jwksUri, {
      cooldownDuration: REFETCH_MS,
      cacheMaxAge: KEYS_KEPT_MS,
      [customFetch]: http.fetch,
    });
  }

  /** Signature and every claim of an id token but the nonce. @throws TokenRefused */
  async idToken(token: string): Promise<Claims & { readonly sub: string }> {
    const { payload } = await this.#verified(token, {});
    if (!isText(payload.sub)) return refuse('sub is missing');
    const { exp, iat } = payload;
    if (typeof exp !== 'number') return refuse('exp is missing');
    if (typeof iat !== 'number') return refuse('iat is missing');
    this.#requireNotFuture(iat);
    this.#requireAuthorizedParty(payload);
    return payload as Claims & { readonly sub: string };
  }

  /** @throws TokenRefused */
  async logoutToken(token: string): Promise<LogoutOrder> {
    const { payload, protectedHeader } = await this.#verified(token, {});
    const { typ } = protectedHeader;
    if (typ !== undefined && !/^(application\/)?(logout\+jwt|jwt)$/i.test(typ))
      return refuse('typ is of another token');
    if (payload['nonce'] !== undefined) return refuse('nonce: this is an id token');
    const events = payload['events'];
    const event = typeof events === 'object' && events !== null ? (events as Claims)[LOGOUT_EVENT] : undefined;
    if (typeof event !== 'object' || event === null) return refuse('events does not order a logout');
    const { iat, jti, sub } = payload;
    if (typeof iat !== 'number') return refuse('iat is missing');
    this.#requireNotFuture(iat);
    if (iat * 1000 < this.#nowMs() - (LOGOUT_TOKEN_S + this.#expect.skewS) * 1000) return refuse('iat is too long ago');
    if (!isText(jti)) return refuse('jti is missing');
    const sid = payload['sid'];
    if (!isText(sub) && !isText(sid)) return refuse('sub or sid is expected');
    this.#requireAuthorizedParty(payload);
    return { tokenId: jti, subject: isText(sub) ? sub : undefined, sessionId: isText(sid) ? sid : undefined };
  }

  /** Fetches the keys. @returns how many there are */
  async loadKeys(): Promise<number> {
    await this.#keys.reload();
    return this.#keys.jwks()?.keys.length ?? 0;
  }

  async #verified(token: string, options: { readonly typ?: string }) {
    if (token.length > TOKEN_CHARS_MAX) return refuse('the token is too long');
    try {
      return await jwtVerify(token, this.#keys, {
        ...options,
        issuer: this.#expect.issuer,
        audience: this.#expect.clientId,
        algorithms: [...this.#expect.algorithms],
        clockTolerance: this.#expect.skewS,
        currentDate: new Date(this.#nowMs()),
      });
    } catch (error) {
      if (error instanceof errors.JWTClaimValidationFailed || error instanceof errors.JWTExpired)
        return refuse(`${error.claim} is not as expected (${error.reason})`);
      // Keys that could not be fetched say nothing about the token.
      if (error instanceof errors.JOSEError && !(error instanceof errors.JWKSTimeout)) return refuse(error.code);
      throw error;
    }
  }

  #requireNotFuture(iat: number): void {
    if (iat * 1000 > this.#nowMs() + this.#expect.skewS * 1000) refuse('iat is in the future');
  }

  /** Core 3.1.3.7, points 4 and 5. */
  #requireAuthorizedParty({ aud, azp }: Claims): void {
    const { clientId } = this.#expect;
    if (azp !== undefined && azp !== clientId) refuse('azp is another client');
    if (Array.isArray(aud) && aud.length > 1 && azp === undefined) refuse('azp is missing beside several aud');
  }
}

/** Claims of a token without a look at its signature, for previews. @throws TokenRefused */
export function readUnverified(token: string): Claims {
  if (token.length > TOKEN_CHARS_MAX) return refuse('the token is too long');
  try {
    return decodeJwt(token);
  } catch (error) {
    if (!(error instanceof errors.JOSEError)) throw error;
    return refuse('this is not a JWT');
  }
}
