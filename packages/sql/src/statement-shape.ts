/**
 * The shape of a statement as persons approve it: what may differ between two statements of one shape are the values of
 * number and string literals and of parameters, and nothing that those could change: kind, effects, tables, columns, filters,
 * LIMIT, functions. Tighter than shapeKey, which only finds facts again. ADR 0017.
 * Refuses (undefined) all but one plain SELECT, INSERT, UPDATE or DELETE of tables, with functions that only compute.
 * Called for held statements alone: it scans and hashes.
 */
import { hash } from 'node:crypto';
import type { SqlFacts, SqlStatementFacts, StatementShape } from '@sallyport/model';
import { HARMLESS_FUNCTIONS } from './harmless-functions.ts';
import { scanWords } from './parser.ts';
import { shapeKey } from './shape-key.ts';

const KINDS: ReadonlySet<string> = new Set(['select', 'insert', 'update', 'delete']);
/** Harmless, and yet a literal says what they look at: objects, settings, rights. */
const NAMING_THINGS = /^(pg_|has_|to_reg|current_setting|currval|lastval|setseed|txid_|row_security|.*_description$)/;
const INT4_MAX = 2_147_483_647n;
const INT8_MAX = 9_223_372_036_854_775_807n;

export interface ShapeInput {
  readonly text: string;
  readonly facts: SqlFacts;
  /** Types of the parameters as declared; 0 where the server is to tell. */
  readonly types: readonly number[];
  /** A change can be undone once its row count is known. */
  readonly undoable: boolean;
  /** What else names mean something by: database, role, search path. */
  readonly session: readonly string[];
}

/** Needs `loadSqlParser()`. Never throws for a text that was understood. */
export function statementShape({ text, facts, types, undoable, session }: ShapeInput): StatementShape | undefined {
  const [statement, ...others] = facts.statements;
  if (statement === undefined || others.length > 0 || !isPlain(statement)) return undefined;
  const key = shapeKey(Buffer.from(text));
  if (key === undefined) return undefined;
  const bound = statement.kind === 'select' ? 'cut' : 'undone';
  // A row count that comes too late bounds nothing.
  if (bound === 'undone' && !undoable) return undefined;
  const { start: _start, end: _end, ...same } = statement;
  const parts = [
    'sallyport/shape/1',
    'postgres',
    key,
    kindsOfNumbers(text),
    types.join(','),
    JSON.stringify(same),
    ...session,
  ];
  return {
    digest: hash('sha256', parts.map((part) => `${Buffer.byteLength(part)}:${part}`).join(''), 'hex'),
    // biome-ignore lint/suspicious/noControlCharactersInRegex: shapeKey's marks
    text: Buffer.from(key, 'latin1')
      .toString('utf8')
      .replaceAll(/[\x01\x02]/g, '?'),
    tables: [...new Set(statement.relations.map(({ schema, name }) => (schema === '' ? name : `${schema}.${name}`)))],
    bound,
  };
}

function isPlain(facts: SqlStatementFacts): boolean {
  if (!KINDS.has(facts.kind) || facts.opaque.length > 0 || facts.setting !== undefined) return false;
  if (facts.relations.length === 0 || facts.relations.some(({ schema }) => /^pg_(temp|toast)/.test(schema)))
    return false;
  if (facts.effects.some((effect) => effect !== 'read' && effect !== 'write')) return false;
  // Every row, or a condition that names none: literals could turn it around.
  if ((facts.kind === 'update' || facts.kind === 'delete') && !facts.filtered) return false;
  if (facts.overwrites === true) return false;
  // What a CTE writes is in no row count.
  if (
    facts.nested?.some(({ effects, kind }) => kind !== 'select' || effects.some((effect) => effect !== 'read')) === true
  )
    return false;
  return facts.functions.every((name) => {
    const bare = name.startsWith('pg_catalog.') ? name.slice('pg_catalog.'.length) : name;
    return HARMLESS_FUNCTIONS.has(bare) && !NAMING_THINGS.test(bare);
  });
}

/** The type a number is read as decides which operator or function is meant (PostgreSQL documentation, "Numeric Constants"). */
function kindsOfNumbers(text: string): string {
  const kinds: string[] = [];
  for (const { kind, text: word } of scanWords(text)) {
    if (kind !== 'number') continue;
    const whole = /^\d+$/.test(word) ? BigInt(word) : undefined;
    kinds.push(whole === undefined || whole > INT8_MAX ? 'n' : whole > INT4_MAX ? '8' : '4');
  }
  return kinds.join('');
}
