/**
 * Memory that chunks are gathered in: one that was sealed leaves its own for the next. A fresh quarter of a megabyte for each is
 * thousands of cold lines, and as many again wherever it grew. Refuses to keep more than a few. Limit: recordingChunkBytesMax.
 */
import { Buffer } from 'node:buffer';
import { LIMITS } from '@sallyport/core';

const CHUNKS_KEPT_MAX = 4;
const kept: ArrayBufferLike[] = [];

/** Room for a whole chunk; what stands in it is of no meaning. */
export function takeChunkMemory(): Buffer {
  const memory = kept.pop();
  return memory === undefined ? Buffer.allocUnsafeSlow(LIMITS.recordingChunkBytesMax) : Buffer.from(memory);
}

/** @param chunk nobody reads it any more; kept where its memory has the room of a whole one */
export function leaveChunkMemory(chunk: Buffer): void {
  const { buffer } = chunk;
  if (buffer.byteLength === LIMITS.recordingChunkBytesMax && kept.length < CHUNKS_KEPT_MAX) kept.push(buffer);
}
