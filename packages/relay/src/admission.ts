/**
 * Who may come in: limits on connections, on those that have not signed in, and on those of one address.
 * Refuses to know protocols; a connection over a limit is closed before a byte of it is read.
 */
import { LIMITS } from '@sallyport/core';

export interface AdmissionLimits {
  readonly sessionsMax: number;
  readonly halfOpenSessionsMax: number;
  readonly halfOpenSessionsPerAddressMax: number;
}

/** One admitted connection; `established` once it has signed in, `leave` when it is gone. Both are idempotent. */
export interface AdmissionTicket {
  established(): void;
  leave(): void;
}

export class Admission {
  readonly #limits: AdmissionLimits;
  readonly #halfOpenBy = new Map<string, number>();
  #halfOpen = 0;
  #all = 0;

  constructor(limits: AdmissionLimits = LIMITS) {
    this.#limits = limits;
  }

  get halfOpen(): number {
    return this.#halfOpen;
  }

  get all(): number {
    return this.#all;
  }

  /** @param address the peer's address without its port @returns undefined when a limit is reached */
  enter(address: string): AdmissionTicket | undefined {
    const fromHere = this.#halfOpenBy.get(address) ?? 0;
    if (this.#all >= this.#limits.sessionsMax) return undefined;
    if (this.#halfOpen >= this.#limits.halfOpenSessionsMax) return undefined;
    if (fromHere >= this.#limits.halfOpenSessionsPerAddressMax) return undefined;
    this.#all++;
    this.#halfOpen++;
    this.#halfOpenBy.set(address, fromHere + 1);
    let waiting = true;
    let inside = true;
    const established = (): void => {
      if (!waiting) return;
      waiting = false;
      this.#halfOpen--;
      const left = (this.#halfOpenBy.get(address) ?? 1) - 1;
      if (left <= 0) this.#halfOpenBy.delete(address);
      else this.#halfOpenBy.set(address, left);
    };
    return {
      established,
      leave: () => {
        established();
        if (inside) this.#all--;
        inside = false;
      },
    };
  }
}
