/**
 * Small parsers from untrusted JSON to typed values, with the path of what is wrong.
 * Strict by design: a field nobody asked for is an error, since a decoder that drops what it does not know would let a
 * year-old agent drop a new restriction. Refuses to coerce.
 */
export class ParseError extends Error {
  override readonly name = 'ParseError';
  /** Where, as `rules[2].when`. */
  readonly path: string;
  constructor(path: string, what: string) {
    super(path === '' ? what : `${path}: ${what}`);
    this.path = path;
  }
}

/** Turns a value at a path into `T` or throws ParseError. */
export type Parser<T> = (value: unknown, path: string) => T;
export type Parsed<P> = P extends Parser<infer T> ? T : never;

const show = (value: unknown): string => (value === null ? 'null' : Array.isArray(value) ? 'a list' : typeof value);

export const parseString: Parser<string> = (value, path) => {
  if (typeof value !== 'string') throw new ParseError(path, `a text is expected, not ${show(value)}`);
  return value;
};
export const parseInteger: Parser<number> = (value, path) => {
  if (!Number.isSafeInteger(value)) throw new ParseError(path, `a whole number is expected, not ${show(value)}`);
  return value as number;
};
export const parseBoolean: Parser<boolean> = (value, path) => {
  if (typeof value !== 'boolean') throw new ParseError(path, `true or false is expected, not ${show(value)}`);
  return value;
};

/** One of a fixed list of texts. */
export const oneOf =
  <const T extends string>(...values: readonly T[]): Parser<T> =>
  (value, path) => {
    if (!values.includes(value as T)) throw new ParseError(path, `one of ${values.join(', ')} is expected`);
    return value as T;
  };

export const listOf =
  <T>(item: Parser<T>, max = 100_000): Parser<readonly T[]> =>
  (value, path) => {
    if (!Array.isArray(value)) throw new ParseError(path, `a list is expected, not ${show(value)}`);
    if (value.length > max) throw new ParseError(path, `at most ${max} items are allowed`);
    return value.map((entry, i) => item(entry, `${path}[${i}]`));
  };

/** Names that every object has: what guards against them drops such a key on the way, and with a label what it narrowed. */
export const isInherited = (key: string): boolean =>
  key === '__proto__' || key === 'constructor' || key === 'prototype';
export const INHERITED = 'this name cannot be used as a key';

/** A map with free keys. */
export const recordOf =
  <T>(item: Parser<T>): Parser<Readonly<Record<string, T>>> =>
  (value, path) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw new ParseError(path, `a map is expected, not ${show(value)}`);
    return Object.fromEntries(
      Object.entries(value).map(([key, entry]) => [key, item(entry, path === '' ? key : `${path}.${key}`)]),
    );
  };

/** Absent or null gives undefined. */
export const optional =
  <T>(inner: Parser<T>): Parser<T | undefined> =>
  (value, path) =>
    value === undefined || value === null ? undefined : inner(value, path);

/** Absent gives the fallback. */
export const withDefault =
  <T>(inner: Parser<T>, fallback: T): Parser<T> =>
  (value, path) =>
    value === undefined ? fallback : inner(value, path);

type Shape = Readonly<Record<string, Parser<unknown>>>;
type OptionalKeys<S extends Shape> = { [K in keyof S]: undefined extends Parsed<S[K]> ? K : never }[keyof S];
type ObjectOf<S extends Shape> = { readonly [K in Exclude<keyof S, OptionalKeys<S>>]: Parsed<S[K]> } & {
  readonly [K in OptionalKeys<S>]?: Parsed<S[K]>;
};

/** A map with exactly the named fields; any other field is refused by name. */
export const objectOf =
  <S extends Shape>(shape: S): Parser<ObjectOf<S>> =>
  (value, path) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw new ParseError(path, `a map is expected, not ${show(value)}`);
    const given = value as Record<string, unknown>;
    for (const key of Object.keys(given)) {
      if (!Object.hasOwn(shape, key)) throw new ParseError(path === '' ? key : `${path}.${key}`, 'unknown field');
    }
    const out: Record<string, unknown> = {};
    for (const [key, parser] of Object.entries(shape)) {
      const parsed = parser(given[key], path === '' ? key : `${path}.${key}`);
      if (parsed !== undefined) out[key] = parsed;
    }
    return out as ObjectOf<S>;
  };
