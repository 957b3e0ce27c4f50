/**
 * How long the control plane has been silent, and what each resource allows meanwhile (DESIGN section 9).
 * Counts from the last message heard, also over a restart of this process; a clock set back never makes it shorter.
 */
import type { Resource } from '@sallyport/model';
import type { BundleStore } from './store.ts';

const PERSIST_EVERY_MS = 30_000;

export class Contact {
  readonly #store: BundleStore;
  readonly #nowMs: () => number;
  #lastMs: number;
  #persistedMs: number;
  #linked = false;
  #refused = false;

  constructor(store: BundleStore, nowMs: () => number) {
    this.#store = store;
    this.#nowMs = nowMs;
    this.#lastMs = Math.min(store.lastContactMs(), nowMs());
    this.#persistedMs = this.#lastMs;
  }

  get linked(): boolean {
    return this.#linked;
  }

  /** The link opened or closed. */
  set linked(up: boolean) {
    this.#linked = up;
    if (up) this.#refused = false;
    this.heard();
  }

  /** The control plane has revoked this agent: budgets are for silence, not for a no. */
  refuse(): void {
    this.#refused = true;
  }

  /** A message of the control plane arrived, or the link went: the silence counts from here. */
  heard(): void {
    const now = this.#nowMs();
    this.#lastMs = now;
    if (now - this.#persistedMs >= PERSIST_EVERY_MS || now < this.#persistedMs) {
      this.#persistedMs = now;
      this.#store.putLastContact(now);
    }
  }

  /** Milliseconds since the control plane was last heard; 0 while the link stands. */
  get silentMs(): number {
    return this.#linked ? 0 : Math.max(0, this.#nowMs() - this.#lastMs);
  }

  sessionsAllowed(resource: Resource): boolean {
    return this.#linked || (!this.#refused && this.silentMs <= resource.offline.sessionsMs);
  }

  newSessionsAllowed(resource: Resource): boolean {
    return this.#linked || (!this.#refused && this.silentMs <= resource.offline.newSessionsMs);
  }
}
