/**
 * PostgreSQL's own grammar (libpg-query, WASM), loaded once and called synchronously.
 * Refuses to know what a tree means; extract.ts reads it. Servers outside SUPPORTED_SERVER_MAJORS are the session's to refuse.
 * Traps: a NUL would cut the text, so it never gets here; WASM memory never shrinks, so large texts go to the worker.
 */
import { loadModule, parseSync } from 'libpg-query';
import type { Fields } from './ast.ts';

/** In the key of every cache of facts: facts of one version say nothing about another's. */
export const PARSER_VERSION = 'libpg-query 18.1.5 facts 1';

/**
 * Majors whose statements this grammar reads as they do. It is the grammar of 18: what an older server reads and 18 does
 * not (postfix operators, before 14) is refused; what 18 reads and an older server does not is refused by that server.
 */
export const SUPPORTED_SERVER_MAJORS: readonly number[] = [13, 14, 15, 16, 17, 18];

let loaded = false;

/** Loads the grammar, about 10 ms once; to be awaited before the first call of anything in this package. */
export async function loadSqlParser(): Promise<void> {
  await loadModule();
  loaded = true;
}

/** One statement of a text. `start` and `length` are UTF-8 byte offsets; length 0 means up to the end. */
export interface RawStatement {
  readonly node: Fields;
  readonly start: number;
  readonly length: number;
}

/** @throws SqlError on a syntax error, RangeError on a tree too deep for JSON */
export function parseStatements(text: string): readonly RawStatement[] {
  if (!loaded) throw new Error('loadSqlParser() was not awaited');
  // An empty text is an error to the library and no statement to the server.
  if (text === '') return [];
  const result = parseSync(text) as { stmts?: { stmt?: unknown; stmt_location?: number; stmt_len?: number }[] };
  return (result.stmts ?? []).map((entry) => ({
    node: (entry.stmt ?? {}) as Fields,
    start: entry.stmt_location ?? 0,
    length: entry.stmt_len ?? 0,
  }));
}
