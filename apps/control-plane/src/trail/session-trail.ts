/**
 * What a session said, read back from its chain: judged statements with their outcomes. Reads stored batches between the
 * session's opening and its end, page by page. Refuses to mask: who asks decides what is shown.
 */
import { Injectable } from '@nestjs/common';
import type { StatementOutcome, TrailEvent } from '@sallyport/model';
import {
  EventReader,
  type EventRecord,
  parseEventRecord,
  RECORD_ERASED_EVENT,
  RECORD_EVENT,
  readRecords,
} from '@sallyport/trail';
import { Database } from '../db/database.ts';
import type { Session } from '../generated/prisma/client.ts';
import { SessionKeys } from './session-keys.ts';

export type Judged = Extract<TrailEvent, { kind: 'statement.judged' }>;

export interface RecordedStatement {
  readonly atMs: number;
  readonly event: Judged;
  outcome: StatementOutcome | undefined;
}

export interface StatementsPage {
  readonly items: readonly RecordedStatement[];
  /** Sequence to go on from; undefined on the last page. */
  readonly next: number | undefined;
  /** Judged statements that could not be opened. */
  readonly sealed: number;
}

const BATCHES_AT_ONCE = 16;
/** Outcomes lag behind; how many batches beyond the page are looked through for them. */
const LOOK_AHEAD = 32;

@Injectable()
export class SessionTrail {
  constructor(
    private readonly database: Database,
    private readonly keys: SessionKeys,
  ) {}

  /** @param after sequence of the last event of the page before; 0 for the first page */
  async statements(session: Session, after: number, limit: number): Promise<StatementsPage> {
    const items: RecordedStatement[] = [];
    let sealed = 0;
    let next: number | undefined;
    let ahead = 0;
    let lastSequence = after;
    const reader = new EventReader((keyId) => this.keys.find(keyId));
    for await (const batch of this.#batches(session, after)) {
      if (
        next !== undefined &&
        (ahead++ >= LOOK_AHEAD || items.every((item) => item.outcome !== undefined || item.event.verdict !== 'allow'))
      )
        break;
      const own = batch.filter((record) => record.sessionId === session.id && record.sequence > after);
      await this.keys.load(own.map((record) => record.keyId));
      for (const record of own) {
        const read = reader.read(record);
        if (read === undefined) continue;
        if (read.kind !== 'event') {
          if (record.kind === 'statement.judged' && next === undefined) sealed += 1;
          continue;
        }
        if (read.event.kind === 'statement.judged') {
          if (items.length === limit) next ??= lastSequence;
          if (next === undefined) items.push({ atMs: record.timeMs, event: read.event, outcome: undefined });
          lastSequence = record.sequence;
        } else if (read.event.kind === 'statement.finished') {
          for (const outcome of read.event.outcomes) {
            const item = items.findLast((candidate) => candidate.event.number === outcome.number);
            if (item !== undefined) item.outcome = outcome;
          }
        }
      }
    }
    return { items, next, sealed };
  }

  /** Records of the session's chain from its opening to its end, batch by batch. */
  async *#batches(session: Session, after: number): AsyncGenerator<readonly EventRecord[]> {
    const chainId = await chainOf(this.database, session);
    if (chainId === undefined) return;
    const ends = await this.database.client.trailEvent.findMany({
      where: {
        projectId: session.projectId,
        sessionId: session.id,
        chainId,
        kind: { in: ['session.opened', 'session.closed'] },
      },
      select: { kind: true, sequence: true },
    });
    const from = ends.find((row) => row.kind === 'session.opened')?.sequence ?? 0n;
    const to = ends.find((row) => row.kind === 'session.closed')?.sequence;
    let last = BigInt(after) > from ? BigInt(after) : from - 1n;
    for (;;) {
      const rows = await this.database.client.trailBatch.findMany({
        where: {
          chainId,
          lastSequence: { gt: last },
          ...(to === undefined ? {} : { firstSequence: { lte: to } }),
        },
        orderBy: { firstSequence: 'asc' },
        take: BATCHES_AT_ONCE,
        select: { lastSequence: true, records: true },
      });
      for (const row of rows) yield eventsOf(Buffer.from(row.records));
      const end = rows.at(-1);
      if (end === undefined || rows.length < BATCHES_AT_ONCE) return;
      last = end.lastSequence;
    }
  }
}

/** The chain that a session is on; what others say of it does not count. */
export async function chainOf(database: Database, session: Session): Promise<string | undefined> {
  const chain = await database.client.trailChain.findUnique({
    where: {
      agentId_instance_epoch: { agentId: session.agentId, instance: session.instance, epoch: session.chainEpoch },
    },
    select: { id: true },
  });
  return chain?.id;
}

/** Event records of stored bytes, in order. */
export function eventsOf(records: Buffer): readonly EventRecord[] {
  const events: EventRecord[] = [];
  for (const record of readRecords(records)) {
    if (record.type === RECORD_EVENT || record.type === RECORD_ERASED_EVENT)
      events.push(parseEventRecord(record.body, record.type === RECORD_ERASED_EVENT));
  }
  return events;
}
