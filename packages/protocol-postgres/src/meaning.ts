/**
 * What a statement's text means something by in this session, beside database and role: the settings it began with, and a chain
 * over all that moved names or settings since, in order. Two sessions of one meaning have said the same. ADR 0017.
 * Refuses to guess: what failed, was rolled back, or is not answered yet is like nothing else (a random part).
 */
import { hash } from 'node:crypto';
import type { SqlFacts, SqlStatementFacts, Statement } from '@sallyport/model';
import type { TransactionStatus } from './messages.ts';
import { REASON_SETTING } from './reason.ts';

/** Limits, names, what is pinned, and how far transactions see: no statement does another thing by them, unless it fails. */
const NO_MEANING: ReadonlySet<string> = new Set(
  `application_name client_encoding names standard_conforming_strings escape_string_warning client_min_messages
   client_connection_check_interval statement_timeout lock_timeout transaction_timeout idle_in_transaction_session_timeout
   idle_session_timeout synchronous_commit transaction session_characteristics transaction_isolation
   default_transaction_isolation transaction_read_only default_transaction_read_only transaction_deferrable
   default_transaction_deferrable work_mem maintenance_work_mem jit ${REASON_SETTING}`.split(/\s+/),
);
/** Settings the server tells of by itself (PostgreSQL protocol, "Asynchronous Operations"), in its own spelling. */
const TOLD: ReadonlySet<string> = new Set(['datestyle', 'intervalstyle', 'timezone', 'search_path']);

interface Moved {
  readonly chain: string;
  readonly names: boolean;
}

export class Meaning {
  readonly #random: () => string;
  readonly #begun: readonly string[];
  readonly #told = new Map<string, string>();
  #now: Moved = { chain: '', names: false };
  /** As it was when the transaction began that moved something and has not ended. */
  #before: Moved | undefined;
  /** Nothing but settings of that transaction. */
  #local = true;
  /** Of what moved something last, and of what the server has answered. */
  #segment = -1;
  #answered = -1;

  /** @param settings the session was asked to begin with, by lower-case names @param random text that never comes again */
  constructor(settings: Readonly<Record<string, string>>, random: () => string) {
    this.#random = random;
    this.#begun = Object.entries(settings)
      .filter(([name]) => !NO_MEANING.has(name) && (name === 'search_path' || !TOLD.has(name)))
      .map(([name, value]) => `${name}=${value}`)
      .sort();
  }

  /** The server told of a setting. */
  told(name: string, value: string): void {
    if (TOLD.has(name.toLowerCase())) this.#told.set(name.toLowerCase(), value);
  }

  /** The chain, for a statement of this segment. */
  chain(segment: number): string {
    return this.#isOpen(segment) ? this.#random() : this.#now.chain;
  }

  /** Everything, for a statement of this segment. */
  parts(segment: number): readonly string[] {
    const told = [...TOLD].map((name) => this.#told.get(name) ?? '');
    return [...told, this.#begun.join('\n'), this.chain(segment)];
  }

  /** Names may stand for other things than at sign-in, as far as is known. */
  namesMoved(segment: number): boolean {
    return this.#now.names || this.#isOpen(segment);
  }

  /** A statement goes to the server. */
  sent({ digest }: Pick<Statement, 'digest'>, { statements }: SqlFacts, segment: number): void {
    const isMoving = statements.some(moves);
    // How a transaction ends says what is left of what it moved.
    const ends = this.#before !== undefined && statements.some(({ transaction }) => transaction !== undefined);
    if (!isMoving && !ends) return;
    if (this.#before === undefined) {
      this.#before = this.#now;
      this.#local = true;
    }
    this.#local &&= statements.every((one) => !moves(one) || isLocal(one));
    this.#segment = segment;
    this.#now = { chain: link(this.#now.chain, digest), names: this.#now.names || statements.some(movesNames) };
  }

  /** Something failed, or was rolled back: nothing tells what is left of what this transaction moved. */
  failed(): void {
    if (this.#before !== undefined) this.#now = { ...this.#now, chain: link(this.#now.chain, this.#random()) };
  }

  /** ReadyForQuery of a segment. */
  ready(segment: number, status: TransactionStatus): void {
    this.#answered = segment;
    if (status !== 'I' || this.#before === undefined || this.#segment > segment) return;
    this.#now = this.#local ? this.#before : { ...this.#now, chain: link(this.#now.chain, 'end') };
    this.#before = undefined;
  }

  /** What moved something in a pipeline before this one has no answer yet. */
  #isOpen(segment: number): boolean {
    return this.#before !== undefined && this.#segment > this.#answered && this.#segment < segment;
  }
}

const link = (chain: string, next: string): string => hash('sha256', `${chain}\n${next}`, 'hex');

/** What tables and functions a name stands for may be another from here on, in this session. */
const movesNames = ({ kind, setting, effects }: SqlStatementFacts): boolean =>
  (kind !== 'show' && (setting === 'search_path' || setting === 'all')) ||
  kind === 'discard' ||
  effects.some((effect) => effect === 'ddl' || effect === 'exec' || effect === 'admin');

const moves = (facts: SqlStatementFacts): boolean =>
  movesNames(facts) || (facts.kind !== 'show' && facts.setting !== undefined && !NO_MEANING.has(facts.setting));

/** Ends with its transaction. A setting is in the facts of SET and of set_config by itself alone. */
const isLocal = ({ kind, settingLocal }: SqlStatementFacts): boolean =>
  settingLocal === true && (kind === 'set' || kind === 'select');
