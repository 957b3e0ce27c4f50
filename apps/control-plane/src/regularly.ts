/**
 * Work that comes again every so often, one round of it at a time in a process. Refuses to know what it is: a round that fails
 * is told to whoever set it up, and the next one comes at its time.
 */
export class Regularly {
  readonly #work: () => Promise<void>;
  readonly #failed: (cause: unknown) => void;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;

  constructor(work: () => Promise<void>, failed: (cause: unknown) => void) {
    this.#work = work;
    this.#failed = failed;
  }

  /** Keeps no process alive. */
  start(everyMs: number): void {
    this.#timer = setInterval(() => void this.round(), everyMs);
    this.#timer.unref();
  }

  /** A round at once, unless one runs. @returns when it is over; never rejects */
  round(): Promise<void> {
    this.#running ??= this.#work()
      .catch((cause: unknown) => this.#failed(cause))
      .finally(() => {
        this.#running = undefined;
      });
    return this.#running;
  }

  /** No more rounds. @returns when the one that runs is over */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#running;
  }
}
