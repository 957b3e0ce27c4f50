/**
 * Replays a recording from its chunks, from any instant: frames in order of time, one chunk in memory at a time.
 * Refuses to know where chunks are stored; `readChunk` is an argument.
 */
import { GatewayError } from '@sallyport/core';
import { openRecordingChunk, parseRecordingHead, recordingDigest } from './recording-chunk.ts';
import { decodeFrames, type RecordingFrame } from './recording-frame.ts';
import type { SessionKeyReader } from './session-key.ts';

/** What the trail's `recording.chunk` events say, in order of index. */
export interface RecordingIndexEntry {
  readonly index: number;
  readonly digest: string;
  readonly fromMs: number;
  readonly toMs: number;
}

export interface RecordingSource {
  readonly sessionId: string;
  readonly chunks: readonly RecordingIndexEntry[];
  /** The stored bytes of one chunk. */
  readChunk(index: number): Promise<Buffer>;
}

/**
 * @param fromMs ms since the session opened; chunks that end before it are not even read
 * @throws GatewayError `trail.broken` when a chunk is not the one that the trail names; what was yielded before it is sound
 */
export async function* replayRecording(
  source: RecordingSource,
  key: SessionKeyReader,
  fromMs = 0,
): AsyncGenerator<RecordingFrame> {
  const recordingKey = key.recordingKey();
  for (const entry of source.chunks) {
    if (entry.toMs < fromMs) continue;
    const bytes = await source.readChunk(entry.index);
    const head = parseRecordingHead(bytes);
    const right =
      recordingDigest(bytes) === entry.digest && head.index === entry.index && head.sessionId === source.sessionId;
    if (!right) throw new GatewayError('trail.broken', { reason: 'recording', index: entry.index });
    const plain = await openRecordingChunk(bytes, recordingKey);
    for (const frame of decodeFrames(plain, head.fromMs)) if (frame.atMs >= fromMs) yield frame;
  }
}
