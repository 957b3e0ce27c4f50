/**
 * What a transaction changed in watched tables, as before and after: taken up by the act that is written next, so that no
 * feature has to describe its own changes. A watched change whose transaction writes no act fails: it would leave no record.
 * Refuses to see raw SQL; a feature that writes a watched table by it says so with `noteChange`.
 */
import { createHash } from 'node:crypto';
import { GatewayError } from '@sallyport/core';
import type { Tx } from '../db/database.ts';
import { areasOf } from '../dual-control/areas.ts';
import { Prisma } from '../generated/prisma/client.ts';
import { textDiff } from './text-diff.ts';
import { WATCHED, type Watched } from './watched.ts';

type Row = Readonly<Record<string, unknown>>;
type Json = Prisma.InputJsonValue | null;

/** One thing before and after; of one that stays, only the fields that differ. */
export interface Change {
  readonly thing: string;
  /** Name, or id of what has none. */
  readonly name: string;
  readonly before: Readonly<Record<string, Json>> | null;
  readonly after: Readonly<Record<string, Json>> | null;
}

const HIDDEN = '[hidden]';
/** In one act; how many more there were is told. */
const CHANGES_MAX = 50;
const CHANGES_CHARS_MAX = 48_000;
const TEXT_CHARS_MAX = 1_000;
const DIFF_LINES_MAX = 400;

export class ChangeLog {
  readonly areas = new Set<string>();
  readonly #all: Change[] = [];
  readonly #state = createHash('sha256');
  #agreed = false;
  #pending: Change[] = [];
  #more = 0;
  #last: { readonly id: bigint; readonly detail: Prisma.InputJsonObject } | undefined;

  /** A second admin agreed to what this transaction does. */
  agree(): void {
    this.#agreed = true;
  }
  get agreed(): boolean {
    return this.#agreed;
  }

  /** What changed in all, as far as it is told. */
  all(): readonly Change[] {
    return this.#all;
  }

  /** SHA-256 over everything that was changed, as it was: the same change of the same state has the same. */
  baseline(): Uint8Array<ArrayBuffer> {
    return Uint8Array.from(this.#state.copy().digest());
  }

  /** @param before what counts of the row; null = it was made */
  touched(table: string, areas: readonly string[], before: unknown): void {
    for (const area of areas) this.areas.add(area);
    this.#state.update(canonical([table, before]));
  }

  note(change: Change): void {
    if (this.#all.length < CHANGES_MAX) this.#all.push(change);
    if (this.#pending.length < CHANGES_MAX) this.#pending.push(change);
    else this.#more += 1;
  }

  /** The detail of an act, with what changed since the act before. */
  take(detail: Prisma.InputJsonObject): Prisma.InputJsonObject {
    if (this.#pending.length === 0) return detail;
    const { changes: given } = detail;
    const earlier = Array.isArray(given) ? (given as readonly Change[]) : [];
    const kept: Change[] = [];
    let characters = 0;
    for (const change of [...earlier, ...this.#pending]) {
      characters += JSON.stringify(change).length;
      if (characters <= CHANGES_CHARS_MAX && kept.length < CHANGES_MAX) kept.push(change);
      else this.#more += 1;
    }
    const more = this.#more + Number(detail['moreChanges'] ?? 0);
    this.#pending = [];
    this.#more = 0;
    return {
      ...detail,
      changes: kept as unknown as Prisma.InputJsonArray,
      ...(more === 0 ? {} : { moreChanges: more }),
    };
  }

  acted(id: bigint, detail: Prisma.InputJsonObject): void {
    this.#last = { id, detail };
  }

  /** Before the commit: what changed after the last act joins it. @throws GatewayError `internal` when there is no act */
  async finish(tx: Tx): Promise<void> {
    const [first] = this.#pending;
    if (first === undefined) return;
    if (this.#last === undefined)
      throw new GatewayError('internal', { reason: 'a change without its act', thing: first.thing });
    const detail = this.take(this.#last.detail);
    await tx.controlAct.update({ where: { id: this.#last.id }, data: { detail } });
  }
}

const logs = new WeakMap<object, ChangeLog>();

export const changeLogOf = (tx: Tx): ChangeLog | undefined => logs.get(tx);

/** A row that a statement of its own makes, changes or ends along with the act that tells of it. */
export interface RowChange {
  /** By the name of its delegate. */
  readonly table: string;
  readonly before: Row | null;
  readonly after: Row | null;
}

/** The detail of such an act: what the statement changes stands in it as it would by `recordAct`. */
export function detailWith(detail: Prisma.InputJsonObject, rows: readonly RowChange[]): Prisma.InputJsonObject {
  const log = new ChangeLog();
  for (const { table, before, after } of rows) noteIn(log, table, before, after);
  return log.take(detail);
}

/** For raw SQL. @param before null = it was made; @param after null = it is gone */
export function noteChange(tx: Tx, table: string, before: Row | null, after: Row | null): void {
  const log = logs.get(tx);
  if (log !== undefined) noteIn(log, table, before, after);
}

function noteIn(log: ChangeLog, table: string, before: Row | null, after: Row | null): void {
  const watched = WATCHED[table];
  if (watched === undefined || watched.skip?.(after ?? before ?? {}) === true) return;
  const columns = columnsOf(table);
  const change = changeOf(watched, columns, before, after);
  if (change === undefined) return;
  log.note(change);
  const counts = columns.filter((field) => !(watched.quiet ?? []).includes(field) && field !== 'updatedAt');
  const state = before === null ? null : Object.fromEntries(counts.map((field) => [field, before[field]]));
  log.touched(table, areasOf(table, before, after), state);
}

const ENUMS: ReadonlyMap<string, unknown> = new Map(Object.entries(Prisma));

/** What a row has of its own; `include` brings rows of other tables along. @param table name of its delegate */
export const columnsOf = (table: string): readonly string[] =>
  Object.keys(ENUMS.get(`${table.charAt(0).toUpperCase()}${table.slice(1)}ScalarFieldEnum`) ?? {});

/** @returns undefined when nothing that counts differs */
export function changeOf(
  watched: Watched,
  columns: readonly string[],
  before: Row | null,
  after: Row | null,
): Change | undefined {
  const ignored = new Set(['id', 'projectId', 'createdAt', 'updatedAt', ...(watched.quiet ?? [])]);
  const fields = columns.filter((field) => !ignored.has(field));
  const whole = after ?? before ?? {};
  const called = whole['name'] ?? whole['id'];
  const name = typeof called === 'string' ? called : '';
  if (before !== null && after !== null) {
    const differ = fields.filter((field) => field in after && !isSame(before[field], after[field]));
    if (differ.length === 0) return undefined;
    const pairs = differ.map((field) => [field, ...shownPair(watched, field, before[field], after[field])] as const);
    return {
      thing: watched.thing,
      name,
      before: Object.fromEntries(pairs.map(([field, old]) => [field, old])),
      after: Object.fromEntries(pairs.map(([field, , now]) => [field, now])),
    };
  }
  const shown = Object.fromEntries(
    fields
      .filter((field) => whole[field] !== null && whole[field] !== undefined)
      .map((field) => [field, watched.open.includes(field) ? shownValue(watched, whole[field]) : HIDDEN]),
  );
  return { thing: watched.thing, name, before: before === null ? null : shown, after: after === null ? null : shown };
}

/** Of texts the lines, of objects the keys that differ, so that a reader sees what was changed. */
function shownPair(watched: Watched, field: string, before: unknown, after: unknown): readonly [Json, Json] {
  if (!watched.open.includes(field)) return [HIDDEN, HIDDEN];
  if (isObject(before) && isObject(after)) {
    const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])].filter(
      (key) => !isSame(before[key], after[key]),
    );
    const part = (row: Row): Row => Object.fromEntries(keys.filter((key) => key in row).map((key) => [key, row[key]]));
    return [shownValue(watched, part(before)), shownValue(watched, part(after))];
  }
  if (typeof before !== 'string' || typeof after !== 'string' || !`${before}${after}`.includes('\n'))
    return [shownValue(watched, before), shownValue(watched, after)];
  const short = (text: string): boolean => text.split('\n').length <= DIFF_LINES_MAX;
  if (!short(before) || !short(after)) return [digestOf(before), digestOf(after)];
  const lines = textDiff(before, after);
  const side = (mark: string): string[] => lines.filter((line) => line.startsWith(mark)).map((line) => line.slice(2));
  return [side('- '), side('+ ')];
}

const isObject = (value: unknown): value is Row =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);

function shownValue(watched: Watched, value: unknown): Json {
  if (value === undefined || value === null) return null;
  if (value instanceof Uint8Array) return HIDDEN;
  const json = JSON.parse(
    JSON.stringify(value, (key, one: unknown) => {
      if (watched.hiddenKeys?.includes(key) === true) return HIDDEN;
      return typeof one === 'bigint' ? String(one) : one;
    }),
  ) as Json;
  const text = typeof json === 'string' ? json : JSON.stringify(json);
  return text.length > TEXT_CHARS_MAX ? digestOf(text) : json;
}

const digestOf = (text: string): string =>
  `${text.length} characters, sha256 ${createHash('sha256').update(text).digest('hex')}`;

const isSame = (a: unknown, b: unknown): boolean => canonical(a) === canonical(b);

/** Objects by sorted keys: a JSON column comes back in the database's order. */
const canonical = (value: unknown): string =>
  JSON.stringify(value ?? null, (_, one: unknown) => {
    if (typeof one === 'bigint') return String(one);
    if (typeof one !== 'object' || one === null || Array.isArray(one) || one instanceof Uint8Array) return one;
    return Object.fromEntries(Object.entries(one).sort(([a], [b]) => (a < b ? -1 : 1)));
  });

/** Ties a log to a transaction's client; db/database.ts does, at its start. */
export const watch = (tx: Tx): ChangeLog => {
  const log = new ChangeLog();
  logs.set(tx, log);
  return log;
};
