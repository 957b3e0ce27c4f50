/**
 * The main door: a text of SQL in, the facts of its statements out, or why there are none.
 * Sound by refusing: what the grammar does not read, or a node nobody listed, makes the whole text unknown.
 * Limits: LIMITS.statementBytesMax, LIMITS.statementsPerStringMax. Synchronous; above LIMITS.inlineParseBytesMax go by parse-pool.ts.
 */
import { LIMITS } from '@sallyport/core';
import type { SqlStatementFacts } from '@sallyport/model';
import { type Fields, nodeOf, Refusal } from './ast.ts';
import { FactsBuilder, type TextState } from './facts-builder.ts';
import { NEWEST_SERVER_MAJOR, requireSameTokens } from './majors.ts';
import { parseStatements, type RawStatement } from './parser.ts';
import type { SqlReading } from './reading.ts';
import { readStatement } from './statement.ts';

/**
 * Reads a text. An empty one, or comments alone, has no statements.
 * The facts do not depend on the search path, the catalog or parameters; `literalFree` says whether they depend on literals.
 * @param major of the server that is to run it: an older one reads some texts otherwise, and those are unknown
 * Never throws once loadSqlParser() was awaited.
 */
export function extractSqlFacts(text: string, major: number = NEWEST_SERVER_MAJOR): SqlReading {
  if (text.includes('\0')) return { unknown: 'nul' };
  const bytes = Buffer.byteLength(text);
  if (bytes > LIMITS.statementBytesMax) return { unknown: 'too_large' };
  const state: TextState = { major, literalRead: false, depth: 0, work: 0 };
  try {
    const raw = parseStatements(text);
    if (raw.length > LIMITS.statementsPerStringMax) return { unknown: 'too_many_statements' };
    requireSameTokens(text, major);
    const statements = raw.map((entry) => factsOf(entry, state, bytes));
    return { statements, literalFree: !state.literalRead };
  } catch (cause) {
    if (cause instanceof Refusal) return { unknown: cause.reason };
    if (cause instanceof RangeError) return { unknown: 'too_deep' };
    if (cause instanceof Error && cause.name === 'SqlError') return { unknown: 'syntax' };
    throw cause;
  }
}

function factsOf(raw: RawStatement, text: TextState, bytes: number): SqlStatementFacts {
  const facts = new FactsBuilder(text);
  const node = nodeOf(raw.node as Fields);
  if (node === undefined) throw new Refusal('construct', 'no statement');
  text.depth = 0;
  readStatement(node, facts);
  return facts.finish(raw.start, raw.length === 0 ? bytes : raw.start + raw.length);
}
