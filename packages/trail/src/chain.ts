/**
 * Writing a chain: events in order, each bound to the one before. Refuses to know disks, clocks and who reads it.
 * Called for every statement: one scratch buffer, two digests and one cipher call per event.
 */
import { Buffer } from 'node:buffer';
import { isDnsLabel, LIMITS, parseUuid, Views } from '@sallyport/core';
import type { TrailEvent } from '@sallyport/model';
import { ByteBatch, broken, DIGEST_BYTES, sha256, writeU32, writeU64, ZERO16 } from './bytes.ts';
import { EVENT_HEADER_BYTES, FLAG_CONTINUED, FLAG_ENCRYPTED, writeEventHeader } from './event.ts';
import { FieldWriter } from './fields.ts';
import { JudgedPayload } from './judged-payload.ts';
import { isClear, kindCode, PART_CODE } from './kinds.ts';
import { writeEventPayload } from './payload-encode.ts';
import { RECORD_EVENT, RECORD_PREFIX_BYTES } from './record.ts';
import type { SessionKey } from './session-key.ts';

export interface ChainIdentity {
  /** UUID text of the agent, or of the control plane for its own acts. */
  readonly agentId: string;
  /** DNS label: the process slot. */
  readonly instance: string;
  /** UTC second of the boot, or the last epoch + 1 if that is more. */
  readonly epoch: number;
}

/** How far a chain has come. `head` is 32 bytes. */
export interface ChainPosition {
  readonly sequence: number;
  readonly head: Buffer;
}

/** @throws GatewayError `trail.broken` (`identity`) */
export function encodeIdentity(identity: ChainIdentity): Buffer {
  const agent = parseUuid(identity.agentId);
  if (agent === undefined || !isDnsLabel(identity.instance) || !(identity.epoch > 0)) throw broken('identity');
  const instance = Buffer.from(identity.instance, 'ascii');
  const bytes = Buffer.alloc(25 + instance.length);
  bytes.set(agent, 0);
  bytes[16] = instance.length;
  bytes.set(instance, 17);
  writeU64(bytes, identity.epoch, 17 + instance.length);
  return bytes;
}

/** The `prev` of a chain's first event. */
export const genesis = (identity: ChainIdentity): Buffer =>
  sha256(Buffer.concat([Buffer.from('sallyport/trail/chain/1\0'), encodeIdentity(identity)]));

/** Where a fresh chain starts. */
export const chainStart = (identity: ChainIdentity): ChainPosition => ({ sequence: 0, head: genesis(identity) });

export class ChainWriter {
  readonly identity: ChainIdentity;
  readonly #scratch = new FieldWriter();
  readonly #judged = new JudgedPayload();
  /** Where a payload is enciphered. */
  #sealed = Buffer.allocUnsafeSlow(4096);
  #sealedViews = new Views(this.#sealed);
  #sequence: number;
  /** Its own memory: overwritten by each event. */
  readonly #head: Buffer;
  /** @param from where to go on; the chain's start when left out */
  constructor(identity: ChainIdentity, from: ChainPosition = chainStart(identity)) {
    this.identity = identity;
    this.#sequence = from.sequence;
    this.#head = Buffer.from(from.head);
  }
  /** Sequence and head of the last event appended; a copy. */
  get position(): ChainPosition {
    const head = Buffer.allocUnsafe(DIGEST_BYTES);
    head.set(this.#head);
    return { sequence: this.#sequence, head };
  }
  /** As `position`, into memory of the caller's: asked for at every flush. */
  positionInto(to: { sequence: number; readonly head: Buffer }): void {
    to.sequence = this.#sequence;
    to.head.set(this.#head);
  }
  /** Takes events back that never reached the disk. Keystreams are not rewound: see ADR 0003. */
  rewind(to: ChainPosition): void {
    this.#sequence = to.sequence;
    to.head.copy(this.#head);
  }

  /**
   * Appends the record of one event to `batch` (several when the payload is larger than one event may be).
   * @param timeMs UTC milliseconds
   * @param key of the event's session; without one the payload stays in clear
   * @throws GatewayError `trail.broken` for numbers out of range; nothing is appended then
   */
  append(batch: ByteBatch, event: TrailEvent, timeMs: number, key?: SessionKey): void {
    const payload = event.kind === 'statement.judged' ? this.#judged.of(event) : this.#written(event);
    const sealing = isClear(event.kind) ? undefined : key;
    const sessionId = key?.sessionId ?? ZERO16;
    let from = 0;
    for (; payload.length - from > LIMITS.eventPayloadBytesMax; from += LIMITS.eventPayloadBytesMax) {
      const piece = payload.subarray(from, from + LIMITS.eventPayloadBytesMax);
      this.#appendEvent(batch, PART_CODE, from === 0 ? 0 : FLAG_CONTINUED, timeMs, sessionId, sealing, piece);
    }
    const last = from === 0 ? payload : payload.subarray(from);
    this.#appendEvent(batch, kindCode(event.kind), from === 0 ? 0 : FLAG_CONTINUED, timeMs, sessionId, sealing, last);
  }

  #written(event: TrailEvent): Buffer {
    this.#scratch.reset();
    writeEventPayload(this.#scratch, event);
    return this.#scratch.view;
  }

  #room(size: number): Buffer {
    if (size > this.#sealed.length) {
      this.#sealed = Buffer.allocUnsafeSlow(Math.max(size, this.#sealed.length * 2));
      this.#sealedViews = new Views(this.#sealed);
    }
    return this.#sealedViews.of(size);
  }

  #appendEvent(
    batch: ByteBatch,
    kindCode: number,
    flags: number,
    timeMs: number,
    sessionId: Buffer,
    key: SessionKey | undefined,
    plain: Buffer,
  ): void {
    const at = batch.length;
    const size = EVENT_HEADER_BYTES + plain.length;
    const into = batch.reserve(RECORD_PREFIX_BYTES + size);
    writeU32(into, 1 + size, at);
    into[at + 4] = RECORD_EVENT;
    const headerAt = at + RECORD_PREFIX_BYTES;
    const keystreamOffset = key?.offset ?? 0;
    let stored = plain;
    if (key !== undefined) {
      stored = this.#room(plain.length);
      key.encryptInto(plain, stored, 0);
    }
    into.set(stored, headerAt + EVENT_HEADER_BYTES);
    const sequence = this.#sequence + 1;
    writeEventHeader(
      into,
      headerAt,
      {
        flags: key === undefined ? flags : flags | FLAG_ENCRYPTED,
        kindCode,
        sequence,
        timeMs,
        keystreamOffset,
        sessionId,
        keyId: key?.keyId ?? ZERO16,
      },
      stored,
      this.#head,
    );
    this.#sequence = sequence;
  }
}
