/**
 * The record on its way: batches of the spool and recording chunks, a few in flight, acknowledged by the control plane.
 * Refuses to delete anything: the spool does, once it is acknowledged. After a reconnect everything unacknowledged goes again.
 */
import type { AgentMessage, RecordingAck, TrailAck } from '@sallyport/contract';
import { LIMITS, type Logger } from '@sallyport/core';
import type { StoredChunk } from '../recording/recording-store.ts';
import type { SpoolBatch } from '../spool/spool.ts';

/** The spool, as far as sending goes. */
export interface TrailSource {
  nextBatch(bytesMax?: number): Promise<SpoolBatch | undefined>;
  acknowledge(instance: string, epoch: number, cursor: string): void;
  rewind(): void;
}

/** Recording chunks of the disk, oldest first. */
export interface RecordingSource {
  next(): Promise<StoredChunk | undefined>;
  acknowledge(sessionId: string, index: number): void;
  rewind(): void;
}

const BATCHES_IN_FLIGHT = 8;
const CHUNKS_IN_FLIGHT = 4;
const PIECE_BYTES = 256 * 1024;
/** A batch costs its reading, a message and an answer, however small: what comes within so long goes together. */
const GATHER_MS = 20;
/** After a refused batch: the control plane said no, so the same bytes at once would not help. */
const REFUSED_WAIT_MS = 30_000;

export class Uploads {
  readonly #trail: TrailSource;
  readonly #recordings: RecordingSource;
  readonly #send: (message: AgentMessage) => boolean;
  readonly #log: Logger;
  #batches = 0;
  #chunks = 0;
  #round = 0;
  #pumpingTrail = false;
  #pumpingRecordings = false;
  #gathering: NodeJS.Timeout | undefined;
  #waitUntilMs = 0;
  readonly #nowMs: () => number;

  constructor(
    trail: TrailSource,
    recordings: RecordingSource,
    send: (message: AgentMessage) => boolean,
    nowMs: () => number,
    log: Logger,
  ) {
    this.#trail = trail;
    this.#recordings = recordings;
    this.#send = send;
    this.#nowMs = nowMs;
    this.#log = log;
  }

  /** The link opened: start over from what is acknowledged. */
  restart(): void {
    this.#round++;
    this.#batches = 0;
    this.#chunks = 0;
    this.#waitUntilMs = 0;
    this.#trail.rewind();
    this.#recordings.rewind();
    this.more();
  }

  /** Something came that is to be sent: soon, with what comes meanwhile. Cheap; called after flushes. */
  grown(): void {
    this.#gathering ??= setTimeout(() => this.more(), GATHER_MS).unref();
  }

  /** Sends what is there. */
  more(): void {
    clearTimeout(this.#gathering);
    this.#gathering = undefined;
    if (this.#nowMs() < this.#waitUntilMs) return;
    if (!this.#pumpingTrail) void this.#pumpTrail();
    if (!this.#pumpingRecordings) void this.#pumpRecordings();
  }

  /** Nothing is being read for sending and nothing waits for an acknowledgement. */
  get idle(): boolean {
    const isSending = this.#pumpingTrail || this.#pumpingRecordings || this.#gathering !== undefined;
    return !isSending && this.#batches === 0 && this.#chunks === 0;
  }

  trailAck(ack: TrailAck): void {
    const isBehind = this.#batches >= BATCHES_IN_FLIGHT;
    this.#batches = Math.max(0, this.#batches - 1);
    if (ack.code) {
      this.#log.error('the control plane refused a piece of the trail; it is kept', {
        code: ack.code,
        epoch: ack.epoch ?? 0,
      });
      this.#waitUntilMs = this.#nowMs() + REFUSED_WAIT_MS;
      this.#trail.rewind();
      return;
    }
    this.#trail.acknowledge(ack.instance ?? '', ack.epoch ?? 0, ack.cursor ?? '');
    if (isBehind) this.more();
    else this.grown();
  }

  recordingAck(ack: RecordingAck): void {
    this.#chunks = Math.max(0, this.#chunks - 1);
    this.#recordings.acknowledge(ack.sessionId ?? '', ack.index ?? 0);
    this.more();
  }

  async #pumpTrail(): Promise<void> {
    this.#pumpingTrail = true;
    try {
      while (this.#batches < BATCHES_IN_FLIGHT) {
        const round = this.#round;
        const batch = await this.#trail.nextBatch(LIMITS.trailBatchBytesMax);
        if (batch === undefined) return;
        // The link was lost while we read: `restart` has set everything back.
        if (round !== this.#round) continue;
        if (!this.#send({ body: 'trail', trail: trailMessage(batch) })) {
          this.#trail.rewind();
          return;
        }
        this.#batches++;
      }
    } catch (error) {
      this.#log.error('the spool could not be read for sending', { error });
    } finally {
      this.#pumpingTrail = false;
    }
  }

  async #pumpRecordings(): Promise<void> {
    this.#pumpingRecordings = true;
    try {
      while (this.#chunks < CHUNKS_IN_FLIGHT) {
        const round = this.#round;
        const chunk = await this.#recordings.next();
        if (chunk === undefined) return;
        if (round !== this.#round) continue;
        if (!this.#sendPieces(chunk)) {
          this.#recordings.rewind();
          return;
        }
        this.#chunks++;
      }
    } catch (error) {
      this.#log.error('a recording could not be read for sending', { error });
    } finally {
      this.#pumpingRecordings = false;
    }
  }

  #sendPieces({ sessionId, index, digest, bytes }: StoredChunk): boolean {
    for (let offset = 0; offset < bytes.length || offset === 0; offset += PIECE_BYTES) {
      const part = bytes.subarray(offset, offset + PIECE_BYTES);
      const last = offset + PIECE_BYTES >= bytes.length;
      if (!this.#send({ body: 'recording', recording: { sessionId, index, digest, offset, part, last } })) return false;
    }
    return true;
  }
}

const trailMessage = (batch: SpoolBatch) => ({
  instance: batch.instance,
  epoch: batch.epoch,
  firstSequence: String(batch.firstSequence),
  lastSequence: String(batch.lastSequence),
  cursor: batch.cursor,
  records: batch.records,
  segmentHeader: batch.segmentHeader,
});
