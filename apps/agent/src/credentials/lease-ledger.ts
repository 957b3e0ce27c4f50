/**
 * Leases of this process, on disk before the server knows of them: what a killed process left is found and swept by the
 * next one. Tells the control plane of each. Refuses secrets: an account's name is all it keeps.
 */
import path from 'node:path';
import type { AgentMessage } from '@sallyport/contract';
import { GatewayError, LIMITS, listOf, objectOf, optional, parseString } from '@sallyport/core';
import { type LeaseReport, parseLeaseReport } from '@sallyport/model';
import { readIfThere, writeWhole } from '../files.ts';

export interface LeaseEntry {
  readonly lease: LeaseReport;
  /** The source's own name of it (Vault). */
  readonly sourceLease?: string | undefined;
}

const parseEntries = listOf(objectOf({ lease: parseLeaseReport, sourceLease: optional(parseString) }), 100_000);

export class LeaseLedger {
  readonly #file: string;
  readonly #send: (message: AgentMessage) => boolean;
  readonly #live = new Map<string, LeaseEntry>();
  /** Of the process before this one: swept, then gone. */
  readonly #left: Map<string, LeaseEntry>;

  /** @throws GatewayError `config.invalid` when the file is damaged */
  constructor(dataDir: string, send: (message: AgentMessage) => boolean) {
    this.#file = path.join(dataDir, 'leases.json');
    this.#send = send;
    const stored = readIfThere(this.#file);
    try {
      const entries = stored === undefined ? [] : parseEntries(JSON.parse(stored.toString('utf8')), '');
      this.#left = new Map(entries.map((entry) => [entry.lease.id, entry]));
    } catch (cause) {
      throw new GatewayError('config.invalid', { file: this.#file, reason: 'damaged' }, { cause });
    }
  }

  get live(): readonly LeaseEntry[] {
    return [...this.#live.values()];
  }
  /** What an earlier process left. */
  get left(): readonly LeaseEntry[] {
    return [...this.#left.values()];
  }
  find(id: string): LeaseEntry | undefined {
    return this.#live.get(id);
  }

  /** Before the server hears of it, and again when something of it changed. @throws GatewayError `credential.unavailable` */
  put(entry: LeaseEntry): void {
    if (!this.#live.has(entry.lease.id) && this.#live.size >= LIMITS.leasesMax)
      throw new GatewayError('credential.unavailable', { reason: 'too many leases' });
    this.#live.set(entry.lease.id, entry);
    this.#write();
    this.#tell(entry.lease);
  }

  /** It is over. */
  end(id: string, reason: string, nowMs: number): void {
    const entry = this.#live.get(id) ?? this.#left.get(id);
    if (entry === undefined) return;
    this.#live.delete(id);
    this.#left.delete(id);
    this.#write();
    this.#tell({ ...entry.lease, endedAt: nowMs, reason });
  }

  /** The link stands again. */
  reportAll(): void {
    const entries = [...this.live, ...this.left];
    for (const { lease } of entries) this.#tell(lease);
    this.#send({ body: 'lease', lease: { live: entries.map(({ lease }) => lease.id) } });
  }

  #tell(lease: LeaseReport): void {
    this.#send({ body: 'lease', lease: { lease: Buffer.from(JSON.stringify(lease)) } });
  }

  #write(): void {
    writeWhole(this.#file, JSON.stringify([...this.live, ...this.left]));
  }
}
