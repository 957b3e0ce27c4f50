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
}

type Judged = Extract<TrailEvent, { kind: 'statement.judged' }>;
const DAY_MS = 86_400_000;
const OUTCOMES = { allow: 'allowed', hold: 'held', deny: 'denied' } as const;

/** Gathers one batch. Called once per judged statement; a fraction of what reading its event costs. */
export class UsageTally {
  /** By session and day number, then by kind and word. */
  readonly #days = new Map<string, Map<string, UsageRow>>();
  #lastKey = '';
  #last: Map<string, UsageRow> | undefined;

  add({ sessionId, timeMs, sequence }: Pick<EventRecord, 'sessionId' | 'timeMs' | 'sequence'>, event: Judged): void {
    // Its execution is judged again; only a refusal is the end of it.
    if (event.preparation === true && event.verdict !== 'deny') return;
    const day = Math.floor(timeMs / DAY_MS);
    const key = `${day}${sessionId}`;
    if (key !== this.#lastKey || this.#last === undefined) {
      this.#lastKey = key;
      this.#last = this.#days.get(key) ?? new Map<string, UsageRow>();
      this.#days.set(key, this.#last);
    }
    const words = this.#last;
    const outcome = OUTCOMES[event.verdict];
    const count = (kind: UsageKind, word: string): void => {
      const place = `${kind} ${word}`;
      let row = words.get(place);
      if (row === undefined) {
        if (kind === 'reached' && word !== MORE_WORDS && words.size >= LIMITS.usageWordsPerDayMax)
          return count('reached', MORE_WORDS);
        row = {
          session: sessionId,
          day: dayText(day),
          kind,
          word,
          allowed: 0,
          held: 0,
          denied: 0,
          last: 0,
          sequence: 0,
        };
        words.set(place, row);
      }
      row[outcome] += 1;
      row.last = Math.max(row.last, timeMs);
      row.sequence = sequence;
    };
    count('total', '');
    for (const effect of event.effects) count('effect', effect);
    for (const what of event.reached ?? []) count('reached', fits(what));
  }

  rows(): readonly UsageRow[] {
    return [...this.#days.values()].flatMap((words) => [...words.values()]);
  }
}

const dayText = (day: number): string => new Date(day * DAY_MS).toISOString().slice(0, 10);
/** What a text column and JSON can hold. */
const fits = (text: string): string => text.replaceAll('\0', '').slice(0, LIMITS.reachedCharactersMax).toWellFormed();
