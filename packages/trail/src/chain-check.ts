/**
 * Checks records against their chain, one after another: at recovery, on arrival at the control plane, in the verifier.
 * Refuses to know keys and certificates: a checkpoint's signature is the caller's to check. Holds no more than a position.
 */
import { broken } from './bytes.ts';
import { type ChainIdentity, type ChainPosition, chainStart } from './chain.ts';
import { type Checkpoint, parseCheckpoint } from './checkpoint.ts';
import { type EventRecord, parseEventRecord } from './event.ts';
import { RECORD_CHECKPOINT, RECORD_ERASED_EVENT, RECORD_EVENT, RECORD_KEY, type TrailRecord } from './record.ts';
import { sameChain } from './segment.ts';
import { type KeyRecord, parseKeyRecord } from './session-key.ts';

export type CheckedRecord =
  | { readonly kind: 'event'; readonly event: EventRecord }
  | { readonly kind: 'key'; readonly key: KeyRecord }
  | { readonly kind: 'checkpoint'; readonly checkpoint: Checkpoint };

export class ChainChecker {
  readonly identity: ChainIdentity;
  #position: ChainPosition;
  #segmentStart: ChainPosition;
  /**
   * @param from position after the last event that was accepted; the chain's start when left out
   * @param segmentStart position before the first event of the segment that is open; `from` when left out
   */
  constructor(identity: ChainIdentity, from: ChainPosition = chainStart(identity), segmentStart = from) {
    this.identity = identity;
    this.#position = own(from);
    this.#segmentStart = own(segmentStart);
  }
  get position(): ChainPosition {
    return this.#position;
  }
  /** Position before the first event of the open segment: what a checkpoint's `prev` must be. */
  get segmentStart(): ChainPosition {
    return this.#segmentStart;
  }

  /**
   * Takes the next record. After a throw the checker stands where it stood.
   * @throws GatewayError `trail.broken` with reason `altered`, `removed`, `reordered`, `truncated`, or what parsing found
   */
  accept(record: TrailRecord): CheckedRecord {
    switch (record.type) {
      case RECORD_EVENT:
      case RECORD_ERASED_EVENT: {
        const event = parseEventRecord(record.body, record.type === RECORD_ERASED_EVENT);
        this.#follow(event);
        return { kind: 'event', event };
      }
      case RECORD_KEY:
        return { kind: 'key', key: parseKeyRecord(record.body) };
      case RECORD_CHECKPOINT: {
        const checkpoint = parseCheckpoint(record.body);
        this.#close(checkpoint);
        return { kind: 'checkpoint', checkpoint };
      }
      default:
        return record.type satisfies never;
    }
  }

  #follow(event: EventRecord): void {
    const expected = this.#position.sequence + 1;
    const { sequence } = event;
    if (sequence > expected) throw broken('removed', { sequence: expected, count: sequence - expected });
    if (sequence < expected) throw broken('reordered', { sequence });
    // The event named is where it shows; the header altered may be the one before.
    if (!event.prev.equals(this.#position.head)) throw broken('altered', { sequence });
    this.#position = { sequence, head: event.head };
  }

  #close(checkpoint: Checkpoint): void {
    const { sequence, head } = this.#position;
    if (!sameChain(checkpoint.identity, this.identity)) throw broken('altered', { sequence });
    if (checkpoint.lastSequence > sequence) {
      throw broken('truncated', { sequence: sequence + 1, count: checkpoint.lastSequence - sequence });
    }
    const start = this.#segmentStart;
    const fits =
      checkpoint.lastSequence === sequence &&
      checkpoint.head.equals(head) &&
      checkpoint.firstSequence === start.sequence + 1 &&
      checkpoint.prev.equals(start.head);
    if (!fits) throw broken('altered', { sequence });
    this.#segmentStart = this.#position;
  }
}

/** Positions are kept across reads: do not hold on to a large buffer by a view of 32 bytes. */
const own = (position: ChainPosition): ChainPosition => ({
  sequence: position.sequence,
  head: Buffer.from(position.head),
});
