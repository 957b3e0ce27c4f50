/**
 * Facts kept by shape where they read no literal, and by whole text otherwise; both are sound, since facts come from the text alone.
 * Refuses to keep unknown texts, several statements in one text (their byte ranges differ), or texts above LIMITS.inlineParseBytesMax.
 * Two generations in place of a linked list: a hit in the old one moves to the new one, and a full new one becomes the old.
 */
import { LIMITS } from '@sallyport/core';
import type { SqlFacts } from '@sallyport/model';
import { extractSqlFacts } from './extract.ts';
import { isUnknownSql, type SqlReading } from './reading.ts';
import { shapeKey } from './shape-key.ts';

/** Texts beyond this are not kept whole: they seldom repeat. */
const EXACT_BYTES_MAX = 4 * 1024;

export interface FactsCache {
  /**
   * The facts of a text; the same object for the same shape, so that verdicts can be kept by it. Of facts found by shape,
   * `start` and `end` are those of the text first seen: a single statement's range is the whole text.
   * @param bytes the text's UTF-8, when the caller has it
   */
  read(text: string, bytes?: Uint8Array): SqlReading;
  /** Facts kept at present. */
  readonly size: number;
}

/** @param options.entriesMax facts per generation, 4,096 by default: some 10 MB at most; @param options.major of the servers whose texts these are */
export function createFactsCache(options: { readonly entriesMax?: number; readonly major?: number } = {}): FactsCache {
  const entriesMax = options.entriesMax ?? 4_096;
  let current = new Map<string, SqlFacts>();
  let old = new Map<string, SqlFacts>();

  const find = (key: string): SqlFacts | undefined => {
    const hit = current.get(key);
    if (hit !== undefined) return hit;
    const aged = old.get(key);
    if (aged !== undefined) keep(key, aged);
    return aged;
  };
  const keep = (key: string, facts: SqlFacts): void => {
    if (current.size >= entriesMax) {
      old = current;
      current = new Map();
    }
    current.set(key, facts);
  };

  return {
    get size() {
      return current.size + old.size;
    },
    read(text, given) {
      const bytes = given ?? Buffer.from(text);
      if (bytes.length > LIMITS.inlineParseBytesMax) return extractSqlFacts(text, options.major);
      const shape = shapeKey(bytes);
      const byShape = shape === undefined ? undefined : find(shape);
      if (byShape !== undefined) return byShape;
      // No shape contains a zero byte, so the two kinds of key never meet.
      const exact = bytes.length <= EXACT_BYTES_MAX ? `\0${text}` : undefined;
      const byText = exact === undefined ? undefined : find(exact);
      if (byText !== undefined) return byText;
      const reading = extractSqlFacts(text, options.major);
      if (isUnknownSql(reading) || reading.statements.length !== 1) return reading;
      if (reading.literalFree && shape !== undefined) keep(shape, reading);
      else if (exact !== undefined) keep(exact, reading);
      return reading;
    },
  };
}
