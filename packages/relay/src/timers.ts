/**
 * Named deadlines of one session. Refuses to know what they are for.
 * A deadline that is set again with the same length is moved, not made anew: idle deadlines are set at every statement.
 */
import type { TimerName, TimerPort } from '@sallyport/protocol-kit';

interface Deadline {
  readonly timeout: NodeJS.Timeout;
  readonly afterMs: number;
}

export class SessionTimers implements TimerPort {
  readonly #fire: (name: TimerName) => void;
  readonly #deadlines = new Map<TimerName, Deadline>();

  constructor(fire: (name: TimerName) => void) {
    this.#fire = fire;
  }

  set(name: TimerName, afterMs: number): void {
    const deadline = this.#deadlines.get(name);
    if (deadline !== undefined) {
      if (deadline.afterMs === afterMs) {
        deadline.timeout.refresh();
        return;
      }
      clearTimeout(deadline.timeout);
    }
    const timeout = setTimeout(() => {
      this.#deadlines.delete(name);
      this.#fire(name);
    }, afterMs);
    this.#deadlines.set(name, { timeout, afterMs });
  }

  clear(name: TimerName): void {
    const deadline = this.#deadlines.get(name);
    if (deadline === undefined) return;
    clearTimeout(deadline.timeout);
    this.#deadlines.delete(name);
  }

  clearAll(): void {
    for (const deadline of this.#deadlines.values()) clearTimeout(deadline.timeout);
    this.#deadlines.clear();
  }
}
