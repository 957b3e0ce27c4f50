/**
 * The two halves of a sign-in by a provider: sending the browser there, and what it comes back with. Every failure to prove
 * a person reads alike; only what the person cannot mend (the provider away, its groups unreadable) has a name of its own.
 */
import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { type ErrorCode, GatewayError } from '@sallyport/core';
import { Database } from '../db/database.ts';
import type { Caller } from '../http/caller.ts';
import { Log } from '../http/problem.filter.ts';
import { RateLimiter } from '../http/rate-limit.ts';
import { Listening } from '../listening.ts';
import { SystemClock } from '../time.ts';
import { ApiTokens, hashOf } from './api-tokens.ts';
import { IdentityRepository, type TakenAttempt } from './identity.repository.ts';
import { type Arrival, Arrivals, type Proven } from './login/arrivals.ts';
import { type IdentityProvider, IdentityProviders, type SignInAsk } from './providers.ts';

export const SIGN_IN_S = 600;
const random = (): string => randomBytes(32).toString('base64url');
/** Failures that are not the person's: said as they are. */
const SAID: ReadonlySet<ErrorCode> = new Set([
  'auth.provider_unavailable',
  'auth.groups_overage',
  'auth.groups_malformed',
]);

/** A path on this server and nothing else, so that sign-in cannot be made to send people elsewhere. */
export const safeReturnTo = (text: string | undefined): string =>
  text !== undefined && /^\/(?![/\\])[\x21-\x5b\x5d-\x7e]{0,1000}$/.test(text) ? text : '/device';

export interface CameBack {
  /** Of the callback, which must be this provider's own: an answer of one is never taken for another's. */
  readonly path: string;
  /** `?` included, or nothing. */
  readonly query: string;
  /** Where the provider answers by a form. */
  readonly form?: Readonly<Record<string, string>>;
}

export interface Returned {
  readonly token: string;
  readonly sessionS: number;
  readonly returnTo: string;
}

@Injectable()
export class SignIn {
  constructor(
    private readonly providers: IdentityProviders,
    private readonly database: Database,
    private readonly repository: IdentityRepository,
    private readonly arrivals: Arrivals,
    private readonly tokens: ApiTokens,
    private readonly limits: RateLimiter,
    private readonly listening: Listening,
    private readonly clock: SystemClock,
    private readonly log: Log,
  ) {}

  /** @returns where to send the browser, and the state it must bring back in a cookie */
  async begin(
    projectId: string,
    providerName: string | undefined,
    returnTo: string,
    ask: SignInAsk = {},
  ): Promise<{ readonly url: URL; readonly state: string }> {
    const provider =
      providerName === undefined
        ? (await this.providers.list(projectId))[0]
        : await this.providers.find(projectId, providerName);
    if (provider === undefined) throw new GatewayError('request.not_found', { reason: 'no identity provider' });
    const checks = { state: random(), nonce: random(), codeVerifier: random() };
    const url = await provider.begin(this.#redirectUri(provider), checks, ask).catch((cause: unknown) => {
      this.log.error('an identity provider could not be reached', { provider: provider.name, cause });
      throw new GatewayError('auth.provider_unavailable', { provider: provider.name }, { cause });
    });
    await this.repository.insertAttempt(this.database.client, {
      id: this.clock.id(),
      projectId,
      provider: provider.name,
      kind: 'browser',
      secretHash: hashOf(checks.state),
      nonce: checks.nonce,
      codeVerifier: checks.codeVerifier,
      returnTo,
      maxAgeS: ask.maxAgeS ?? null,
      acrValues: ask.acrValues ?? null,
      expiresAt: new Date(this.clock.nowMs() + SIGN_IN_S * 1000),
    });
    return { url, state: checks.state };
  }

  /**
   * What the browser came back with. It is one attempt of its address, whatever it is worth.
   * @param state that came back with it @param cookieState from the same browser
   * @param came with it; or what reads it from the attempt where it was put by
   * @throws GatewayError `auth.failed` whatever is wrong with the proof
   */
  async finish(
    state: string,
    cookieState: string | undefined,
    came: CameBack | ((attempt: TakenAttempt) => CameBack),
    from: { readonly requestId: string; readonly address: string },
  ): Promise<Returned> {
    const attempt = await this.#take(state === cookieState ? state : '', typeof came === 'function', from.address);
    try {
      if (attempt === undefined) throw new Error('the state is not this browser’s, or none under way, or used twice');
      const provider = await this.providers.findWith(attempt.attemptProvider, attempt.id === null ? null : attempt);
      if (provider === undefined) throw new Error('no such provider');
      const { path, query, form } = typeof came === 'function' ? came(attempt) : came;
      if (provider.callbackPath !== path) throw new Error('the answer came to another provider’s address');
      const person = await provider.finish(
        { url: new URL(this.#redirectUri(provider) + query), ...(form === undefined ? {} : { form }) },
        { state, nonce: attempt.nonce ?? '', codeVerifier: attempt.codeVerifier ?? '' },
        askOf(attempt),
      );
      const { requestId } = from;
      const arrival = await this.arrive({ projectId: attempt.attemptProjectId, provider, person, requestId });
      return {
        token: arrival.token,
        sessionS: arrival.sessionS,
        returnTo: safeReturnTo(attempt.returnTo ?? undefined),
      };
    } catch (cause) {
      this.log.warn('a sign-in failed', { requestId: from.requestId, cause });
      if (cause instanceof GatewayError && SAID.has(cause.code)) throw cause;
      throw new GatewayError('auth.failed', {}, { cause });
    }
  }

  /** A session for a person whom a provider has proven. */
  async arrive(proven: Proven): Promise<Arrival> {
    return await this.arrivals.open(proven);
  }

  /** The person behind a browser's session token, or undefined. */
  async personOf(token: string | undefined): Promise<Caller | undefined> {
    if (token === undefined) return undefined;
    return await this.tokens.authenticate(token, 'page').then(
      (caller) => (caller.principal.kind === 'person' ? caller : undefined),
      (error: unknown) => {
        if (error instanceof GatewayError) return undefined;
        throw error;
      },
    );
  }

  #redirectUri(provider: IdentityProvider): string {
    return `${this.listening.publicUrl()}${provider.callbackPath}`;
  }

  /** Consumes the attempt: an answer counts once, whatever becomes of it. @throws GatewayError `auth.throttled` */
  async #take(state: string, isPutBy: boolean, address: string): Promise<TakenAttempt | undefined> {
    if (state !== '')
      return await this.limits.takeFor<TakenAttempt>(
        'sign-in',
        address,
        this.repository.takingAttempt(hashOf(state), this.clock.now(), isPutBy),
      );
    await this.limits.take('sign-in', address);
    return undefined;
  }
}

const askOf = (attempt: TakenAttempt): SignInAsk => ({
  maxAgeS: attempt.maxAgeS ?? undefined,
  acrValues: attempt.acrValues ?? undefined,
});
