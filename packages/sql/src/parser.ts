/**
 * PostgreSQL's own grammar (libpg-query, WASM), loaded once and called synchronously.
 * Refuses to know what a tree means; extract.ts reads it. It is the grammar of 18: majors.ts says where older servers read otherwise.
 * Traps: a NUL would cut the text, so it never gets here; WASM memory never shrinks, so large texts go to the worker.
 */
import type { Fields } from './ast.ts';
import { withBaselineCompiler } from './baseline-module.ts';

let library: typeof import('./grammar.ts') | undefined;

/** Loads the grammar, about 40 ms once; to be awaited before the first call of anything in this package. */
export async function loadSqlParser(): Promise<void> {
  library ??= await withBaselineCompiler(async () => {
    const found = await import('./grammar.ts');
    await found.loadModule();
    return found;
  });
}

/** One statement of a text. `start` and `length` are UTF-8 byte offsets; length 0 means up to the end. */
export interface RawStatement {
  readonly node: Fields;
  readonly start: number;
  readonly length: number;
}

/** @throws SqlError on a syntax error, RangeError on a tree too deep for JSON */
export function parseStatements(text: string): readonly RawStatement[] {
  if (library === undefined) throw new Error('loadSqlParser() was not awaited');
  // An empty text is an error to the library and no statement to the server.
  if (text === '') return [];
  const result = library.parseSync(text) as { stmts?: { stmt?: unknown; stmt_location?: number; stmt_len?: number }[] };
  return (result.stmts ?? []).map((entry) => ({
    node: (entry.stmt ?? {}) as Fields,
    start: entry.stmt_location ?? 0,
    length: entry.stmt_len ?? 0,
  }));
}

/** One token of a text, as the grammar's own scanner cuts it. */
export interface Word {
  readonly kind: 'number' | 'operator' | 'other';
  readonly text: string;
}

const OPERATOR = /^[~!@#^&|`?+\-*/%<>=]+$/;

const kindOf = (name: string, text: string): Word['kind'] => {
  if (name === 'ICONST' || name === 'FCONST') return 'number';
  return OPERATOR.test(text) ? 'operator' : 'other';
};

/** Comments left out. Only for texts that parse. */
export const scanWords = (text: string): readonly Word[] =>
  library!
    .scanSync(text)
    .tokens.filter((token) => !token.tokenName.endsWith('_COMMENT'))
    .map((token) => ({ kind: kindOf(token.tokenName, token.text), text: token.text }));
