/**
 * What a statement reaches, in a few words for the record: relations with what is done to them, and commands that name none.
 * Access reviews are made from it. Refuses to be complete: it is cut at a limit, the text beside it is the whole truth.
 */
import { LIMITS } from '@sallyport/core';
import type { SqlFacts, SqlStatementFacts, StatementFacts } from '@sallyport/model';

const NOTHING: readonly string[] = Object.freeze([]);
/** Facts of a shape are one object for all its statements. */
const KNOWN = new WeakMap<SqlFacts, readonly string[]>();

/** `read public.orders`, `write orders`, `call`; at most `LIMITS.reachedPerStatementMax`. */
export function reachedBy(facts: StatementFacts): readonly string[] {
  const { sql } = facts;
  if (sql === undefined) return NOTHING;
  const known = KNOWN.get(sql);
  if (known !== undefined) return known;
  const found = new Set<string>();
  for (const statement of sql.statements) {
    if (found.size >= LIMITS.reachedPerStatementMax) break;
    note(statement, found);
  }
  const reached = Object.freeze([...found]);
  KNOWN.set(sql, reached);
  return reached;
}

function note({ kind, effects, relations }: SqlStatementFacts, found: Set<string>): void {
  for (const { access, schema, name } of relations) {
    if (found.size >= LIMITS.reachedPerStatementMax) return;
    found.add(shortened(`${access} ${schema === '' ? '' : `${schema}.`}${name}`));
  }
  // A command that names no relation and only reads (SELECT 1, SHOW, BEGIN) reaches nothing.
  if (relations.length === 0 && effects.some((effect) => effect !== 'read')) found.add(shortened(kind));
}

const shortened = (text: string): string => text.slice(0, LIMITS.reachedCharactersMax);
