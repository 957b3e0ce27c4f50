/**
 * The agent's disk for the trail: what is recorded here survives kill -9, and goes only after the control plane has it.
 * Refuses to know sockets and protocols. One per process. DESIGN section 10, ADR 0003; limits: segmentBytesMax,
 * segmentAgeMsMax, spoolBytesMax, spoolRetryMs, owedEventsMax. Longer than most files: what is recorded, what is written and
 * what is taken back is one state, and reads best in one place.
 *
 * The order that a caller must keep, each loop turn: `record` for every statement judged, then one `flush` (or, for
 * resources with `durability: strict`, `flushStrict`), and only then forward. When `flush` throws, nothing that was
 * recorded since the last one may be forwarded.
 */
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { GatewayError, LIMITS, type Logger } from '@sallyport/core';
import type { TrailEvent } from '@sallyport/model';
import {
  appendRecord,
  ByteBatch,
  type ChainIdentity,
  ChainWriter,
  chainStart,
  encodeSegmentHeader,
  RECORD_CHECKPOINT,
  RECORD_KEY,
  SessionKey,
  type SyncSigner,
  signCheckpoint,
} from '@sallyport/trail';
import { type DirectoryLock, lockDirectory } from './directory-lock.ts';
import { DiskBudget } from './disk-budget.ts';
import { writePosition } from './position-file.ts';
import { closeRecovered, type Recovered, type RecoveryOptions, recoverDirectory } from './recovery.ts';
import { SegmentFile } from './segment-file.ts';
import { type SpooledSegment, segmentFileName, unsent } from './spooled-segment.ts';
import { type SpoolBatch, UploadQueue } from './upload-queue.ts';

export type { SpoolBatch } from './upload-queue.ts';

export interface SpoolOptions {
  /** Directory of all instances on this host; each gets its own below it, mode 0700. */
  readonly dir: string;
  /** UUID text. */
  readonly agentId: string;
  /** DNS label of this process slot, the same after a restart: `0`, `1`, … */
  readonly instance: string;
  /** Version of the agent, for the record. */
  readonly version: string;
  /** The agent's trail key; its certificate names the agent. */
  readonly signer: SyncSigner;
  /** X25519 public key of the control plane that session keys are sealed to. */
  readonly trailSealKey: Uint8Array;
  /** UTC ms. */
  nowMs(): number;
  readonly log: Logger;
  readonly segmentBytesMax?: number;
  readonly segmentAgeMsMax?: number;
  readonly spoolBytesMax?: number;
  /** How long small batches gather before they are sent; a full one goes at once. */
  readonly lingerMs?: number;
}

export interface SpoolHeartbeat {
  readonly instance: string;
  readonly epoch: number;
  /** Of the last event in the kernel. */
  readonly sequence: number;
  /** Hex. */
  readonly head: string;
}

interface Owed {
  readonly event: TrailEvent;
  readonly timeMs: number;
  readonly key: SessionKey;
}

const ADOPT_AFTER_MS = 60_000;

/**
 * Recovers what earlier processes left, and starts an epoch. Called once at boot; reads every segment there is.
 * @throws GatewayError `config.invalid` when a living process has this instance's directory
 */
export function openSpool(options: SpoolOptions): Spool {
  const dir = join(options.dir, options.instance);
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const lock = lockDirectory(dir);
  if (lock === undefined) throw new GatewayError('config.invalid', { reason: 'spool in use', dir });
  const recovery = { signer: options.signer, nowMs: options.nowMs(), log: options.log };
  const own = recoverDirectory(dir, recovery);
  return new Spool(options, dir, lock, own);
}

export class Spool {
  /** Shared with the recordings of this process. */
  readonly budget: DiskBudget;
  /** This process's directory. */
  readonly dir: string;
  /** Called when there is something to send: at once for a full batch, else after `lingerMs`. */
  onGrown: (() => void) | undefined;
  /** Called when the directory of a slot that is not in use any more was taken over: its recordings want sending too. */
  onAdopted: ((dir: string) => void) | undefined;

  readonly #options: SpoolOptions;
  readonly #lock: DirectoryLock;
  readonly #queue: UploadQueue;
  readonly #chain: ChainWriter;
  readonly #identity: ChainIdentity;
  readonly #batch = new ByteBatch();
  readonly #epochKey = new SessionKey('');
  readonly #announced = new WeakSet<SessionKey>();
  /** Of the event appended last: the next one's is the same nearly always, and is not looked up then. */
  #lastKey: SessionKey | undefined;
  #signer: SyncSigner;
  #trailSealKey: Uint8Array;
  /** Keys whose record is in the batch. */
  #announcing: SessionKey[] = [];
  /** Outcomes in the batch; they go back to `#owed` when it cannot be written. */
  #riding: Owed[] = [];
  /** Outcomes that wait for the disk. */
  #owed: Owed[] = [];
  /** Position of what is in the kernel. Its own memory: overwritten by each flush. */
  readonly #flushed: { sequence: number; readonly head: Buffer };
  #file: SegmentFile | undefined;
  #segment: SpooledSegment | undefined;
  #segmentOpenedMs = 0;
  /** Closed segments on their way to the disk. */
  #finishing: Promise<unknown> = Promise.resolve();
  #blockedUntilMs = 0;
  readonly #lingerMs: number;
  #sentMs = Number.NEGATIVE_INFINITY;
  #lingering: NodeJS.Timeout | undefined;
  readonly #openedMs: number;
  #lookedForOrphans = false;
  /** Locks of slots taken over; kept so that no process starts on them while their files are sent. */
  readonly #orphanLocks: DirectoryLock[] = [];
  /** Set when the disk lied about a sync, or the spool was closed: nothing is recorded any more. */
  #ended = false;

  constructor(options: SpoolOptions, dir: string, lock: DirectoryLock, found: Recovered) {
    const { segments, last } = found;
    this.#options = options;
    this.dir = dir;
    this.#lock = lock;
    this.#signer = options.signer;
    this.#openedMs = options.nowMs();
    this.#lingerMs = options.lingerMs ?? LIMITS.trailLingerMs;
    this.#trailSealKey = options.trailSealKey;
    this.budget = new DiskBudget(options.spoolBytesMax ?? LIMITS.spoolBytesMax);
    this.#queue = new UploadQueue(segments, this.budget, options.log);
    const epoch = Math.max(Math.floor(options.nowMs() / 1000), (last?.epoch ?? 0) + 1);
    this.#identity = { agentId: options.agentId, instance: options.instance, epoch };
    this.#chain = new ChainWriter(this.#identity);
    this.#flushed = chainStart(this.#identity);
    this.recordOutcome({
      kind: 'epoch.started',
      version: options.version,
      recoveredEpoch: last?.epoch ?? 0,
      recoveredSequence: last?.position.sequence ?? 0,
      recoveredHead: last?.position.head.toString('hex') ?? '',
    });
    this.#flushQuietly();
  }

  /** The name of this process's chain. */
  get identity(): ChainIdentity {
    return this.#identity;
  }
  /** False while new statements are refused. */
  get isOpen(): boolean {
    return this.#isOpenAt(this.#options.nowMs());
  }
  /** After the agent's certificate was renewed with another key. */
  set signer(signer: SyncSigner) {
    this.#signer = signer;
  }
  /** After the control plane changed its trail key; applies to sessions from now on. */
  set trailSealKey(publicKey: Uint8Array) {
    this.#trailSealKey = publicKey;
  }

  /**
   * Adds the intent of a statement (or anything that must be refused when it cannot be recorded) to the turn's batch.
   * @param key of the session; without one the epoch's own key is used
   * @throws GatewayError `trail.unavailable` while the disk cannot take it
   */
  record(event: TrailEvent, key: SessionKey = this.#epochKey): void {
    const nowMs = this.#options.nowMs();
    if (!this.#isOpenAt(nowMs)) throw new GatewayError('trail.unavailable', { reason: this.#ended ? 'ended' : 'disk' });
    if (this.#owed.length > 0) this.#payOwed();
    this.#append(event, nowMs, key);
  }

  /**
   * Adds what already happened: an outcome, the end of a session. Kept in memory while the disk cannot take it, and
   * written before any new statement once it can.
   * @throws GatewayError `trail.unavailable` only when the trail is in doubt: the process must end
   */
  recordOutcome(event: TrailEvent, key: SessionKey = this.#epochKey): void {
    const owed = { event, timeMs: this.#options.nowMs(), key };
    if (this.#ended || this.#owed.length >= LIMITS.owedEventsMax) {
      throw new GatewayError('trail.unavailable', { reason: this.#ended ? 'ended' : 'owed' });
    }
    if (this.#isBlocked(owed.timeMs) || this.#owed.length > 0) this.#owed.push(owed);
    else this.#ride(owed);
  }

  /**
   * Gives everything recorded since the last flush to the kernel, in one write. Called once per loop turn.
   * @throws GatewayError `trail.unavailable`: nothing recorded since the last flush may be forwarded; outcomes are kept
   */
  flush(): void {
    if (this.#batch.length === 0) return;
    try {
      this.#write();
    } catch (cause) {
      this.#takeBack();
      this.#options.log.error('the trail cannot be written: new statements are refused', { error: cause });
      throw new GatewayError('trail.unavailable', { reason: 'disk' }, { cause });
    }
    if (this.#unsyncedBytes() >= LIMITS.trailBatchBytesMax) this.onGrown?.();
    else this.#linger();
  }

  /**
   * As `flush`, and resolves when the disk has it. Callers of one turn and of the next share a sync.
   * @throws GatewayError `trail.unavailable`
   */
  async flushStrict(): Promise<void> {
    this.flush();
    await this.#sync();
  }

  /** Called every second or so: closes segments, writes what is owed, takes over abandoned slots. Never throws. */
  tick(): void {
    const now = this.#options.nowMs();
    if (this.#ended || this.#isBlocked(now)) return;
    if (this.#owed.length > 0) this.#payOwed();
    this.#flushQuietly();
    const age = now - this.#segmentOpenedMs;
    if (this.#segment !== undefined && age >= (this.#options.segmentAgeMsMax ?? LIMITS.segmentAgeMsMax)) {
      this.#quietly(() => this.#closeSegment());
    }
    for (const segment of this.#queue.segments) {
      if (!segment.closed && segment !== this.#segment) this.#closeAbandoned(segment);
    }
    // A slot's own process has had its time to start.
    if (!this.#lookedForOrphans && now - this.#openedMs >= ADOPT_AFTER_MS) {
      this.#lookedForOrphans = true;
      this.#quietly(() => this.#adopt());
    }
  }

  /** What the control plane compares with what it has. */
  heartbeat(): SpoolHeartbeat {
    const { instance, epoch } = this.#identity;
    return { instance, epoch, sequence: this.#flushed.sequence, head: this.#flushed.head.toString('hex') };
  }

  /** The next records to send, oldest first; undefined when all is sent. One call at a time. */
  async nextBatch(bytesMax: number = LIMITS.trailBatchBytesMax): Promise<SpoolBatch | undefined> {
    const { round } = this.#queue;
    // Without this, one statement a turn would make a sync and a message of each.
    const now = this.#options.nowMs();
    const early = this.#unsyncedBytes() < bytesMax && now >= this.#sentMs && now < this.#sentMs + this.#lingerMs;
    if (early) this.#linger();
    else if (!this.#ended) {
      this.#sentMs = now;
      await this.#sync();
    }
    return this.#queue.nextBatch(bytesMax, round);
  }
  /** The control plane has committed everything up to the batch with this cursor. Deletes closed segments it has whole. */
  acknowledge(instance: string, epoch: number, cursor: string): void {
    this.#queue.acknowledge(instance, epoch, cursor);
    // Space may be back: do not wait for the retry.
    this.#blockedUntilMs = Math.min(this.#blockedUntilMs, this.#options.nowMs());
  }
  /** Sends again what is not acknowledged: call when a link opens. */
  rewind(): void {
    this.#queue.rewind();
  }

  /** Ends the epoch: closes the segment, waits for the disk, gives the directory back. */
  async close(reason: string): Promise<void> {
    if (this.#ended) return;
    if (this.#owed.length > 0) this.#payOwed();
    this.#ride({ event: { kind: 'epoch.ended', reason }, timeMs: this.#options.nowMs(), key: this.#epochKey });
    this.#flushQuietly();
    this.#quietly(() => this.#closeSegment());
    if (this.#owed.length > 0) this.#options.log.error('events could not be written', { count: this.#owed.length });
    this.#ended = true;
    clearTimeout(this.#lingering);
    await this.#finishing.catch((cause: unknown) => this.#distrust(cause));
    for (const lock of [this.#lock, ...this.#orphanLocks]) lock.release();
  }

  #isOpenAt(nowMs: number): boolean {
    return !this.#ended && !this.#isBlocked(nowMs) && this.budget.fits(this.#batch.length + 1);
  }
  /** A failed write closes the spool for a while; a clock that jumps back does not make that longer. */
  #isBlocked(nowMs: number): boolean {
    const waitMs = this.#blockedUntilMs - nowMs;
    return waitMs > 0 && waitMs <= LIMITS.spoolRetryMs;
  }
  #recovery(): RecoveryOptions {
    return { signer: this.#signer, nowMs: this.#options.nowMs(), log: this.#options.log };
  }
  #closeAbandoned(segment: SpooledSegment): void {
    const before = segment.size;
    closeRecovered(segment, this.#recovery());
    this.budget.add(segment.size - before);
  }

  /** Slots that are not in use any more, after the number of processes was lowered. */
  #adopt(): void {
    for (const entry of readdirSync(this.#options.dir, { withFileTypes: true })) {
      if (!entry.isDirectory() || entry.name === this.#options.instance) continue;
      const dir = join(this.#options.dir, entry.name);
      const lock = lockDirectory(dir);
      if (lock === undefined) continue;
      this.#orphanLocks.push(lock);
      for (const segment of recoverDirectory(dir, this.#recovery()).segments) this.#queue.add(segment);
      this.onAdopted?.(dir);
    }
    this.onGrown?.();
  }

  #unsyncedBytes(): number {
    return this.#segment === undefined ? 0 : this.#segment.size - this.#segment.sendable;
  }
  #linger(): void {
    this.#lingering ??= setTimeout(() => {
      this.#lingering = undefined;
      this.onGrown?.();
    }, this.#lingerMs).unref();
  }

  #ride(owed: Owed): void {
    this.#append(owed.event, owed.timeMs, owed.key);
    this.#riding.push(owed);
  }
  #payOwed(): void {
    const owed = this.#owed;
    this.#owed = [];
    // One event that cannot be encoded is a bug; it must not take the others with it.
    for (const one of owed) this.#quietly(() => this.#ride(one));
  }

  #append(event: TrailEvent, timeMs: number, key: SessionKey): void {
    if (key !== this.#lastKey && !this.#announced.has(key)) {
      appendRecord(this.#batch, RECORD_KEY, key.sealTo(this.#trailSealKey));
      this.#announced.add(key);
      this.#announcing.push(key);
    }
    this.#lastKey = key;
    this.#chain.append(this.#batch, event, timeMs, key);
  }

  #write(): void {
    const limit = this.#options.segmentBytesMax ?? LIMITS.segmentBytesMax;
    if (this.#file !== undefined && this.#file.size + this.#batch.length > limit) this.#closeSegment();
    if (this.#file === undefined || this.#segment === undefined) this.#openSegment();
    else this.#file.append(this.#batch.bytes, this.#batch.length);
    if (this.#file !== undefined && this.#segment !== undefined) this.#queue.grow(this.#segment, this.#file.size);
    this.#chain.positionInto(this.#flushed);
    this.#batch.clear();
    if (this.#riding.length > 0) this.#riding = [];
    if (this.#announcing.length > 0) this.#announcing = [];
  }

  /** A fresh segment that starts with the batch. */
  #openSegment(): void {
    const header = encodeSegmentHeader(this.#identity, this.#flushed);
    const firstSequence = this.#flushed.sequence + 1;
    const path = join(this.dir, segmentFileName(this.#identity.epoch, firstSequence));
    this.#file = SegmentFile.create(path, Buffer.concat([header, this.#batch.view]));
    this.#segmentOpenedMs = this.#options.nowMs();
    this.#segment = {
      path,
      identity: this.#identity,
      firstSequence,
      prev: Buffer.from(this.#flushed.head),
      header,
      file: this.#file,
      size: this.#file.size,
      sendable: 0,
      position: this.#flushed,
      closed: false,
      sent: unsent(header.length, firstSequence),
      acked: unsent(header.length, firstSequence),
    };
    this.#queue.add(this.#segment);
  }

  /** Checkpoints what is flushed. The segment stays open when that fails. */
  #closeSegment(): void {
    const [file, segment] = [this.#file, this.#segment];
    if (file === undefined || segment === undefined) return;
    const claim = {
      identity: this.#identity,
      firstSequence: segment.firstSequence,
      lastSequence: this.#flushed.sequence,
      timeMs: this.#options.nowMs(),
      prev: segment.prev,
      head: this.#flushed.head,
      recovered: false,
    };
    const record = new ByteBatch(512);
    appendRecord(record, RECORD_CHECKPOINT, signCheckpoint(claim, this.#signer));
    file.append(record.view);
    this.#queue.grow(segment, file.size);
    segment.closed = true;
    segment.position = { sequence: this.#flushed.sequence, head: Buffer.from(this.#flushed.head) };
    this.#file = undefined;
    this.#segment = undefined;
    segment.file = undefined;
    this.#quietly(() => writePosition(this.dir, { epoch: this.#identity.epoch, position: this.#flushed }));
    this.#finishing = Promise.all([this.#finishing, file.finish()]).then(([, size]) => {
      segment.sendable = size;
      this.onGrown?.();
    });
    this.#finishing.catch((cause: unknown) => this.#distrust(cause));
  }

  /** Everything flushed is on the disk. */
  async #sync(): Promise<void> {
    const [file, segment] = [this.#file, this.#segment];
    try {
      await this.#finishing;
      const size = await file?.sync();
      if (segment !== undefined && size !== undefined) segment.sendable = Math.max(segment.sendable, size);
    } catch (cause) {
      this.#distrust(cause);
      throw new GatewayError('trail.unavailable', { reason: 'sync' }, { cause });
    }
  }

  /** After a failed sync the kernel may have dropped the pages and the next sync may say yes: never trust this disk again. */
  #distrust(cause: unknown): void {
    if (!this.#ended) this.#options.log.error('the disk failed to sync: the trail is in doubt', { error: cause });
    this.#ended = true;
  }

  /** The batch did not reach the disk: intents are refused by the caller, outcomes wait. */
  #takeBack(): void {
    this.#chain.rewind(this.#flushed);
    this.#batch.clear();
    for (const key of this.#announcing) this.#announced.delete(key);
    this.#announcing = [];
    this.#lastKey = undefined;
    this.#owed = [...this.#riding, ...this.#owed];
    this.#riding = [];
    this.#blockedUntilMs = this.#options.nowMs() + LIMITS.spoolRetryMs;
  }

  #flushQuietly(): void {
    this.#quietly(() => this.flush());
  }
  #quietly(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#options.log.error('the spool could not be written', { error });
    }
  }
}
