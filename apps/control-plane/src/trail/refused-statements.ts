/**
 * What of a session did not run: statements whose last word on its chain is a refusal, or a hold that nobody has answered.
 * The index says where they stand, so only their batches are read. Refuses to mask: who asks decides what is shown.
 */
import { Injectable } from '@nestjs/common';
import { EventReader, type EventRecord, FLAG_CONTINUED } from '@sallyport/trail';
import { Database } from '../db/database.ts';
import type { Session } from '../generated/prisma/client.ts';
import { SessionKeys } from './session-keys.ts';
import { chainOf, eventsOf, type Judged } from './session-trail.ts';

export interface RefusedStatement {
  /** When it was asked for. */
  readonly atMs: number;
  /** The last word. */
  readonly event: Judged;
}

export interface RefusedQuery {
  /** Only behind this number. */
  readonly after: number;
  /** Refused ones at least, if there are as many; of those that still wait all. */
  readonly limit: number;
  wanted(text: string): boolean;
}

const ROWS_AT_ONCE = 500;

@Injectable()
export class RefusedStatements {
  constructor(
    private readonly database: Database,
    private readonly keys: SessionKeys,
  ) {}

  /** By their numbers, in order. `isWhole` is false when something of it could not be read. */
  async find(session: Session, asked: RefusedQuery) {
    const found = new Map<number, RefusedStatement>();
    let [refused, isWhole] = [0, true];
    for await (const judged of this.#judged(session)) {
      if (judged === undefined) {
        isWhole = false;
        continue;
      }
      const { event } = judged;
      const known = found.get(event.number);
      if (event.verdict === 'allow') found.delete(event.number);
      // Numbers rise: what comes new is behind all that is there, and what is refused stays so.
      else if (known === undefined && refused < asked.limit && event.number > asked.after && asked.wanted(event.text))
        found.set(event.number, judged);
      else if (known !== undefined) found.set(event.number, { atMs: known.atMs, event });
      else continue;
      if (event.verdict === 'deny') refused++;
      if (refused >= asked.limit && refused === found.size) break;
    }
    return { found, isWhole };
  }

  /**
   * Whether there may be more of the session than what is here: its chain does not say that it closed, and says that
   * something ran or nothing at all.
   */
  async goesOn(session: Session): Promise<boolean> {
    const chainId = await chainOf(this.database, session);
    if (chainId === undefined) return true;
    const rows = await this.database.client.trailEvent.groupBy({
      by: ['kind'],
      where: {
        projectId: session.projectId,
        sessionId: session.id,
        chainId,
        OR: [{ kind: { in: ['session.opened', 'session.closed'] } }, { kind: 'statement.judged', verdict: 'allow' }],
      },
    });
    const kinds = new Set(rows.map(({ kind }) => kind));
    return !kinds.has('session.closed') && (kinds.has('statement.judged') || kinds.size === 0);
  }

  /** Refusals, holds and what became of them, in order; undefined for one that cannot be read. */
  async *#judged(session: Session): AsyncGenerator<RefusedStatement | undefined> {
    const chainId = await chainOf(this.database, session);
    if (chainId === undefined) return;
    let after = -1n;
    for (;;) {
      const rows = await this.database.client.trailEvent.findMany({
        where: {
          projectId: session.projectId,
          sessionId: session.id,
          chainId,
          kind: 'statement.judged',
          sequence: { gt: after },
          // What was allowed after a hold names its approval.
          OR: [{ verdict: { in: ['deny', 'hold'] } }, { verdict: 'allow', target: { not: null } }],
        },
        orderBy: { sequence: 'asc' },
        take: ROWS_AT_ONCE,
        select: { sequence: true },
      });
      const wanted = new Set(rows.map(({ sequence }) => Number(sequence)));
      for (const { sequence } of rows) {
        // In a batch that was read for one before it.
        if (!wanted.has(Number(sequence))) continue;
        const records = await this.#batchOf(chainId, sequence);
        const own = records.filter((record) => record.sessionId === session.id);
        await this.keys.load(own.map((record) => record.keyId));
        const reader = new EventReader((keyId) => this.keys.find(keyId));
        for (const record of own) {
          const read = reader.read(record);
          if (!wanted.delete(record.sequence)) continue;
          yield read?.kind === 'event' && read.event.kind === 'statement.judged'
            ? { atMs: record.timeMs, event: read.event }
            : undefined;
        }
        // The index names it, and its batch is not there.
        if (wanted.delete(Number(sequence))) yield undefined;
      }
      const last = rows.at(-1);
      if (last === undefined || rows.length < ROWS_AT_ONCE) return;
      after = last.sequence;
    }
  }

  /** Records of the batch that holds this one, from the beginning of its first payload on. */
  async #batchOf(chainId: string, sequence: bigint): Promise<readonly EventRecord[]> {
    const records: EventRecord[] = [];
    for (let before = sequence; ; ) {
      const row = await this.database.client.trailBatch.findFirst({
        where: { chainId, firstSequence: { lte: before } },
        orderBy: { firstSequence: 'desc' },
        select: { firstSequence: true, lastSequence: true, records: true },
      });
      if (row === null || row.lastSequence < before) return records;
      records.unshift(...eventsOf(Buffer.from(row.records)));
      const first = records[0];
      if (first === undefined || (first.flags & FLAG_CONTINUED) === 0) return records;
      before = row.firstSequence - 1n;
    }
  }
}
