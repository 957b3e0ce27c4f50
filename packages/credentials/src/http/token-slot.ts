/**
 * One token that runs out: kept while it lasts, renewed before it ends, fetched once for all who wait. Times are UTC ms.
 * Refuses to hand out a token whose time has come, and to ask again at once after a failure.
 */
import { GatewayError, Secret } from '@sallyport/core';

export interface ShortToken {
  readonly token: Secret<string>;
  readonly expiresAtMs: number;
}

/** Before its end a token is renewed behind the requests; this close to it they wait. */
const RENEW_BEFORE_MS = 60_000;
const USABLE_BEFORE_MS = 5_000;
/** After a failure the next question waits so long; requests in between are refused with what it said. */
const RETRY_MS = 2_000;

export class TokenSlot {
  readonly #fetch: () => Promise<ShortToken>;
  readonly #nowMs: () => number;
  #held: ShortToken | undefined;
  #fetching: Promise<void> | undefined;
  #failed: { readonly error: unknown; readonly atMs: number } | undefined;

  constructor(fetch: () => Promise<ShortToken>, nowMs: () => number) {
    this.#fetch = fetch;
    this.#nowMs = nowMs;
  }

  /** Undefined = a token is at hand. Rejects with what asking for one said. */
  ready(): Promise<void> | undefined {
    const left = (this.#held?.expiresAtMs ?? 0) - this.#nowMs();
    if (left > RENEW_BEFORE_MS) return undefined;
    if (left > USABLE_BEFORE_MS) {
      // The one at hand still serves; what goes wrong now is told when it no longer does.
      this.#renew().catch(() => undefined);
      return undefined;
    }
    return this.#renew();
  }

  /** @throws GatewayError `credential.unavailable` where none is at hand */
  get token(): Secret<string> {
    if (this.#held === undefined || this.#held.expiresAtMs <= this.#nowMs())
      throw new GatewayError('credential.unavailable', { reason: 'the token has run out' });
    return this.#held.token;
  }

  /** The service refused it: it is not handed out again. False where it is another one by now. */
  refused(token: Secret<string> | undefined): boolean {
    if (token !== undefined && this.#held?.token.reveal() !== token.reveal()) return false;
    this.#held = undefined;
    return true;
  }

  #renew(): Promise<void> {
    if (this.#fetching !== undefined) return this.#fetching;
    const failed = this.#failed;
    if (failed !== undefined && this.#nowMs() - failed.atMs < RETRY_MS) return Promise.reject(failed.error);
    this.#fetching = this.#ask().finally(() => {
      this.#fetching = undefined;
    });
    return this.#fetching;
  }

  async #ask(): Promise<void> {
    try {
      this.#held = await this.#fetch();
      this.#failed = undefined;
    } catch (error) {
      this.#failed = { error, atMs: this.#nowMs() };
      throw error;
    }
  }
}
