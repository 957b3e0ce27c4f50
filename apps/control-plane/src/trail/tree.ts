/**
 * The Merkle tree over all checkpoints of the project: leaves in the order they were committed, a signed head after each
 * growth. Heads leave the building: every replica keeps a file of them, and webhooks carry them.
 * Refuses to change a leaf once it has an index.
 */
import path from 'node:path';
import { Injectable } from '@nestjs/common';
import { formatTreeHead, MerkleFrontier, parseTreeHead, signTreeHead, type TreeHead } from '@sallyport/trail';
import { Config } from '../config.ts';
import { Database, type Tx } from '../db/database.ts';
import { Project } from '../db/project.ts';
import { Keys } from '../keys/keys.ts';
import { Outbox } from '../notify/outbox.ts';
import { SystemClock } from '../time.ts';
import { appendHeads, lastHeadSize } from './heads-file.ts';
import { TrailSigner } from './trail-signer.ts';

const STATEMENT_BYTES = 108;
const LEAVES_MAX = 2_000;
const HEADS_AT_ONCE = 500;

@Injectable()
export class Tree {
  #frontier: MerkleFrontier | undefined;
  /** Size of the last head in our file; undefined until the file was read. */
  #written: number | undefined;
  constructor(
    private readonly config: Config,
    private readonly database: Database,
    private readonly signer: TrailSigner,
    private readonly keys: Keys,
    private readonly outbox: Outbox,
    private readonly project: Project,
    private readonly clock: SystemClock,
  ) {}

  /** Appends new checkpoints and signs the head, if no other replica is at it; then brings our heads file up to date. */
  async round(): Promise<void> {
    try {
      await this.database.transaction((tx) => this.#grow(tx));
    } catch (cause) {
      // What was added in memory may not be in the table.
      this.#frontier = undefined;
      throw cause;
    }
    await this.#keepHeads();
  }

  /** Heads of size `from` < size ≤ `to`, oldest first. */
  async heads(from: number, to: number, take?: number): Promise<readonly TreeHead[]> {
    const rows = await this.database.client.trailTreeHead.findMany({
      where: { projectId: this.project.id, size: { gt: BigInt(from), lte: BigInt(to) } },
      orderBy: { size: 'asc' },
      ...(take === undefined ? {} : { take }),
    });
    return rows.map((row) => headOf(Buffer.from(row.signed)));
  }

  async size(): Promise<number> {
    return await this.database.client.trailCheckpoint.count({
      where: { projectId: this.project.id, leafIndex: { not: null } },
    });
  }

  /** The first `size` leaves, in order. */
  async leaves(size: number, tx: Tx = this.database.client): Promise<readonly Buffer[]> {
    const rows = await tx.trailCheckpoint.findMany({
      where: { projectId: this.project.id, leafIndex: { lt: BigInt(size) } },
      orderBy: { leafIndex: 'asc' },
      select: { leaf: true },
    });
    return rows.map((row) => Buffer.from(row.leaf));
  }

  async #grow(tx: Tx): Promise<void> {
    const [lock] = await tx.$queryRaw<{ got: boolean }[]>`select pg_try_advisory_xact_lock(7070, 3) as got`;
    if (lock?.got !== true) return;
    const fresh = await tx.trailCheckpoint.findMany({
      where: { projectId: this.project.id, leafIndex: null },
      orderBy: [{ createdAt: 'asc' }, { chainId: 'asc' }, { segment: 'asc' }],
      take: LEAVES_MAX,
      select: { chainId: true, segment: true, leaf: true },
    });
    if (fresh.length === 0) return;
    const frontier = await this.#frontierAt(
      tx,
      await tx.trailCheckpoint.count({ where: { projectId: this.project.id, leafIndex: { not: null } } }),
    );
    for (const { chainId, segment, leaf } of fresh) {
      await tx.trailCheckpoint.update({
        where: { chainId_segment: { chainId, segment } },
        data: { leafIndex: BigInt(frontier.size) },
      });
      frontier.add(Buffer.from(leaf));
    }
    const signer = await this.signer.current();
    const head = await signTreeHead(
      {
        controlPlaneId: this.keys.controlPlaneId,
        size: frontier.size,
        timeMs: this.clock.nowMs(),
        root: frontier.root(),
      },
      signer,
    );
    await tx.trailTreeHead.create({
      data: {
        projectId: this.project.id,
        size: BigInt(head.size),
        root: new Uint8Array(head.root),
        signed: new Uint8Array(Buffer.concat([head.statement, head.signature])),
        keyId: signer.keyName,
      },
    });
    await this.outbox.add(
      tx,
      this.project.id,
      'trail.head',
      JSON.parse(formatTreeHead(head)) as Record<string, string>,
    );
    this.#frontier = frontier;
  }

  async #frontierAt(tx: Tx, size: number): Promise<MerkleFrontier> {
    if (this.#frontier?.size === size) return this.#frontier;
    const frontier = new MerkleFrontier();
    for (const leaf of await this.leaves(size, tx)) frontier.add(leaf);
    return frontier;
  }

  /** Appends to `heads.jsonl` what it lacks; synced, since it is what history is held against. */
  async #keepHeads(): Promise<void> {
    const file = path.join(this.config.dataDir, 'heads.jsonl');
    this.#written ??= await lastHeadSize(file);
    const heads = await this.heads(this.#written, Number.MAX_SAFE_INTEGER, HEADS_AT_ONCE);
    const last = heads.at(-1);
    if (last === undefined) return;
    await appendHeads(file, heads);
    this.#written = last.size;
  }
}

const headOf = (signed: Buffer): TreeHead =>
  parseTreeHead(signed.subarray(0, STATEMENT_BYTES), signed.subarray(STATEMENT_BYTES));
