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
    const all = this.#all;
    let at = all.length - 1;
    while (at >= 0 && all[at] !== one) at--;
    if (at === -1) return;
    const last = all.pop() as T;
    if (at < all.length) all[at] = last;
  }

  /** Those that run now: what ends meanwhile is there all the same. */
  now(): readonly T[] {
    return [...this.#all];
  }
}
