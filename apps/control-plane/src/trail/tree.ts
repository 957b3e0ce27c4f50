/**
 * The Merkle tree over all checkpoints of a project: leaves in the order they were committed, a signed head after each
 * growth. Heads leave the building: every replica keeps a file of them, and webhooks carry them. Each project has its own.
 * Refuses to change a leaf once it has an index.
 */
import path from 'node:path';
import { Injectable } from '@nestjs/common';
import { formatTreeHead, MerkleFrontier, parseTreeHead, signTreeHead, type TreeHead } from '@sallyport/trail';
import { Config } from '../config.ts';
import { Database, type Tx } from '../db/database.ts';
import { Project } from '../db/project.ts';
import { Outbox } from '../notify/outbox.ts';
import { SystemClock } from '../time.ts';
import { appendHeads, lastHeadSize } from './heads-file.ts';
import { TrailSigner } from './trail-signer.ts';

const STATEMENT_BYTES = 108;
const LEAVES_MAX = 2_000;
const HEADS_AT_ONCE = 500;

@Injectable()
export class Tree {
  /** By project. */
  readonly #frontiers = new Map<string, MerkleFrontier>();
  /** Size of the last head in a project's file, once the file was read. */
  readonly #written = new Map<string, number>();
  constructor(
    private readonly config: Config,
    private readonly database: Database,
    private readonly signer: TrailSigner,
    private readonly outbox: Outbox,
    private readonly project: Project,
    private readonly clock: SystemClock,
  ) {}

  /** Appends new checkpoints and signs the heads, if no other replica is at it; then brings our heads files up to date. */
  async round(): Promise<void> {
    const fresh = await this.database.client.$queryRaw<{ id: string }[]>`
      select p.id::text as id from projects p
      where exists (select 1 from trail_checkpoints c where c.project_id = p.id and c.leaf_index is null)`;
    for (const { id } of fresh) {
      try {
        await this.database.transaction((tx) => this.#grow(tx, id));
      } catch (cause) {
        // What was added in memory may not be in the table.
        this.#frontiers.delete(id);
        throw cause;
      }
    }
    await this.#keepHeads();
  }

  /** Heads of size `from` < size ≤ `to`, oldest first. */
  async heads(projectId: string, from: number, to: number, take?: number): Promise<readonly TreeHead[]> {
    const rows = await this.database.client.trailTreeHead.findMany({
      where: { projectId, size: { gt: BigInt(from), lte: BigInt(to) } },
      orderBy: { size: 'asc' },
      ...(take === undefined ? {} : { take }),
    });
    return rows.map((row) => headOf(Buffer.from(row.signed)));
  }

  async size(projectId: string): Promise<number> {
    return await this.database.client.trailCheckpoint.count({ where: { projectId, leafIndex: { not: null } } });
  }

  /** The first `size` leaves, in order. */
  async leaves(projectId: string, size: number, tx: Tx = this.database.client): Promise<readonly Buffer[]> {
    const rows = await tx.trailCheckpoint.findMany({
      where: { projectId, leafIndex: { lt: BigInt(size) } },
      orderBy: { leafIndex: 'asc' },
      select: { leaf: true },
    });
    return rows.map((row) => Buffer.from(row.leaf));
  }

  async #grow(tx: Tx, projectId: string): Promise<void> {
    const [lock] = await tx.$queryRaw<{ got: boolean }[]>`select pg_try_advisory_xact_lock(7070, 3) as got`;
    if (lock?.got !== true) return;
    const fresh = await tx.trailCheckpoint.findMany({
      where: { projectId, leafIndex: null },
      orderBy: [{ createdAt: 'asc' }, { chainId: 'asc' }, { segment: 'asc' }],
      take: LEAVES_MAX,
      select: { chainId: true, segment: true, leaf: true },
    });
    if (fresh.length === 0) return;
    const frontier = await this.#frontierAt(
      tx,
      projectId,
      await tx.trailCheckpoint.count({ where: { projectId, leafIndex: { not: null } } }),
    );
    for (const { chainId, segment, leaf } of fresh) {
      await tx.trailCheckpoint.update({
        where: { chainId_segment: { chainId, segment } },
        data: { leafIndex: BigInt(frontier.size) },
      });
      frontier.add(Buffer.from(leaf));
    }
    const signer = await this.signer.current(projectId);
    const head = await signTreeHead(
      {
        controlPlaneId: projectId,
        size: frontier.size,
        timeMs: this.clock.nowMs(),
        root: frontier.root(),
      },
      signer,
    );
    await tx.trailTreeHead.create({
      data: {
        projectId,
        size: BigInt(head.size),
        root: new Uint8Array(head.root),
        signed: new Uint8Array(Buffer.concat([head.statement, head.signature])),
        keyId: signer.keyName,
      },
    });
    await this.outbox.add(tx, projectId, 'trail.head', JSON.parse(formatTreeHead(head)) as Record<string, string>);
    this.#frontiers.set(projectId, frontier);
  }

  async #frontierAt(tx: Tx, projectId: string, size: number): Promise<MerkleFrontier> {
    const known = this.#frontiers.get(projectId);
    if (known?.size === size) return known;
    const frontier = new MerkleFrontier();
    for (const leaf of await this.leaves(projectId, size, tx)) frontier.add(leaf);
    return frontier;
  }

  /** Appends to each project's file what it lacks; synced, since it is what history is held against. */
  async #keepHeads(): Promise<void> {
    const rows = await this.database.client.$queryRaw<{ id: string; size: bigint }[]>`
      select p.id::text as id, h.size from projects p
      join lateral (select size from trail_tree_heads where project_id = p.id order by size desc limit 1) h on true`;
    for (const { id, size } of rows) {
      const file = path.join(this.config.dataDir, id === this.project.id ? 'heads.jsonl' : `heads-${id}.jsonl`);
      const written = this.#written.get(id) ?? (await lastHeadSize(file));
      this.#written.set(id, written);
      if (written >= Number(size)) continue;
      const heads = await this.heads(id, written, Number.MAX_SAFE_INTEGER, HEADS_AT_ONCE);
      const last = heads.at(-1);
      if (last === undefined) continue;
      await appendHeads(file, heads);
      this.#written.set(id, last.size);
    }
  }
}

const headOf = (signed: Buffer): TreeHead =>
  parseTreeHead(signed.subarray(0, STATEMENT_BYTES), signed.subarray(STATEMENT_BYTES));
