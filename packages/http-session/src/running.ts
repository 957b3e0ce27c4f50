/**
 * What runs on a connection: one request nearly always, a hundred at most. A set makes itself anew every few requests; this is
 * a list. Refuses to keep an order.
 */
export class Running<T> {
  readonly #all: T[] = [];

  get size(): number {
    return this.#all.length;
  }

  add(one: T): void {
    this.#all.push(one);
  }

  delete(one: T): void {
    const at = this.#all.lastIndexOf(one);
    if (at === -1) return;
    const last = this.#all.pop() as T;
    if (at < this.#all.length) this.#all[at] = last;
  }

  /** Those that run now: what ends meanwhile is there all the same. */
  now(): readonly T[] {
    return [...this.#all];
  }
}
