/**
 * Attempts per address and kind in a fixed window, in this process's memory. Bounded: the oldest address makes room.
 * Refuses to decide what counts as an attempt; sign-in, token and device routes and the guard say so.
 */
import { Injectable } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import { Counter } from 'prom-client';
import { SystemClock } from '../time.ts';
import { Metrics } from './metrics.ts';

/**
 * Attempts allowed per minute and address. Secrets are 256 random bits, so these keep load and noise down; the device
 * code is the short one that guessing could reach.
 */
const PER_MINUTE = {
  'bad-token': 60,
  'bad-secret': 20,
  'sign-in': 60,
  'device-code': 30,
  token: 6_000,
} as const;
export type LimitKind = keyof typeof PER_MINUTE;

const WINDOW_MS = 60_000;
const ADDRESSES_MAX = 50_000;

@Injectable()
export class RateLimiter {
  readonly #windows = new Map<string, { startedMs: number; count: number }>();
  readonly #clock: SystemClock;
  readonly #attempts: Counter<'kind'>;
  readonly #refused: Counter<'kind'>;
  constructor(clock: SystemClock, metrics: Metrics) {
    this.#clock = clock;
    const common = { labelNames: ['kind'] as const, registers: [metrics.registry] };
    this.#attempts = new Counter({
      name: 'sallyport_limited_attempts_total',
      help: 'Attempts that count towards a limit: bad tokens and secrets, sign-ins, device codes, token requests.',
      ...common,
    });
    this.#refused = new Counter({
      name: 'sallyport_throttled_total',
      help: 'Attempts refused because their address had too many in a minute.',
      ...common,
    });
  }

  /** Counts one attempt. */
  count(kind: LimitKind, address: string): void {
    this.#attempts.inc({ kind });
    const key = `${kind} ${address}`;
    const now = this.#clock.monotonicMs();
    const window = this.#windows.get(key);
    if (window !== undefined && now - window.startedMs < WINDOW_MS) {
      window.count += 1;
      return;
    }
    this.#windows.delete(key);
    if (this.#windows.size >= ADDRESSES_MAX) this.#windows.delete(this.#windows.keys().next().value!);
    this.#windows.set(key, { startedMs: now, count: 1 });
  }

  /** @throws GatewayError `auth.throttled` once the window is full */
  require(kind: LimitKind, address: string): void {
    const window = this.#windows.get(`${kind} ${address}`);
    if (window === undefined || this.#clock.monotonicMs() - window.startedMs >= WINDOW_MS) return;
    if (window.count < PER_MINUTE[kind]) return;
    this.#refused.inc({ kind });
    throw new GatewayError('auth.throttled', { kind });
  }

  /** Both: refuses when full, else counts. */
  take(kind: LimitKind, address: string): void {
    this.require(kind, address);
    this.count(kind, address);
  }
}
