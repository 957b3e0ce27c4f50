/**
 * What a message does: SQL text and parameters into the Statement that rules judge, and what it changes in the mirror.
 * What cannot be told (text that is no UTF-8, EXECUTE of a name nobody prepared here) is refused; so is what pins.ts knows.
 * Never looks at a table or a rule; packages/sql reads the text.
 */
import { isAscii, isUtf8 } from 'node:buffer';
import { hash } from 'node:crypto';
import {
  EFFECTS,
  type Effect,
  type SqlFacts,
  type SqlStatementFacts,
  type Statement,
  type StatementParameter,
} from '@sallyport/model';
import { effectsOf, type ParsePool, type SqlReading } from '@sallyport/sql';
import { digestHead } from './classify/digests.ts';
import { isPlain } from './codec.ts';
import { type Cursor, isOwnName, type Mirror, type Prepared, sqlName } from './mirror.ts';

export type Reading = SqlReading | { readonly unknown: 'encoding' | 'execute' };

interface Server {
  readonly pool: ParsePool;
  readonly major: number;
  /** Its database keeps names in UTF-8, so that they are folded and cut as they are here. */
  readonly utf8: boolean;
}

/** Reads a text in place, as a server of this major does. Large ones come later, from a worker. */
export function readSql(
  { pool, major, utf8 }: Server,
  bytes: Buffer,
): { readonly text: string; readonly reading: Reading | Promise<Reading> } {
  const plain = isPlain(bytes, 0, bytes.length);
  if (!plain && bytes.includes(0)) return { text: bytes.toString('utf8'), reading: { unknown: 'nul' } };
  if (!plain && !isUtf8(bytes)) return { text: bytes.toString('latin1'), reading: { unknown: 'encoding' } };
  const text = bytes.toString('utf8');
  const reading = pool.read(text, bytes, major);
  if (utf8 || ((plain || isAscii(bytes)) && !text.includes('&"'))) return { text, reading };
  return { text, reading: reading instanceof Promise ? reading.then(namesTold) : namesTold(reading) };
}

/** A server folds and cuts names in its database's encoding: one that is no ASCII may be another's than is read here. */
const namesTold = (reading: SqlReading): Reading =>
  !isUnknown(reading) && !isAscii(Buffer.from(JSON.stringify(reading))) ? { unknown: 'encoding' } : reading;

/** A change of the mirror that a statement of the string makes once it has run. */
export interface MirrorChange {
  readonly index: number;
  apply(mirror: Mirror, segment: number): void;
}

export interface Resolved {
  /** Undefined when the text is not understood. */
  readonly facts: SqlFacts | undefined;
  readonly effects: readonly Effect[];
  readonly changes: readonly MirrorChange[];
  /** What EXECUTE and FETCH in it run: an approver must see it, and an approval be bound to it. */
  readonly runs: readonly string[];
  /** What those meant something by (`Meaning`) when they were prepared or declared. */
  readonly under: readonly string[];
}

const NO_CHANGES: readonly MirrorChange[] = [];
const NO_EFFECTS: readonly Effect[] = [];
const NO_TEXTS: readonly string[] = [];
export const NOT_UNDERSTOOD: Resolved = {
  facts: undefined,
  effects: NO_EFFECTS,
  changes: NO_CHANGES,
  runs: NO_TEXTS,
  under: NO_TEXTS,
};
/** Kinds that name something this session made, or make or drop such a thing. */
const NAMED: ReadonlySet<string> = new Set([
  'execute',
  'prepare',
  'deallocate',
  'declare',
  'fetch',
  'move',
  'close',
  'discard',
]);

/**
 * Puts what EXECUTE and FETCH stand for into their facts, statement by statement: a string that prepares and then executes
 * is read as the server will run it, since an error on the way ends the string.
 * @param chain what is prepared or declared by it means something by
 */
export function resolve(reading: Reading, text: string, mirror: Mirror, chain: string): Resolved {
  if (isUnknown(reading)) return NOT_UNDERSTOOD;
  const { statements } = reading;
  let plain = true;
  for (const statement of statements) {
    if (NAMED.has(statement.kind)) plain = false;
    if (statement.nested?.some(hidesExecute)) return NOT_UNDERSTOOD;
  }
  if (plain)
    return { facts: reading, effects: effectsOf(reading), changes: NO_CHANGES, runs: NO_TEXTS, under: NO_TEXTS };
  return resolveNamed(reading, text, mirror, chain);
}

export const isUnknown = (reading: Reading): reading is Exclude<Reading, SqlFacts> => 'unknown' in reading;

/** EXPLAIN ANALYZE EXECUTE, CREATE TABLE AS EXECUTE: not at the top, so nothing resolves them. */
const hidesExecute = (facts: SqlStatementFacts): boolean =>
  facts.kind === 'execute' || (facts.nested?.some(hidesExecute) ?? false);

function resolveNamed(reading: SqlFacts, text: string, mirror: Mirror, chain: string): Resolved {
  // What this string did so far: undefined = dropped here.
  const prepared = new Map<string, Named | undefined>();
  const cursors = new Map<string, Named | undefined>();
  const findPrepared = (name: string): Named | undefined =>
    prepared.has(name) ? prepared.get(name) : known(mirror.prepared.get(name));
  const findCursor = (name: string): Named | undefined =>
    cursors.has(name) ? cursors.get(name) : (mirror.cursors.get(name) ?? known(mirror.portals.get(name)?.prepared));
  const closeAll = (): void => {
    for (const key of [...mirror.cursors.keys(), ...mirror.portals.names(), ...cursors.keys()])
      cursors.set(key, undefined);
  };
  const runs: string[] = [];
  const under: string[] = [];
  const changes: MirrorChange[] = [];
  const out: SqlStatementFacts[] = [];
  for (const [index, statement] of reading.statements.entries()) {
    const name = sqlName(statement.name ?? '');
    const inner = (): SqlFacts => ({ statements: statement.nested ?? [], literalFree: false });
    // Facts kept by shape have the range of the text first seen; a lone statement is the whole text.
    const range =
      reading.statements.length === 1 ? text : Buffer.from(text).toString('utf8', statement.start, statement.end);
    switch (statement.kind) {
      case 'execute': {
        const found = findPrepared(name);
        if (found === undefined) return NOT_UNDERSTOOD;
        out.push(standingFor(statement, found.facts));
        runs.push(found.text);
        under.push(found.chain);
        continue;
      }
      case 'fetch':
      case 'move': {
        const found = findCursor(name);
        if (found === undefined) return NOT_UNDERSTOOD;
        out.push(standingFor(statement, found.facts));
        runs.push(found.text);
        under.push(found.chain);
        continue;
      }
      case 'prepare': {
        if (isOwnName(name)) return NOT_UNDERSTOOD;
        const facts = inner();
        prepared.set(name, { facts, text: range, chain });
        changes.push({
          index,
          apply: (to, segment) => addSqlPrepared(to, name, { facts, text: range, chain }, segment),
        });
        break;
      }
      case 'deallocate':
        if (statement.name === undefined || statement.name === '') {
          for (const key of [...mirror.prepared.names(), ...prepared.keys()])
            if (key !== '') prepared.set(key, undefined);
          changes.push({ index, apply: (to) => dropAll(to) });
        } else {
          if (isOwnName(name)) return NOT_UNDERSTOOD;
          prepared.set(name, undefined);
          changes.push({ index, apply: (to) => to.prepared.delete(name) });
        }
        break;
      case 'declare': {
        if (isOwnName(name)) return NOT_UNDERSTOOD;
        const facts = inner();
        cursors.set(name, { facts, text: range, chain });
        changes.push({ index, apply: (to) => to.addCursor(name, { facts, text: range, chain }) });
        break;
      }
      case 'close':
        if (name !== '') {
          if (isOwnName(name)) return NOT_UNDERSTOOD;
          cursors.set(name, undefined);
          changes.push({ index, apply: (to) => to.closeCursor(name) });
        } else {
          closeAll();
          changes.push({ index, apply: (to) => to.closeAllCursors() });
        }
        break;
      case 'discard':
        if (statement.object === 'all') {
          closeAll();
          for (const key of [...mirror.prepared.names(), ...prepared.keys()])
            if (key !== '') prepared.set(key, undefined);
          changes.push({
            index,
            apply: (to) => {
              dropAll(to);
              to.closeAllCursors();
            },
          });
        }
        break;
      default:
    }
    out.push(statement);
  }
  const facts: SqlFacts = { statements: out, literalFree: false };
  return { facts, effects: effectsOf(facts), changes, runs, under };
}

type Named = Cursor;
const known = (prepared: Prepared | undefined): Named | undefined =>
  prepared?.facts === undefined ? undefined : { facts: prepared.facts, text: prepared.text, chain: prepared.chain };

function dropAll(mirror: Mirror): void {
  for (const name of mirror.prepared.names()) if (name !== '') mirror.prepared.delete(name);
}

function addSqlPrepared(mirror: Mirror, name: string, { text, facts, chain }: Named, segment: number): void {
  mirror.addPrepared({
    name,
    text,
    facts,
    chain,
    digestHead: digestHead(text, []),
    declared: NO_TYPES,
    types: NO_TYPES,
    columns: undefined,
    segment,
    confirmed: true,
    gone: false,
    before: undefined,
  });
}

/** EXECUTE or FETCH with the facts of what it runs. */
function standingFor(statement: SqlStatementFacts, inner: SqlFacts): SqlStatementFacts {
  const all = inner.statements;
  const union = <T>(own: readonly T[], of: (facts: SqlStatementFacts) => readonly T[]): readonly T[] => [
    ...new Set([...own, ...all.flatMap(of)]),
  ];
  // `exec` stood for "whatever that name runs"; it stays when an argument calls a function.
  const own =
    statement.functions.length > 0 ? statement.effects : statement.effects.filter((effect) => effect !== 'exec');
  const effects = union(own, (facts) => facts.effects);
  return {
    ...statement,
    effects: EFFECTS.filter((effect) => effects.includes(effect)),
    filtered: all.every((facts) => facts.filtered),
    ...(all.some((facts) => facts.overwrites === true) ? { overwrites: true } : {}),
    limit: all.length === 1 ? all[0]!.limit : undefined,
    relations: union(statement.relations, (facts) => facts.relations),
    functions: union(statement.functions, (facts) => facts.functions),
    operators: union(statement.operators ?? [], (facts) => facts.operators ?? []),
    opaque: union(
      statement.opaque.filter((what) => what !== 'execute'),
      (facts) => facts.opaque,
    ),
    columns: union(statement.columns, (facts) => facts.columns),
    nested: all,
  };
}

export interface SessionState {
  readonly inTransaction: boolean;
  readonly wroteInTransaction: boolean;
  /** What a statement changes now can be undone when its row count is known. */
  readonly undoable: boolean;
  /** What texts mean something by now: `Meaning.chain`. */
  readonly chain: string;
}

export const NO_TYPES: readonly number[] = [];
export function statementOf(
  text: string,
  digest: string,
  parameters: readonly StatementParameter[],
  resolved: Pick<Resolved, 'facts' | 'effects' | 'runs' | 'under'>,
  state: SessionState,
  declaredTypes: readonly number[] = NO_TYPES,
): Statement {
  const { runs } = resolved;
  const under = resolved.under.length === 0 ? NO_TEXTS : resolved.under.filter((chain) => chain !== state.chain);
  const statement: Statement = {
    protocol: 'postgres',
    digest: runs.length === 0 ? digest : hash('sha256', [digest, ...runs].join('\0'), 'hex'),
    text: runs.length === 0 ? text : [text, ...runs.map((run) => `-- runs: ${run}`)].join('\n'),
    parameters,
    effects: resolved.effects,
    understood: resolved.facts !== undefined,
    facts: resolved.facts === undefined ? {} : { sql: resolved.facts },
    inTransaction: state.inTransaction,
    wroteInTransaction: state.wroteInTransaction,
    declaredTypes,
    undoable: state.undoable,
  };
  return under.length === 0 ? statement : { ...statement, meaning: under.join(' ') };
}
