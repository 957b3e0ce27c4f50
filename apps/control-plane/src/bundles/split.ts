/**
 * A set in parts of bounded size, cut by the hash of each name: which parts there are follows from the set alone, and one
 * more or one less changes one part (two when it is cut or joined). ADR 0029. Pure.
 * Refuses to know what is in a set.
 */
import { hash } from 'node:crypto';

export interface Keyed {
  readonly name: string;
  /** `splitKey(name)`. */
  readonly key: number;
}

export interface Part<T> {
  /** Leading bits that the keys of its items share, as text; '' = all of the set. */
  readonly prefix: string;
  /** By key, then by name. */
  readonly items: readonly T[];
}

const BITS = 32;

/** The first 32 bits of the name's SHA-256. */
export const splitKey = (name: string): number => hash('sha256', name, 'buffer').readUInt32BE(0);

export const byKey = (a: Keyed, b: Keyed): number => a.key - b.key || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);

/** Where `item` stands, or would stand, in a list that is in order. @param from, to the stretch of it that is looked at */
export function placeOf<T extends Keyed>(ordered: readonly T[], item: Keyed, from = 0, to = ordered.length): number {
  let low = from;
  let high = to;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (byKey(ordered[middle]!, item) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Parts of at most `most` items, none of them empty. @param ordered in the order of `byKey` */
export function splitUp<T extends Keyed>(ordered: readonly T[], most: number): readonly Part<T>[] {
  const parts: Part<T>[] = [];
  const cut = (from: number, to: number, prefix: string, first: number): void => {
    if (from === to) return;
    if (to - from <= most || prefix.length === BITS) {
      parts.push({ prefix, items: ordered.slice(from, to) });
      return;
    }
    const second = first + 2 ** (BITS - 1 - prefix.length);
    const middle = placeOf(ordered, { key: second, name: '' }, from, to);
    cut(from, middle, `${prefix}0`, first);
    cut(middle, to, `${prefix}1`, second);
  };
  cut(0, ordered.length, '', 0);
  return parts;
}

export function isSameList<T>(a: readonly T[], b: readonly T[]): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
