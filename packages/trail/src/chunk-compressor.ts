/**
 * zstd for chunks, in zlib's threads: one frame for each. Compressors are kept, for making one costs more than what it is made for.
 * Refuses to know what it compresses. Limit: recordingChunkBytesMax.
 */
import { constants, createZstdCompress } from 'node:zlib';
import { LIMITS } from '@sallyport/core';
import { broken } from './bytes.ts';

const KEPT_MAX = 2;
const OPTIONS = {
  params: { [constants.ZSTD_c_compressionLevel]: 1 },
  chunkSize: 64 * 1024,
  /** All of a frame waits to be read, and nothing waits for it to be. */
  highWaterMark: 2 * LIMITS.recordingChunkBytesMax,
};

const idle: ReturnType<typeof createZstdCompress>[] = [];

function newCompressor(): ReturnType<typeof createZstdCompress> {
  const compressor = createZstdCompress(OPTIONS);
  // Whoever wrote is told by its callback; without a listener the process would end.
  compressor.on('error', () => undefined);
  return compressor;
}

/** @param plain at most `LIMITS.recordingChunkBytesMax`, not written into meanwhile @returns a frame, never written into again */
export async function compressChunk(plain: Buffer): Promise<Buffer> {
  const compressor = idle.pop() ?? newCompressor();
  await new Promise<void>((resolve, reject) => {
    compressor.write(plain, (error) => {
      if (error) reject(error);
    });
    compressor.flush(constants.ZSTD_e_end, resolve);
  });
  const packed: unknown = compressor.read();
  if (!Buffer.isBuffer(packed)) throw broken('chunk');
  if (idle.length < KEPT_MAX) idle.push(compressor);
  else compressor.close();
  return packed;
}
