/**
 * Work that would wait for the same row waits here instead, in the order it came, and takes no connection meanwhile: a rush of
 * it would draw in every connection of the pool, each of which reads and plans for the first time what the last ones know.
 * Refuses to know what the work is; a failure is its caller's, and the next one goes on.
 */
interface Lane {
  running: number;
  readonly waiting: (() => void)[];
}

export class Lanes {
  readonly #width: number;
  /** Those with work, by what is waited for. */
  readonly #lanes = new Map<string, Lane>();

  /** @param width how much of one lane runs at once */
  constructor(width: number) {
    this.#width = width;
  }

  async run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const lane = this.#laneOf(key);
    // Who is let in was counted by who let them in.
    if (lane.running < this.#width) lane.running++;
    else await new Promise<void>((go) => void lane.waiting.push(go));
    try {
      return await work();
    } finally {
      const next = lane.waiting.shift();
      if (next !== undefined) next();
      else if (--lane.running === 0) this.#lanes.delete(key);
    }
  }

  #laneOf(key: string): Lane {
    let lane = this.#lanes.get(key);
    if (lane === undefined) {
      lane = { running: 0, waiting: [] };
      this.#lanes.set(key, lane);
    }
    return lane;
  }
}
