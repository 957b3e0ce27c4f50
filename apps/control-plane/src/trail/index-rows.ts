/**
 * What of a checked batch can be searched and shown: index rows, and what sessions and recordings learn from it.
 * Allowed statements are summed up as one row per batch and session; the raw records stay the truth. Pure.
 */
import type { SessionInfo, TrailEvent } from '@sallyport/model';
import { type EventRecord, KIND_CODES, type ReadEvent } from '@sallyport/trail';
import { type UsageRow, UsageTally } from './usage-rows.ts';

/** A row of `trail_events`, as JSON for one set-based insert. Absent = NULL. */
export interface IndexRow {
  readonly time: number;
  readonly sequence: number;
  readonly kind: string;
  readonly session?: string;
  readonly verdict?: string;
  readonly rule?: string;
  readonly code?: string;
  readonly action?: string;
  readonly target?: string;
  readonly principal?: string;
  readonly count: number;
}

export interface SessionCounts {
  readonly statements: number;
  readonly rows: number;
  readonly bytes: number;
}

export interface ClosedSession {
  readonly id: string;
  readonly timeMs: number;
  readonly reason: string;
  readonly counts: SessionCounts;
}

export interface RecordedChunk {
  readonly sessionId: string;
  readonly index: number;
  readonly bytes: number;
  readonly digest: string;
  readonly fromMs: number;
  readonly toMs: number;
}

export interface BatchIndex {
  readonly rows: readonly IndexRow[];
  readonly usage: readonly UsageRow[];
  readonly opened: readonly SessionInfo[];
  readonly closed: readonly ClosedSession[];
  readonly chunks: readonly RecordedChunk[];
  /** `epoch.started` of this chain, when it is in the batch. */
  readonly started: (Extract<TrailEvent, { kind: 'epoch.started' }> & { readonly timeMs: number }) | undefined;
  readonly ended: boolean;
}

const PARTS = new Set<number>([KIND_CODES['statement.finished'], KIND_CODES['recording.chunk']]);

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const idsOf = (session: SessionInfo): readonly string[] => [
  session.id,
  session.resourceId,
  session.principal.id,
  ...(session.onBehalfOf === undefined ? [] : [session.onBehalfOf.id]),
];
/** The index is a convenience: what its columns cannot hold is left out, and the record is taken all the same. */
const fits = (text: string): string => text.replaceAll('\0', '').slice(0, 1_000).toWellFormed();
const clean = (row: IndexRow): IndexRow => {
  const texts = Object.entries(row).map(
    ([key, value]) => [key, typeof value === 'string' ? fits(value) : value] as const,
  );
  return Object.fromEntries(
    texts.filter(([key, value]) => key !== 'principal' || UUID.test(String(value))),
  ) as unknown as IndexRow;
};

/** @param events in order; what could not be opened is indexed by its header alone */
export function indexBatch(events: readonly ReadEvent[]): BatchIndex {
  const rows: IndexRow[] = [];
  const allowed = new Map<string, IndexRow & { count: number }>();
  const opened: SessionInfo[] = [];
  const closed: ClosedSession[] = [];
  const chunks: RecordedChunk[] = [];
  const usage = new UsageTally();
  let started: BatchIndex['started'];
  let ended = false;
  for (const entry of events) {
    const { record } = entry;
    if (entry.kind !== 'event') {
      if (!PARTS.has(record.kindCode)) rows.push({ ...headerRow(record), code: entry.kind });
      continue;
    }
    const { event } = entry;
    switch (event.kind) {
      case 'statement.judged': {
        usage.add(record, event);
        if (event.verdict === 'allow' && event.approvalId === '' && event.shadow.length === 0) {
          const sum = allowed.get(record.sessionId) ?? { ...headerRow(record), verdict: 'allow', count: 0 };
          sum.count += 1;
          if (!allowed.has(record.sessionId)) allowed.set(record.sessionId, sum);
          break;
        }
        rows.push({
          ...headerRow(record),
          verdict: event.verdict,
          rule: event.rule,
          ...(event.code === '' ? {} : { code: event.code }),
          ...(event.approvalId === '' ? {} : { target: event.approvalId }),
        });
        break;
      }
      case 'statement.finished':
        break;
      case 'session.opened':
        if (idsOf(event.session).every((id) => UUID.test(id))) opened.push(event.session);
        rows.push({
          ...headerRow(record),
          target: `resource/${event.session.resourceName}`,
          principal: event.session.principal.id,
        });
        break;
      case 'session.closed':
        closed.push({ id: record.sessionId, timeMs: record.timeMs, reason: event.reason, counts: event });
        rows.push({ ...headerRow(record), code: event.reason });
        break;
      case 'recording.chunk':
        chunks.push({
          sessionId: record.sessionId,
          index: event.index,
          bytes: event.bytes,
          digest: event.digest,
          fromMs: event.fromMs,
          toMs: event.toMs,
        });
        break;
      case 'epoch.started':
        started = { ...event, timeMs: record.timeMs };
        rows.push({
          ...headerRow(record),
          target: `${event.recoveredEpoch}/${event.recoveredSequence}`,
          action: event.version,
        });
        break;
      case 'epoch.ended':
        ended = true;
        rows.push({ ...headerRow(record), code: event.reason });
        break;
      case 'auth.failed':
        rows.push({ ...headerRow(record), code: event.why, target: `resource/${event.resource}` });
        break;
      case 'bundle.applied':
        rows.push({ ...headerRow(record), target: `${event.epoch}/${event.revision}` });
        break;
      case 'bundle.refused':
        rows.push({ ...headerRow(record), target: `${event.epoch}/${event.revision}`, code: event.code });
        break;
      case 'approval.requested':
        rows.push({ ...headerRow(record), target: event.approvalId, rule: event.rule });
        break;
      case 'approval.answered':
        rows.push({ ...headerRow(record), target: event.approvalId, verdict: event.granted ? 'allow' : 'deny' });
        break;
      case 'tool.changed':
        rows.push({ ...headerRow(record), target: `tool/${event.tool}@${event.digest}` });
        break;
      case 'control.act':
        rows.push({
          ...headerRow(record),
          action: event.action,
          target: event.target,
          ...(event.principal === undefined ? {} : { principal: event.principal.id }),
        });
        break;
      default:
        event satisfies never;
    }
  }
  return {
    rows: [...rows, ...allowed.values()].map(clean),
    usage: usage.rows(),
    opened,
    closed,
    chunks,
    started,
    ended,
  };
}

const headerRow = (record: EventRecord): IndexRow => ({
  time: record.timeMs,
  sequence: record.sequence,
  kind: record.kind ?? `unknown.${record.kindCode}`,
  ...(record.sessionId === '' ? {} : { session: record.sessionId }),
  count: 1,
});
