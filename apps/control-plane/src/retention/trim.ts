/**
 * Takes out of stored records the payloads that nobody can open any more: those of destroyed keys, and of refused sign-ins.
 * Headers stay as they are, so the chain and its checkpoints verify (docs/reference/trail-format.md, record type 4). Pure.
 */
import {
  appendRecord,
  ByteBatch,
  EVENT_HEADER_BYTES,
  type EventRecord,
  parseEventRecord,
  RECORD_ERASED_EVENT,
  RECORD_EVENT,
  readRecords,
} from '@sallyport/trail';

const ENCRYPTED = 1;

/** Hex ids of the keys that the payloads of sessions are under. */
export function sessionKeysOf(records: Buffer): ReadonlySet<string> {
  const ids = new Set<string>();
  for (const event of eventsOf(records)) if (isOfSession(event)) ids.add(event.keyId.toString('hex'));
  return ids;
}

/** @param isThere whether the key with that hex id can still be had */
export function trim(records: Buffer, isThere: (keyId: string) => boolean): Uint8Array<ArrayBuffer> {
  const out = new ByteBatch();
  for (const { type, body, start, end } of readRecords(records)) {
    const event = type === RECORD_EVENT ? parseEventRecord(body, false) : undefined;
    const goes =
      event !== undefined &&
      (isOfSession(event) ? !isThere(event.keyId.toString('hex')) : event.kind === 'auth.failed');
    if (goes) appendRecord(out, RECORD_ERASED_EVENT, body.subarray(0, EVENT_HEADER_BYTES));
    else out.append(records.subarray(start, end));
  }
  return Uint8Array.from(out.view);
}

const isOfSession = (event: EventRecord): boolean => (event.flags & ENCRYPTED) !== 0 && event.sessionId !== '';

function* eventsOf(records: Buffer): Generator<EventRecord> {
  for (const { type, body } of readRecords(records)) if (type === RECORD_EVENT) yield parseEventRecord(body, false);
}
