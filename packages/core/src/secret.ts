/**
 * A value that must not be printed. Refuses to know what it protects or where it came from.
 * Every way Node turns a value into text (JSON, template, inspect) gives `[secret]`.
 */
const inspect = Symbol.for('nodejs.util.inspect.custom');

/** Opened only by `.reveal()`, which the linter allows in `login.ts` and `credentials/`. */
export class Secret<T> {
  readonly #value: T;
  constructor(value: T) {
    this.#value = value;
  }
  /** The value itself; keep what it returns out of closures, errors and logs. */
  reveal(): T {
    return this.#value;
  }
  toString(): string {
    return '[secret]';
  }
  toJSON(): string {
    return '[secret]';
  }
  [inspect](): string {
    return '[secret]';
  }
}
