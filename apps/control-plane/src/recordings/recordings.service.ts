/**
 * Recordings: pieces from agents become stored chunks, acknowledged once they are durable; and chunks become frames again
 * for who may see them. Each chunk is bound to the trail by its digest. Refuses to open a chunk that the trail does not name.
 */
import { hash } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import type { RecordingAck, RecordingChunk } from '@sallyport/contract';
import { GatewayError, LIMITS } from '@sallyport/core';
import { parseRecordingHead, type RecordingFrame, replayRecording } from '@sallyport/trail';
import { Database } from '../db/database.ts';
import { Log } from '../http/problem.filter.ts';
import { SessionKeys } from '../trail/session-keys.ts';
import { RecordingStore, recordingKey } from './recording-store.ts';

/** Compressed and sealed, a chunk is hardly larger than what went in. */
const CHUNK_BYTES_MAX = 2 * LIMITS.recordingChunkBytesMax;
const UNFINISHED_MAX = 1_000;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

interface Unfinished {
  readonly parts: Buffer[];
  bytes: number;
}

export interface RecordingAgent {
  readonly agentId: string;
  readonly projectId: string;
}

@Injectable()
export class Recordings {
  readonly #unfinished = new Map<string, Unfinished>();
  constructor(
    private readonly database: Database,
    private readonly store: RecordingStore,
    private readonly keys: SessionKeys,
    private readonly log: Log,
  ) {}

  /**
   * One piece of a chunk; pieces of a chunk come in order.
   * @returns the acknowledgement when the chunk is whole and durable
   * @throws GatewayError `protocol.malformed` for pieces that make no chunk of that agent's session
   */
  async accept(agent: RecordingAgent, piece: RecordingChunk): Promise<RecordingAck | undefined> {
    const sessionId = piece.sessionId ?? '';
    const index = piece.index ?? 0;
    if (!UUID.test(sessionId)) throw new GatewayError('protocol.malformed', { what: 'recording' });
    const bytes = this.#collect(`${agent.agentId}/${sessionId}/${index}`, piece);
    if (bytes === undefined) return undefined;
    const digest = hash('sha256', bytes, 'buffer');
    const head = parseRecordingHead(bytes);
    if (!digest.equals(piece.digest ?? new Uint8Array()) || head.sessionId !== sessionId || head.index !== index) {
      throw new GatewayError('protocol.malformed', { what: 'recording', session: sessionId, index });
    }
    await this.#requireOwn(agent, sessionId);
    const key = recordingKey(agent.projectId, sessionId, index, digest);
    await this.store.put(key, bytes);
    const kept = await this.#index(agent, {
      sessionId,
      index,
      digest,
      key,
      size: bytes.length,
      fromMs: head.fromMs,
      toMs: head.toMs,
    });
    if (!kept)
      this.log.error('a recording is not the one that the trail names', {
        agent: agent.agentId,
        session: sessionId,
        index,
      });
    return { sessionId, index };
  }

  /** @returns whether anything of the session was recorded and has arrived */
  async has(sessionId: string): Promise<boolean> {
    return (
      (await this.database.client.recordingChunk.count({ where: { sessionId, object: { not: '' } }, take: 1 })) > 0
    );
  }

  /** @returns whether the trail or an agent named anything of it, here or not */
  async isNamed(sessionId: string): Promise<boolean> {
    return (await this.database.client.recordingChunk.count({ where: { sessionId }, take: 1 })) > 0;
  }

  /** Stored chunks of a session, for exports. */
  async chunksOf(
    projectId: string,
    sessionId: string,
  ): Promise<readonly { readonly index: number; read(): Promise<Buffer> }[]> {
    const rows = await this.database.client.recordingChunk.findMany({
      where: { projectId, sessionId, object: { not: '' } },
      orderBy: { index: 'asc' },
    });
    return rows.map((row) => ({ index: row.index, read: () => this.store.get(row.object) }));
  }

  /**
   * Frames from `fromMs` on (ms since the session opened), one chunk in memory at a time.
   * @throws GatewayError `recording.unavailable` when nothing arrived or the key was destroyed; `trail.broken` for a wrong chunk
   */
  async replay(sessionId: string, fromMs: number): Promise<AsyncGenerator<RecordingFrame>> {
    const rows = await this.database.client.recordingChunk.findMany({
      where: { sessionId, object: { not: '' } },
      orderBy: { index: 'asc' },
    });
    const first = rows[0];
    if (first === undefined) throw new GatewayError('recording.unavailable', { session: sessionId });
    const { keyId } = parseRecordingHead(await this.store.get(first.object));
    await this.keys.load([keyId]);
    const key = this.keys.find(keyId);
    if (key === undefined) throw new GatewayError('recording.unavailable', { session: sessionId, reason: 'key' });
    const chunks = rows.map((row) => ({
      index: row.index,
      digest: Buffer.from(row.digest).toString('hex'),
      fromMs: row.fromMs,
      toMs: row.toMs,
    }));
    const readChunk = async (index: number): Promise<Buffer> =>
      await this.store.get(rows.find((row) => row.index === index)!.object);
    return replayRecording({ sessionId, chunks, readChunk }, key, fromMs);
  }

  /** What is left of an erased session's chunks, which nobody can open any more. A failure leaves them: they are noise. */
  async remove(sessionId: string): Promise<void> {
    const rows = await this.database.client.recordingChunk.findMany({ where: { sessionId, object: { not: '' } } });
    for (const row of rows) {
      await this.store.delete(row.object);
      await this.database.client.recordingChunk.updateMany({
        where: { sessionId, index: row.index },
        data: { object: '' },
      });
    }
  }

  #collect(id: string, piece: RecordingChunk): Buffer | undefined {
    const part = Buffer.from(piece.part ?? new Uint8Array());
    if ((piece.offset ?? 0) === 0) this.#unfinished.delete(id);
    const known = this.#unfinished.get(id) ?? { parts: [], bytes: 0 };
    if (known.bytes !== (piece.offset ?? 0) || known.bytes + part.length > CHUNK_BYTES_MAX) {
      this.#unfinished.delete(id);
      throw new GatewayError('protocol.malformed', { what: 'recording' });
    }
    known.parts.push(part);
    known.bytes += part.length;
    if (piece.last === true) {
      this.#unfinished.delete(id);
      return Buffer.concat(known.parts);
    }
    if (this.#unfinished.size >= UNFINISHED_MAX) this.#unfinished.delete(this.#unfinished.keys().next().value!);
    this.#unfinished.set(id, known);
    return undefined;
  }

  /** The trail may be a little behind; a session that is known has to be this agent's. */
  async #requireOwn(agent: RecordingAgent, sessionId: string): Promise<void> {
    const session = await this.database.client.session.findUnique({
      where: { id: sessionId },
      select: { agentId: true },
    });
    if (session !== null && session.agentId !== agent.agentId)
      throw new GatewayError('protocol.malformed', { what: 'recording', session: sessionId });
  }

  /** @returns false when the trail names another digest: its word stays */
  async #index(
    agent: RecordingAgent,
    chunk: {
      readonly sessionId: string;
      readonly index: number;
      readonly digest: Buffer;
      readonly key: string;
      readonly size: number;
      readonly fromMs: number;
      readonly toMs: number;
    },
  ): Promise<boolean> {
    const done = await this.database.client.$executeRaw`
      insert into recording_chunks as c (session_id, project_id, index, digest, size, object, from_ms, to_ms)
      values (${chunk.sessionId}::uuid, ${agent.projectId}::uuid, ${chunk.index}, ${new Uint8Array(chunk.digest)}, ${chunk.size}, ${chunk.key}, ${chunk.fromMs}, ${chunk.toMs})
      on conflict (session_id, index) do update set object = excluded.object, size = excluded.size where c.digest = excluded.digest`;
    return done > 0;
  }
}
