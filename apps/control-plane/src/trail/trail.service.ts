/**
 * The record as people and verifiers see it: search, chains with what is missing, tree heads, and exports that anyone can
 * check with the root alone. An export is sealed first, so that it ends in checkpoints and a head, and is itself an act.
 * Refuses to open payloads.
 */
import { Injectable } from '@nestjs/common';
import {
  appendRecord,
  ByteBatch,
  decodeEventPayload,
  type EventRecord,
  type ExportRecording,
  type ExportSegment,
  formatTreeHead,
  parseEventRecord,
  RECORD_CHECKPOINT,
  RECORD_ERASED_EVENT,
  RECORD_EVENT,
  RECORD_KEY,
  readRecords,
  sha256,
  writeExport,
} from '@sallyport/trail';
import { recordActOf } from '../acts/acts.ts';
import { Database } from '../db/database.ts';
import type { Caller } from '../http/caller.ts';
import { InvalidRequest } from '../http/invalid-request.ts';
import { Keys } from '../keys/keys.ts';
import { SystemClock } from '../time.ts';
import type { ChainView, EventsQuery, EventView, ExportQuery, HeadsQuery, HeadView } from './trail.dto.ts';
import { type EventPlace, type EventRow, type StoredSegment, TrailRepository } from './trail.repository.ts';
import { TrailKeeper } from './trail-keeper.ts';
import { Tree } from './tree.ts';

const NO_KEY = '0'.repeat(32);

/** Given by recordings/, which stands above this module. */
export interface RecordingChunks {
  chunksOf(
    projectId: string,
    sessionId: string,
  ): Promise<readonly { readonly index: number; read(): Promise<Buffer> }[]>;
}

@Injectable()
export class TrailService {
  constructor(
    private readonly database: Database,
    private readonly repository: TrailRepository,
    private readonly keeper: TrailKeeper,
    private readonly tree: Tree,
    private readonly keys: Keys,
    private readonly clock: SystemClock,
  ) {}

  async events(caller: Caller, query: EventsQuery): Promise<{ items: EventView[]; nextCursor: string | null }> {
    const rows = await this.repository.events(
      caller.projectId,
      query,
      query.cursor === undefined ? undefined : readPlace(query.cursor),
    );
    const kept = rows.slice(0, query.limit);
    const last = kept.at(-1);
    return {
      items: kept.map(showEvent),
      nextCursor: rows.length > query.limit && last !== undefined ? writePlace(last) : null,
    };
  }

  async chains(caller: Caller): Promise<{ items: ChainView[]; nextCursor: null }> {
    const { chains, agents } = await this.repository.chains(caller.projectId);
    const items = chains.map((row) => ({
      id: row.id,
      agentId: row.agentId,
      agent: agents.get(row.agentId) ?? '',
      instance: row.instance,
      epoch: Number(row.epoch),
      sequence: Number(row.lastSequence),
      head: Buffer.from(row.head).toString('hex'),
      saidSequence: Number(row.saidSequence),
      missing: Math.max(0, Number(row.saidSequence - row.lastSequence)),
      alarm: row.alarm,
      updatedAt: row.updatedAt.toISOString(),
    }));
    return { items, nextCursor: null };
  }

  async heads(caller: Caller, query: HeadsQuery): Promise<{ items: HeadView[]; nextCursor: null }> {
    const from = query.latest === true ? (await this.tree.size(caller.projectId)) - 1 : query.after;
    const heads = await this.tree.heads(caller.projectId, Math.max(0, from), Number.MAX_SAFE_INTEGER, query.limit);
    return { items: heads.map((head) => JSON.parse(formatTreeHead(head)) as HeadView), nextCursor: null };
  }

  /** The archive of docs/reference/trail-format.md, piece by piece. */
  async export(caller: Caller, query: ExportQuery, recordings: RecordingChunks): Promise<AsyncGenerator<Buffer>> {
    await this.database.transaction((tx) =>
      recordActOf(tx, caller, 'trail.exported', 'trail', {
        since: query.since ?? '',
        until: query.until ?? '',
        recordings: query.recordings === true,
      }),
    );
    await this.keeper.sealNow();
    const whole = await this.tree.size(caller.projectId);
    const size = query.until === undefined ? whole : Math.min(whole, await this.#sizeOf(caller, 'until', query.until));
    const since = query.since === undefined ? 0 : Math.min(size, await this.#sizeOf(caller, 'since', query.since));
    const segments = await this.repository.segments(caller.projectId, since, size, query.until === undefined);
    const named = new Set<string>();
    return writeExport({
      manifest: {
        controlPlaneId: caller.projectId,
        createdMs: this.clock.nowMs(),
        since,
        recordings: query.recordings === true,
      },
      certificates: (await this.keys.history(caller.projectId)).join(''),
      heads: await this.tree.heads(caller.projectId, 0, size),
      leaves: await this.tree.leaves(caller.projectId, size),
      segments: this.#segments(caller.projectId, segments, named),
      recordings: query.recordings === true ? this.#recordings(caller.projectId, named, recordings) : [],
    });
  }

  async #sizeOf(caller: Caller, field: string, bound: string): Promise<number> {
    const size = /^\d+$/.test(bound) ? Number(bound) : await this.repository.sizeAt(caller.projectId, new Date(bound));
    if (!Number.isSafeInteger(size))
      throw new InvalidRequest([{ field, message: 'a size of the tree or an instant is expected' }]);
    return size;
  }

  /** @param named gets what `recording.chunk` events name, as `session/index` */
  async *#segments(
    projectId: string,
    segments: readonly StoredSegment[],
    named: Set<string>,
  ): AsyncGenerator<ExportSegment> {
    let chainId = '';
    let emitted = new Set<string>();
    for (const segment of segments) {
      if (segment.chainId !== chainId) emitted = new Set();
      chainId = segment.chainId;
      const batches = await this.repository.batches(segment);
      const header = batches[0]?.segmentHeader;
      if (header === undefined) continue;
      const file = new ByteBatch();
      file.append(header);
      for (const batch of batches)
        await this.#appendWithKeys(file, projectId, Buffer.from(batch.records), segment.closed, emitted, named);
      const identity = { agentId: segment.agentId, instance: segment.instance, epoch: segment.epoch };
      yield { identity, firstSequence: Number(segment.segment), bytes: Buffer.from(file.view) };
    }
  }

  /** Key records are stored apart from the chain; each goes in again before the first event that uses it. */
  async #appendWithKeys(
    file: ByteBatch,
    projectId: string,
    records: Buffer,
    closed: boolean,
    emitted: Set<string>,
    named: Set<string>,
  ): Promise<void> {
    const parsed = [...readRecords(records)];
    const keyOf = (event: EventRecord): string => event.keyId.toString('hex');
    const eventOf = (body: Buffer, type: number): EventRecord => parseEventRecord(body, type === RECORD_ERASED_EVENT);
    const wanted = new Set<string>();
    for (const { type, body } of parsed) {
      if (type !== RECORD_EVENT && type !== RECORD_ERASED_EVENT) continue;
      const event = eventOf(body, type);
      wanted.add(keyOf(event));
      if (event.kind !== 'recording.chunk' || event.payload === undefined) continue;
      const chunk = decodeEventPayload(event.kind, event.payload);
      if (chunk.kind === 'recording.chunk') named.add(`${event.sessionId}/${chunk.index}`);
    }
    const missing = [...wanted].filter((id) => id !== NO_KEY && !emitted.has(id));
    for (const row of missing.length === 0 ? [] : await this.repository.keyRows(projectId, missing.map(uuidOf))) {
      appendRecord(file, RECORD_KEY, keyBody(row.id, row.sessionId, row.box));
    }
    for (const id of missing) emitted.add(id);
    for (const { type, start, end } of parsed) {
      // The checkpoint of a segment that joined the tree after this export began.
      if (type === RECORD_CHECKPOINT && !closed) continue;
      file.append(records.subarray(start, end));
    }
  }

  /** Those that the exported events name, so that each can be checked: a session may be older than the export. */
  async *#recordings(
    projectId: string,
    named: ReadonlySet<string>,
    recordings: RecordingChunks,
  ): AsyncGenerator<ExportRecording> {
    for (const sessionId of new Set([...named].map((chunk) => chunk.slice(0, chunk.indexOf('/'))))) {
      for (const chunk of await recordings.chunksOf(projectId, sessionId))
        if (named.has(`${sessionId}/${chunk.index}`))
          yield { sessionId, index: chunk.index, bytes: await chunk.read() };
    }
  }
}

const hexOf = (uuid: string): Buffer => Buffer.from(uuid.replaceAll('-', ''), 'hex');
const uuidOf = (hex: string): string => hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');

function keyBody(id: string, sessionId: string, box: Uint8Array): Buffer {
  const body = Buffer.concat([hexOf(id), hexOf(sessionId), box]);
  return Buffer.concat([body, sha256(body).subarray(0, 8)]);
}

const writePlace = (row: EventRow): string =>
  Buffer.from(JSON.stringify([row.time.toISOString(), row.chain_id, String(row.sequence)])).toString('base64url');

function readPlace(cursor: string): EventPlace {
  try {
    const [time, chainId, sequence] = JSON.parse(Buffer.from(cursor, 'base64url').toString()) as string[];
    if (time === undefined || !/^[0-9a-f-]{36}$/.test(chainId ?? '') || Number.isNaN(Date.parse(time)))
      throw new Error('shape');
    return { time: new Date(time), chainId: chainId!, sequence: BigInt(sequence ?? '') };
  } catch (cause) {
    throw new InvalidRequest([{ field: 'cursor', message: 'not a cursor of this list' }], 'request.invalid', { cause });
  }
}

const showEvent = (row: EventRow): EventView => ({
  time: row.time.toISOString(),
  chain: { id: row.chain_id, agentId: row.agent_id, instance: row.instance, epoch: Number(row.epoch) },
  sequence: Number(row.sequence),
  kind: row.kind,
  sessionId: row.session_id,
  principal: row.principal,
  onBehalfOf: row.on_behalf_of,
  resource: row.resource,
  verdict: row.verdict,
  rule: row.rule,
  code: row.code,
  action: row.action,
  target: row.target,
  count: row.count,
});
