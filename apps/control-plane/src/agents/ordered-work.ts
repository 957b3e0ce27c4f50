/**
 * Work that must stay in the order it came, one piece at a time, with a bound on what waits. Refuses to go on after a
 * failure: what follows may build on what failed.
 */
export class OrderedWork {
  #tail: Promise<void> = Promise.resolve();
  #waiting = 0;
  #failed = false;
  #pressed = false;
  readonly #onFailure: (cause: unknown) => void;
  readonly #onPressure: (pressed: boolean) => void;
  readonly #max: number;

  /** @param onPressure told when `max` pieces wait, and when half of them are done */
  constructor(max: number, onFailure: (cause: unknown) => void, onPressure: (pressed: boolean) => void) {
    this.#max = max;
    this.#onFailure = onFailure;
    this.#onPressure = onPressure;
  }

  push(work: () => Promise<void>): void {
    this.#waiting += 1;
    if (this.#waiting >= this.#max) this.#press(true);
    this.#tail = this.#tail.then(async () => {
      try {
        if (!this.#failed) await work();
      } catch (cause) {
        this.#failed = true;
        this.#onFailure(cause);
      }
      this.#waiting -= 1;
      if (this.#waiting <= this.#max / 2) this.#press(false);
    });
  }

  /** Told once for each change: the count may touch the limit many times before it falls to half. */
  #press(pressed: boolean): void {
    if (this.#pressed === pressed) return;
    this.#pressed = pressed;
    this.#onPressure(pressed);
  }

  /** Resolves when everything pushed so far is done or was given up. */
  async settled(): Promise<void> {
    await this.#tail;
  }
}
