/**
 * From checked event records to events: joins parts, opens payloads with the keys one has. Refuses to check the chain:
 * give it only what a ChainChecker accepted, because the cipher alone does not show tampering.
 */
import { LIMITS } from '@sallyport/core';
import type { TrailEvent } from '@sallyport/model';
import { broken } from './bytes.ts';
import { type EventRecord, FLAG_CONTINUED, FLAG_ENCRYPTED } from './event.ts';
import { PART_CODE } from './kinds.ts';
import { decodeEventPayload } from './payload-decode.ts';
import type { SessionKeyReader } from './session-key.ts';

/** `sealed`: no key for it; `erased`: no payload; `unknown`: a kind of a later version. */
export type ReadEvent =
  | { readonly kind: 'event'; readonly record: EventRecord; readonly event: TrailEvent }
  | { readonly kind: 'sealed' | 'erased' | 'unknown'; readonly record: EventRecord };

/** A payload is at most a statement and its parameters, with some room for the rest. */
const PAYLOAD_BYTES_MAX = 2 * (LIMITS.statementBytesMax + LIMITS.parameterBytesMax);

export class EventReader {
  readonly #keyOf: (keyId: Buffer) => SessionKeyReader | undefined;
  #parts: Buffer[] = [];
  #partBytes = 0;
  #lost: 'sealed' | 'erased' | undefined;
  /** @param keyOf the key with that id, or undefined when it is not known or destroyed */
  constructor(keyOf: (keyId: Buffer) => SessionKeyReader | undefined) {
    this.#keyOf = keyOf;
  }
  /**
   * The next record of the chain. Undefined for a part of a payload that is still to come.
   * @throws GatewayError `trail.broken` (`payload`) when what it opens is not a payload
   */
  read(record: EventRecord): ReadEvent | undefined {
    const plain = this.#open(record);
    if ((record.flags & FLAG_CONTINUED) === 0) this.#drop();
    if (record.kindCode === PART_CODE) {
      if (typeof plain === 'string') this.#lost = plain;
      else this.#keep(plain);
      return undefined;
    }
    const parts = this.#parts;
    const lost = this.#lost;
    this.#drop();
    if (typeof plain === 'string') return { kind: plain, record };
    if (lost !== undefined) return { kind: lost, record };
    if (record.kind === undefined) return { kind: 'unknown', record };
    const payload = parts.length === 0 ? plain : Buffer.concat([...parts, plain]);
    return { kind: 'event', record, event: decodeEventPayload(record.kind, payload) };
  }

  #open(record: EventRecord): Buffer | 'sealed' | 'erased' {
    if (record.payload === undefined) return 'erased';
    if ((record.flags & FLAG_ENCRYPTED) === 0) return record.payload;
    return this.#keyOf(record.keyId)?.decrypt(record.keystreamOffset, record.payload) ?? 'sealed';
  }
  #keep(part: Buffer): void {
    this.#partBytes += part.length;
    if (this.#partBytes > PAYLOAD_BYTES_MAX) throw broken('payload');
    this.#parts.push(Buffer.from(part));
  }
  #drop(): void {
    this.#parts = [];
    this.#partBytes = 0;
    this.#lost = undefined;
  }
}
