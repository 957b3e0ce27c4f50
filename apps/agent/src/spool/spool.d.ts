import { type Logger } from '@sallyport/core';
import type { TrailEvent } from '@sallyport/model';
import { type ChainIdentity, SessionKey, type SyncSigner } from '@sallyport/trail';
import { type DirectoryLock } from './directory-lock.ts';
import { DiskBudget } from './disk-budget.ts';
import { type Recovered } from './recovery.ts';
import { type SpoolBatch } from './upload-queue.ts';

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
/**
 * Recovers what earlier processes left, and starts an epoch. Called once at boot; reads every segment there is.
 * @throws GatewayError `config.invalid` when a living process has this instance's directory
 */
export declare function openSpool(options: SpoolOptions): Spool;
export declare class Spool {
  #private;
  /** Shared with the recordings of this process. */
  readonly budget: DiskBudget;
  /** This process's directory. */
  readonly dir: string;
  /** Called when there is something to send: at once for a full batch, else after `lingerMs`. */
  onGrown: (() => void) | undefined;
  /** Called when the directory of a slot that is not in use any more was taken over: its recordings want sending too. */
  onAdopted: ((dir: string) => void) | undefined;
  constructor(options: SpoolOptions, dir: string, lock: DirectoryLock, found: Recovered);
  /** The name of this process's chain. */
  get identity(): ChainIdentity;
  /** False while new statements are refused. */
  get isOpen(): boolean;
  /** After the agent's certificate was renewed with another key. */
  set signer(signer: SyncSigner);
  /** After the control plane changed its trail key; applies to sessions from now on. */
  set trailSealKey(publicKey: Uint8Array);
  /**
   * Adds the intent of a statement (or anything that must be refused when it cannot be recorded) to the turn's batch.
   * @param key of the session; without one the epoch's own key is used
   * @throws GatewayError `trail.unavailable` while the disk cannot take it
   */
  record(event: TrailEvent, key?: SessionKey): void;
  /**
   * Adds what already happened: an outcome, the end of a session. Kept in memory while the disk cannot take it, and
   * written before any new statement once it can.
   * @throws GatewayError `trail.unavailable` only when the trail is in doubt: the process must end
   */
  recordOutcome(event: TrailEvent, key?: SessionKey): void;
  /**
   * Gives everything recorded since the last flush to the kernel, in one write. Called once per loop turn.
   * @throws GatewayError `trail.unavailable`: nothing recorded since the last flush may be forwarded; outcomes are kept
   */
  flush(): void;
  /**
   * As `flush`, and resolves when the disk has it. Callers of one turn and of the next share a sync.
   * @throws GatewayError `trail.unavailable`
   */
  flushStrict(): Promise<void>;
  /** Called every second or so: closes segments, writes what is owed, takes over abandoned slots. Never throws. */
  tick(): void;
  /** What the control plane compares with what it has. */
  heartbeat(): SpoolHeartbeat;
  /** The next records to send, oldest first; undefined when all is sent. One call at a time. */
  nextBatch(bytesMax?: number): Promise<SpoolBatch | undefined>;
  /** The control plane has committed everything up to the batch with this cursor. Deletes closed segments it has whole. */
  acknowledge(instance: string, epoch: number, cursor: string): void;
  /** Sends again what is not acknowledged: call when a link opens. */
  rewind(): void;
  /** Ends the epoch: closes the segment, waits for the disk, gives the directory back. */
  close(reason: string): Promise<void>;
}
