/**
 * Whether an uploaded batch goes on from where its chain stands, event by event, before a byte of it is stored.
 * Pure: bytes and a position in, what to store out. Refuses to open payloads and to look signatures' keys up.
 * docs/reference/trail-format.md; a batch that does not fit is `trail.broken` with a short reason.
 */
import { GatewayError } from '@sallyport/core';
import {
  type ChainIdentity,
  type ChainPosition,
  type Checkpoint,
  type EventRecord,
  genesis,
  type KeyRecord,
  parseCheckpoint,
  parseEventRecord,
  parseKeyRecord,
  parseSegmentHeader,
  RECORD_CHECKPOINT,
  RECORD_ERASED_EVENT,
  RECORD_EVENT,
  RECORD_KEY,
  readRecords,
  type SegmentHeader,
  sameChain,
} from '@sallyport/trail';

export interface UploadedBatch {
  readonly identity: ChainIdentity;
  readonly records: Buffer;
  readonly segmentHeader: Buffer;
}

/** What of a batch is news. */
export interface CheckedBatch {
  readonly segment: SegmentHeader;
  /** Events beyond the chain's position, in order. */
  readonly events: readonly EventRecord[];
  /** Their records and the checkpoint's, as they came: what is stored. Key records are kept apart, so that erasing works. */
  readonly stored: Buffer;
  readonly keys: readonly KeyRecord[];
  /** Of this batch, in the order of the segments they end; signatures not checked yet. */
  readonly checkpoints: readonly { readonly checkpoint: Checkpoint; readonly body: Buffer }[];
  readonly position: ChainPosition;
  /** Events that were here already: sequence and head of the last of them, to be compared with what is stored. */
  readonly known: ChainPosition | undefined;
}

const broken = (reason: string, detail: Record<string, string | number> = {}): GatewayError =>
  new GatewayError('trail.broken', { reason, ...detail });

/**
 * @param position where the chain stands; undefined for a chain never seen, which has to start at its genesis
 * @throws GatewayError `trail.broken` with `reason`: `identity`, `gap`, `fork`, `prev`, `genesis`, `segment`, `checkpoint`,
 *   or what the record parsers say
 */
export function checkBatch(batch: UploadedBatch, position: ChainPosition | undefined): CheckedBatch {
  const segment = parseSegmentHeader(batch.segmentHeader);
  if (!sameChain(segment.identity, batch.identity)) throw broken('identity');
  const events: EventRecord[] = [];
  const keys: KeyRecord[] = [];
  const checkpoints: { checkpoint: Checkpoint; body: Buffer }[] = [];
  const stored: Buffer[] = [];
  let at: ChainPosition = position ?? { sequence: 0, head: genesis(batch.identity) };
  let known: ChainPosition | undefined;
  let ended = false;
  for (const record of readRecords(batch.records)) {
    if (ended) throw broken('segment', { after: 'checkpoint' });
    switch (record.type) {
      case RECORD_EVENT:
      case RECORD_ERASED_EVENT: {
        const event = parseEventRecord(record.body, record.type === RECORD_ERASED_EVENT);
        requireInSegment(event, segment);
        if (event.sequence <= at.sequence) {
          requireLinked(event, known);
          known = { sequence: event.sequence, head: event.head };
          if (event.sequence === at.sequence && !event.head.equals(at.head))
            throw broken('fork', { sequence: event.sequence });
          break;
        }
        if (event.sequence !== at.sequence + 1)
          throw broken('gap', { sequence: event.sequence, expected: at.sequence + 1 });
        if (!event.prev.equals(at.head))
          throw broken(at.sequence === 0 ? 'genesis' : 'prev', { sequence: event.sequence });
        at = { sequence: event.sequence, head: event.head };
        events.push(event);
        stored.push(batch.records.subarray(record.start, record.end));
        break;
      }
      case RECORD_KEY:
        keys.push(parseKeyRecord(record.body));
        break;
      case RECORD_CHECKPOINT: {
        const checkpoint = parseCheckpoint(record.body);
        requireEnds(checkpoint, segment, known !== undefined && events.length === 0 ? known : at, at);
        checkpoints.push({ checkpoint, body: record.body });
        stored.push(batch.records.subarray(record.start, record.end));
        ended = true;
        break;
      }
      default:
        record.type satisfies never;
    }
  }
  return { segment, events, keys, checkpoints, stored: Buffer.concat(stored), position: at, known };
}

function requireInSegment(event: EventRecord, segment: SegmentHeader): void {
  if (event.sequence < segment.firstSequence) throw broken('segment', { sequence: event.sequence });
  if (event.sequence === segment.firstSequence && !event.prev.equals(segment.prev))
    throw broken('segment', { sequence: event.sequence });
}

function requireLinked(event: EventRecord, before: ChainPosition | undefined): void {
  if (before === undefined) return;
  if (event.sequence !== before.sequence + 1)
    throw broken('gap', { sequence: event.sequence, expected: before.sequence + 1 });
  if (!event.prev.equals(before.head)) throw broken('prev', { sequence: event.sequence });
}

/** A checkpoint ends the events right before it; one that arrives alone ends what is stored. */
function requireEnds(checkpoint: Checkpoint, segment: SegmentHeader, last: ChainPosition, at: ChainPosition): void {
  if (!sameChain(checkpoint.identity, segment.identity)) throw broken('checkpoint', { what: 'identity' });
  if (checkpoint.firstSequence !== segment.firstSequence || !checkpoint.prev.equals(segment.prev)) {
    throw broken('checkpoint', { what: 'segment' });
  }
  // A resent checkpoint of an earlier segment arrives without events: it is compared with the stored one instead.
  if (checkpoint.lastSequence < last.sequence && last === at) return;
  if (checkpoint.lastSequence !== last.sequence || !checkpoint.head.equals(last.head)) {
    throw broken('checkpoint', { sequence: checkpoint.lastSequence, expected: last.sequence });
  }
}
