/**
 * What a batch says of use: per session and day, how often it was allowed, held and denied, by effect and by what it reached.
 * Access reviews are made from it. Pure. Refuses texts and parameters: names of relations and commands, and counts, are all.
 */
import { LIMITS } from '@sallyport/core';
import type { TrailEvent } from '@sallyport/model';
import type { EventRecord } from '@sallyport/trail';

export const USAGE_KINDS = ['total', 'effect', 'reached'] as const;
export type UsageKind = (typeof USAGE_KINDS)[number];
/** What stands for the words beyond `LIMITS.usageWordsPerDayMax`. */
export const MORE_WORDS = '…';

export interface UsageRow {
  readonly session: string;
  /** UTC, `2026-11-21`. */
  readonly day: string;
  readonly kind: UsageKind;
  readonly word: string;
  allowed: number;
  held: number;
  denied: number;
  /** UTC ms and sequence of the last statement counted. */
  last: number;
  sequence: number;
  /** UTC ms of the last that was allowed; 0 = none was. */
  allowedLast: number;
}

type Judged = Extract<TrailEvent, { kind: 'statement.judged' }>;
const DAY_MS = 86_400_000;
const OUTCOMES = { allow: 'allowed', hold: 'held', deny: 'denied' } as const;

/** What one session did in one day; words as they came are the keys, so that a known one costs a look-up and no more. */
class SessionDay {
  readonly rows: UsageRow[] = [];
  readonly #words = {
    total: new Map<string, UsageRow>(),
    effect: new Map<string, UsageRow>(),
    reached: new Map<string, UsageRow>(),
  };
  readonly session: string;
  readonly dayNumber: number;
  constructor(session: string, dayNumber: number) {
    this.session = session;
    this.dayNumber = dayNumber;
  }

  count(kind: UsageKind, said: string, outcome: 'allowed' | 'held' | 'denied', timeMs: number, sequence: number): void {
    const words = this.#words[kind];
    let row = words.get(said);
    if (row === undefined) {
      if (words.size >= LIMITS.usageWordsPerDayMax && said !== MORE_WORDS)
        return this.count(kind, MORE_WORDS, outcome, timeMs, sequence);
      row = this.#row(kind, fits(said));
      words.set(said, row);
    }
    row[outcome] += 1;
    if (timeMs > row.last) row.last = timeMs;
    if (outcome === 'allowed' && timeMs > row.allowedLast) row.allowedLast = timeMs;
    row.sequence = sequence;
  }

  /** Two words may come out as one, and a row must stand once. */
  #row(kind: UsageKind, word: string): UsageRow {
    const known = this.rows.find((row) => row.kind === kind && row.word === word);
    if (known !== undefined) return known;
    const day = new Date(this.dayNumber * DAY_MS).toISOString().slice(0, 10);
    const counts = { allowed: 0, held: 0, denied: 0, last: 0, sequence: 0, allowedLast: 0 };
    const row = { session: this.session, day, kind, word, ...counts };
    this.rows.push(row);
    return row;
  }
}

/** Gathers one batch. Called once per judged statement; a fraction of what reading its event costs. */
export class UsageTally {
  /** By session, then by day: a batch knows few of either. */
  readonly #sessions = new Map<string, SessionDay[]>();
  #last: SessionDay | undefined;

  add({ sessionId, timeMs, sequence }: Pick<EventRecord, 'sessionId' | 'timeMs' | 'sequence'>, event: Judged): void {
    // Its execution is judged again; only a refusal is the end of it.
    if (event.preparation === true && event.verdict !== 'deny') return;
    const day = this.#dayOf(sessionId, Math.floor(timeMs / DAY_MS));
    const outcome = OUTCOMES[event.verdict];
    day.count('total', '', outcome, timeMs, sequence);
    for (const effect of event.effects) day.count('effect', effect, outcome, timeMs, sequence);
    if (event.reached !== undefined)
      for (const what of event.reached) day.count('reached', what, outcome, timeMs, sequence);
  }

  rows(): readonly UsageRow[] {
    return [...this.#sessions.values()].flatMap((days) => days.flatMap((day) => day.rows));
  }

  #dayOf(session: string, dayNumber: number): SessionDay {
    const last = this.#last;
    if (last !== undefined && last.dayNumber === dayNumber && last.session === session) return last;
    let days = this.#sessions.get(session);
    if (days === undefined) {
      days = [];
      this.#sessions.set(session, days);
    }
    let day = days.find((one) => one.dayNumber === dayNumber);
    if (day === undefined) {
      day = new SessionDay(session, dayNumber);
      days.push(day);
    }
    this.#last = day;
    return day;
  }
}

/** What a text column and JSON can hold. */
const fits = (text: string): string => text.replaceAll('\0', '').slice(0, LIMITS.reachedCharactersMax).toWellFormed();
