/**
 * What the server holds for this session, as far as judging needs it: prepared statements, portals, cursors.
 * Never thinks it knows more than the server confirmed: what was sent but not answered is `confirmed: false`, and another
 * pipeline waits before it relies on that (or a Parse that fails would leave an older statement under a judged name).
 * Limits: LIMITS.preparedStatementsMax, LIMITS.portalsMax.
 */
import { GatewayError, LIMITS } from '@sallyport/core';
import type { MaskKey } from '@sallyport/mask';
import type { MaskSet, SqlFacts, Statement, StatementParameter } from '@sallyport/model';
import type { Permit } from '@sallyport/protocol-kit';
import type { Reach } from './catalog.ts';
import type { FieldDescription } from './messages.ts';

/** The server keeps names in 64 bytes and cuts longer ones, so two long names could be one. */
const NAME_BYTES_MAX = 63;
/** Characters of all texts, and of all parameters, that one session may make us keep; small ones are bounded by their number. */
const KEPT_TEXT_MAX = 64 * 1024 * 1024;
const SMALL_TEXT = 1_024;
const parameterSize = (portal: Portal): number =>
  portal.parameters.reduce((sum, parameter) => sum + (parameter.text?.length ?? 0), 0);

export interface Prepared {
  readonly name: string;
  readonly text: string;
  /** Undefined when the text is not understood. */
  readonly facts: SqlFacts | undefined;
  /** What digests start with: protocol, text, declared types. */
  readonly digestHead: Buffer;
  /** Parameter types as the client declared them. */
  readonly declared: readonly number[];
  /** What its text meant something by when it was prepared: `Meaning.chain`. Constants are kept as they were read then. */
  readonly chain: string;
  /** Parameter types as declared, then as the server told. */
  types: readonly number[];
  /** As Describe of the statement told; undefined before, empty for no rows. */
  columns: readonly FieldDescription[] | undefined;
  readonly segment: number;
  confirmed: boolean;
  /** Failed or skipped: it never was. */
  gone: boolean;
  /** What had its name, until it is confirmed. */
  before: Prepared | undefined;
}

export interface Portal {
  readonly name: string;
  readonly prepared: Prepared;
  readonly parameters: readonly StatementParameter[];
  readonly digest: string;
  readonly segment: number;
  confirmed: boolean;
  gone: boolean;
  before: Portal | undefined;
  /** As Describe of the portal told. */
  columns: readonly FieldDescription[] | undefined;
  /** A Describe of this portal is under way or answered. */
  described: boolean;
  permit: Permit | undefined;
  /** What its COMMIT was judged for, by the transaction's version. */
  judgedWork: number;
  /** Of its answer's columns: none = all text, one = for all, else one for each. */
  readonly formats: readonly number[];
  /** The statement as it was judged last. */
  statement: Statement | undefined;
  /** Serial of the bundle it was judged under. */
  judgedUnder: number;
  /** Set once it was judged; a further Execute fetches more of the same answer. */
  tally: Tally | undefined;
  /** What it was vouched for with; its description must say the same. */
  vouched: readonly FieldDescription[] | undefined;
  /** Its Execute went to the server. */
  started: boolean;
}

/** A cursor made by DECLARE: what FETCH from it reads. */
export interface Cursor {
  readonly facts: SqlFacts;
  readonly text: string;
  /** What it meant something by when it was declared: `Meaning.chain`. */
  readonly chain: string;
}

/** One judged statement on its way: what came back of it, and what applies to that. */
export interface Tally {
  readonly number: number;
  readonly facts: SqlFacts | undefined;
  readonly guard: Guard;
  readonly startedUs: number;
  /** That came back or were changed. */
  rows: number;
  /** `rows` as it was when the last statement of the string completed. */
  rowsTagged: number;
  bytes: number;
  masked: number;
  error: string;
  finished: boolean;
  /** Which statement of the string answers at the moment, from 0. */
  index: number;
  /** What each statement of the string changes once it has run. */
  readonly changes: readonly { readonly index: number; apply(mirror: Mirror, segment: number): void }[];
  /** By statement of the string: columns as vouched for before it ran; `free` where none are masked; undefined = no rows may come. */
  readonly vouched: readonly (readonly FieldDescription[] | 'free' | undefined)[] | undefined;
}

/** What the session's masks mean for one statement's answer. */
export interface Guard {
  readonly masks: MaskSet;
  readonly key: MaskKey | undefined;
  /** Undefined when no column mask can matter. */
  readonly reach: Reach | undefined;
  /** It names masked relations: only an answer that was vouched for may come. */
  readonly touches: boolean;
  /** Its errors may quote masked values: it touches them, or reads a view that does. */
  readonly quotes: boolean;
  /** Rows beyond this end the session: what it is approved for, or no bound. */
  readonly rowsMax: number;
}

/**
 * What the server holds by a name. The unnamed one stands apart: most clients make it anew for each statement, and a Map that
 * is emptied each time gives its memory back each time, outside of compiled code.
 */
class ByName<T> {
  readonly #named = new Map<string, T>();
  #unnamed: T | undefined;

  get size(): number {
    return this.#named.size + (this.#unnamed === undefined ? 0 : 1);
  }
  get(name: string): T | undefined {
    return name === '' ? this.#unnamed : this.#named.get(name);
  }
  has(name: string): boolean {
    return this.get(name) !== undefined;
  }
  set(name: string, item: T): void {
    if (name === '') this.#unnamed = item;
    else this.#named.set(name, item);
  }
  delete(name: string): void {
    if (name === '') this.#unnamed = undefined;
    else this.#named.delete(name);
  }
  /** As they are at the moment of the call: what is walked may be deleted meanwhile. */
  values(): readonly T[] {
    if (this.#named.size === 0) return this.#unnamed === undefined ? [] : [this.#unnamed];
    return this.#unnamed === undefined ? [...this.#named.values()] : [...this.#named.values(), this.#unnamed];
  }
  /** As `values`. */
  names(): readonly string[] {
    return this.#unnamed === undefined ? [...this.#named.keys()] : [...this.#named.keys(), ''];
  }
}

export class Mirror {
  readonly prepared = new ByName<Prepared>();
  readonly portals = new ByName<Portal>();
  readonly cursors = new Map<string, Cursor>();
  #closed: Portal[] = [];

  /** @throws GatewayError `session.limit` */
  addPrepared(prepared: Prepared): void {
    if (this.prepared.size >= LIMITS.preparedStatementsMax)
      throw new GatewayError('session.limit', { prepared: this.prepared.size });
    if (prepared.text.length > SMALL_TEXT) {
      let total = prepared.text.length;
      for (const other of this.prepared.values()) total += other.text.length;
      if (total > KEPT_TEXT_MAX) throw new GatewayError('session.limit', { preparedText: total });
    }
    this.prepared.set(prepared.name, prepared);
  }

  /** @throws GatewayError `session.limit` */
  addPortal(portal: Portal): void {
    if (this.portals.size >= LIMITS.portalsMax) throw new GatewayError('session.limit', { portals: this.portals.size });
    const size = parameterSize(portal);
    if (size > SMALL_TEXT) {
      let total = size;
      for (const other of this.portals.values()) total += parameterSize(other);
      if (total > KEPT_TEXT_MAX) throw new GatewayError('session.limit', { parameterText: total });
    }
    // Portals and cursors share their names on the server: the older of the two is gone, or this one fails.
    if (this.cursors.size > 0) this.cursors.delete(portal.name);
    this.portals.set(portal.name, portal);
  }

  /** @throws GatewayError `session.limit` */
  addCursor(name: string, cursor: Cursor): void {
    if (this.cursors.size >= LIMITS.portalsMax) throw new GatewayError('session.limit', { cursors: this.cursors.size });
    this.#dropPortal(name);
    this.cursors.set(name, cursor);
  }

  /** SQL CLOSE: of a cursor, or of a portal that a Bind made. */
  closeCursor(name: string): void {
    this.cursors.delete(name);
    this.#dropPortal(name);
  }

  /** CLOSE ALL, DISCARD ALL. */
  closeAllCursors(): void {
    this.cursors.clear();
    for (const name of this.portals.names()) this.#dropPortal(name);
  }

  /** A simple query ran: the unnamed portal of before its segment is gone. One bound behind it is another. */
  unnamedReplaced(segment: number): void {
    if ((this.portals.get('')?.segment ?? segment) < segment) this.#dropPortal('');
  }

  /** Portals that SQL closed since the last call; their outcomes are to be told. */
  takeClosed(): readonly Portal[] {
    const closed = this.#closed;
    if (closed.length > 0) this.#closed = [];
    return closed;
  }

  #dropPortal(name: string): void {
    const portal = this.portals.get(name);
    if (portal === undefined) return;
    this.portals.delete(name);
    this.#closed.push(portal);
  }

  /** Every portal and cursor ends with its transaction, but for cursors WITH HOLD, which stay judgeable. */
  transactionEnded(): void {
    for (const portal of this.portals.values()) if (portal.confirmed) this.portals.delete(portal.name);
  }
}

/**
 * Takes back what failed or was skipped; what had the name before stands again, unless it never was either. Steps back may
 * come in any order: a pipeline fails while a later part of it still waits here.
 * @param restores false where the server drops the older one too: an unnamed Parse or Bind that fails by itself
 */
export function stepBack<T extends { gone: boolean; before: T | undefined }>(
  names: ByName<T>,
  name: string,
  item: T,
  restores: boolean,
): void {
  item.gone = true;
  if (!restores) item.before = undefined;
  if (names.get(name) === item) names.delete(name);
  if (names.has(name)) return;
  let older = item.before;
  while (older?.gone === true) older = older.before;
  if (older !== undefined) names.set(name, older);
}

/** The mirror's key of a name from SQL text: bytes as characters, like names in messages. */
export const sqlName = (name: string): string => Buffer.from(name, 'utf8').toString('latin1');

/**
 * Names of the gateway's own statements and portals begin so; no client's may: a cursor of such a name would let run what
 * is sent to fail.
 */
export const isOwnName = (name: string): boolean => name.startsWith('sallyport');

/** @throws GatewayError `protocol.unsupported` */
export function requireName(name: string): string {
  if (name.length > NAME_BYTES_MAX || isOwnName(name))
    throw new GatewayError('protocol.unsupported', { name: name.length });
  return name;
}
