/**
 * What a message does: SQL text and parameters into the Statement that rules judge, and what it changes in the mirror.
 * What cannot be told (text that is no UTF-8, EXECUTE of a name nobody prepared here, a pinned setting) is refused.
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
import { bytesOfInt32 } from './codec.ts';
import type { BindMessage } from './messages.ts';
import { type Cursor, isOwnName, type Mirror, type Prepared, sqlName } from './mirror.ts';
import { OWN_SETTINGS, REASON_SETTING } from './reason.ts';

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
  if (bytes.includes(0)) return { text: bytes.toString('utf8'), reading: { unknown: 'nul' } };
  if (!isUtf8(bytes)) return { text: bytes.toString('latin1'), reading: { unknown: 'encoding' } };
  const text = bytes.toString('utf8');
  const reading = pool.read(text, bytes, major);
  if (utf8 || (isAscii(bytes) && !text.includes('&"'))) return { text, reading };
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
    for (const key of [...mirror.cursors.keys(), ...mirror.portals.keys(), ...cursors.keys()])
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
          for (const key of [...mirror.prepared.keys(), ...prepared.keys()])
            if (key !== '') prepared.set(key, undefined);
          changes.push({ index, apply: (to) => dropAll(to) });
        } else {
          if (isOwnName(name)) return NOT_UNDERSTOOD;
          prepared.set(name, undefined);
          changes.push({ index, apply: (to) => void to.prepared.delete(name) });
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
          for (const key of [...mirror.prepared.keys(), ...prepared.keys()])
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
  for (const name of mirror.prepared.keys()) if (name !== '') mirror.prepared.delete(name);
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

// --- what no session may do ------------------------------------------------------------------------------------------

export interface Pins {
  readonly readOnly: boolean;
  /** The session runs as a role of its own. */
  readonly role: boolean;
}

/** Why no policy can allow this: it would change what the gateway's reading of later statements rests on. */
export function pinnedReason(facts: SqlFacts, pins: Pins): string | undefined {
  for (const statement of facts.statements) {
    const reason = pinnedBy(statement, pins);
    if (reason !== undefined) return reason;
  }
  return undefined;
}

function pinnedBy(facts: SqlStatementFacts, pins: Pins): string | undefined {
  const setting = facts.kind === 'show' ? undefined : facts.setting;
  if (setting !== undefined) {
    const reason = settingReason(setting, facts, pins);
    if (reason !== undefined) return reason;
  }
  if (facts.opaque.includes('set_config')) return 'set_config is allowed alone and with constants only.';
  if (facts.opaque.includes('set_role') || facts.opaque.includes('set_session_authorization')) {
    if (!(facts.kind === 'reset' && facts.setting === 'role')) return 'The role of a session is fixed.';
  }
  if (facts.kind === 'discard' && facts.object === 'all' && pins.role)
    return 'The role of a session is fixed; use DISCARD PLANS, SEQUENCES, TEMP.';
  if (facts.relations.some((relation) => relation.name === 'pg_settings' && relation.access !== 'read')) {
    return 'Settings are changed by SET.';
  }
  for (const inner of facts.nested ?? []) {
    const reason = pinnedBy(inner, pins);
    if (reason !== undefined) return reason;
  }
  return undefined;
}

/** What `SET sallyport.reason = '…'` says, '' for RESET and DEFAULT; undefined for any other statement. Never the server's. */
export function reasonOf(facts: SqlFacts | undefined): string | undefined {
  const statement = facts?.statements[0];
  if (statement?.setting !== REASON_SETTING || facts!.statements.length > 1) return undefined;
  if ((statement.kind !== 'set' && statement.kind !== 'reset') || statement.settingLocal === true) return undefined;
  return statement.settingValue ?? '';
}

const UTF8 = /^(utf-?8|unicode)$/i;
const ON = /^(on|true|yes|1|t|y)$/i;

function settingReason(setting: string, { kind, settingValue }: SqlStatementFacts, pins: Pins): string | undefined {
  if (setting.startsWith(OWN_SETTINGS)) return `Only SET ${REASON_SETTING} = '…' is known, in a message of its own.`;
  // RESET goes back to what the connection was opened with, which is what is pinned.
  const isReset = kind === 'reset';
  switch (setting) {
    case 'role':
      return isReset ? undefined : 'The role of a session is fixed.';
    case 'session_authorization':
      return 'The role of a session is fixed.';
    case 'client_encoding':
    case 'names':
      return isReset || settingValue === undefined || UTF8.test(settingValue)
        ? undefined
        : 'client_encoding is fixed to UTF8.';
    case 'standard_conforming_strings':
      return isReset || settingValue === undefined || ON.test(settingValue)
        ? undefined
        : 'standard_conforming_strings is fixed to on.';
    case 'search_path':
      // pg_catalog first is how the server works anyway; named elsewhere, a function of that name in another schema wins.
      return settingValue !== undefined && /pg_catalog|pg_temp|pg_toast|\$\$|\\/i.test(settingValue)
        ? 'search_path may not name pg_catalog or pg_temp.'
        : undefined;
    case 'transaction_read_only':
    case 'default_transaction_read_only':
      if (!pins.readOnly || isReset) return undefined;
      return settingValue !== undefined && ON.test(settingValue)
        ? undefined
        : 'This session is read-only: its grants give no more.';
    default:
      return undefined;
  }
}

// --- statements ------------------------------------------------------------------------------------------------------

/** Everything a digest has before the parameters. With no parameters this is all of it but the closing count. */
export const digestHead = (text: string, types: readonly number[]): Buffer =>
  Buffer.concat([Buffer.from(`postgres\0${text}\0`), bytesOfInt32(types.length, ...types)]);

const NONE = bytesOfInt32(0);

/** Lower-case hex SHA-256. `parameters`: formats and values as the Bind message has them; undefined without any. */
export function digestOf(head: Buffer, parameters: Uint8Array | undefined): string {
  return hash('sha256', Buffer.concat([head, parameters ?? NONE]), 'hex');
}

/** Where short ones are put together; views of it by their length, which are few. */
const scratch = Buffer.allocUnsafeSlow(1024);
const views: Buffer[] = [];

/** As `digestOf`, of parameters that stand in `bytes` from `start` to `end`: what every execution pays. */
export function digestOfRange(head: Buffer, bytes: Buffer, start: number, end: number): string {
  const size = head.length + end - start;
  if (size > scratch.length) return digestOf(head, bytes.subarray(start, end));
  scratch.set(head, 0);
  for (let i = start, at = head.length; i < end; i++) scratch[at++] = bytes[i]!;
  return hash('sha256', (views[size] ??= scratch.subarray(0, size)), 'hex');
}

/** Of a text without parameters, in one call: what every simple query pays. */
export const digestOfText = (text: string): string => hash('sha256', `postgres\0${text}\0\0\0\0\0\0\0\0\0`, 'hex');

export interface SessionState {
  readonly inTransaction: boolean;
  readonly wroteInTransaction: boolean;
  /** What a statement changes now can be undone when its row count is known. */
  readonly undoable: boolean;
  /** What texts mean something by now: `Meaning.chain`. */
  readonly chain: string;
}

export const NO_TYPES: readonly number[] = [];
export const NO_PARAMETERS: readonly StatementParameter[] = [];

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
  return {
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
    ...(under.length === 0 ? {} : { meaning: under.join(' ') }),
  };
}

/** Bind values as an approver can read them. */
export function parametersOf(bytes: Buffer, message: BindMessage, prepared: Prepared): readonly StatementParameter[] {
  if (message.values.length === 0) return NO_PARAMETERS;
  const parameters: StatementParameter[] = [];
  for (let i = 0; i < message.values.length; i++) {
    const range = message.values[i];
    const type = prepared.types[i] ?? 0;
    if (range === undefined) {
      parameters.push({ text: undefined, type });
      continue;
    }
    const { start, end } = range;
    const format =
      message.formats.length === 0 ? 0 : message.formats.length === 1 ? message.formats[0]! : message.formats[i]!;
    const text =
      format === 0
        ? isShortAscii(bytes, start, end)
          ? bytes.toString('latin1', start, end)
          : textOf(bytes.subarray(start, end))
        : binaryText(bytes.subarray(start, end), type);
    parameters.push({ text, type });
  }
  return parameters;
}

/** Then it is the same in every encoding, and has no zero in it. */
function isShortAscii(bytes: Buffer, start: number, end: number): boolean {
  if (end - start > 64) return false;
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!;
    if (byte === 0 || byte > 0x7f) return false;
  }
  return true;
}

/** Text of a value in text format; hex of what is none. */
export const textOf = (value: Buffer): string =>
  isUtf8(value) && !value.includes(0) ? value.toString('utf8') : `\\x${value.toString('hex')}`;

/** By type OID (pg_type.dat): the ones drivers send in binary most. */
export function binaryText(value: Buffer, type: number): string {
  switch (type) {
    case 16:
      if (value.length === 1) return value[0] === 0 ? 'false' : 'true';
      break;
    case 21:
      if (value.length === 2) return String(value.readInt16BE());
      break;
    case 23:
      if (value.length === 4) return String(value.readInt32BE());
      break;
    case 26:
      if (value.length === 4) return String(value.readUInt32BE());
      break;
    case 20:
      if (value.length === 8) return String(value.readBigInt64BE());
      break;
    case 700:
      if (value.length === 4) return String(value.readFloatBE());
      break;
    case 701:
      if (value.length === 8) return String(value.readDoubleBE());
      break;
    case 25:
    case 1043:
    case 1042:
    case 19:
    case 114:
    case 142:
    case 705:
      return textOf(value);
    case 3802:
      if (value[0] === 1) return textOf(value.subarray(1));
      break;
    default:
  }
  return `\\x${value.toString('hex')}`;
}
