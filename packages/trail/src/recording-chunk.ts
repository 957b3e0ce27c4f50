/**
 * A chunk of a recording as it is stored: zstd, then AES-256-GCM under the session's recording key, header authenticated.
 * Refuses to know files and frames. docs/reference/trail-format.md, Recording.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { zstdDecompress } from 'node:zlib';
import { LIMITS, parseUuid, secretKey, uuidText } from '@sallyport/core';
import { broken, readU64, sha256, writeU64 } from './bytes.ts';
import { compressChunk } from './chunk-compressor.ts';

const MAGIC = Buffer.from('SLYRECRD');
// Version, zstd, AES-256-GCM, zero.
const ALGORITHMS = Buffer.of(1, 1, 1, 0);
export const RECORDING_HEADER_BYTES = 80;
const TAG_BYTES = 16;

const decompress = promisify(zstdDecompress);

export interface RecordingChunkHead {
  /** UUID text. */
  readonly sessionId: string;
  readonly keyId: Buffer;
  readonly index: number;
  /** First and last frame, ms since the session opened. */
  readonly fromMs: number;
  readonly toMs: number;
}

/**
 * Compresses in zlib's threads, then encrypts. Call once per index.
 * @param plain encoded frames, at most `LIMITS.recordingChunkBytesMax`
 * @returns the file's bytes and the hex digest for the `recording.chunk` event
 */
export async function sealRecordingChunk(
  head: RecordingChunkHead,
  plain: Buffer,
  recordingKey: Buffer,
  nonce: Buffer = randomBytes(12),
): Promise<{ readonly bytes: Buffer; readonly digest: string }> {
  const session = parseUuid(head.sessionId);
  if (session === undefined || plain.length > LIMITS.recordingChunkBytesMax) throw broken('chunk');
  const packed = await compressChunk(plain);
  const header = Buffer.alloc(RECORDING_HEADER_BYTES);
  header.set(MAGIC, 0);
  header.set(ALGORITHMS, 8);
  header.set(session, 12);
  header.set(head.keyId, 28);
  header.writeUInt32BE(head.index, 44);
  writeU64(header, head.fromMs, 48);
  writeU64(header, head.toMs, 56);
  header.writeUInt32BE(plain.length, 64);
  header.set(nonce, 68);
  const cipher = createCipheriv('aes-256-gcm', secretKey(recordingKey), nonce);
  cipher.setAAD(header);
  const bytes = Buffer.concat([header, cipher.update(packed), cipher.final(), cipher.getAuthTag()]);
  return { bytes, digest: sha256(bytes).toString('hex') };
}

/** Reads a chunk's head without its key. @throws GatewayError `trail.broken` (`chunk`, `version`) */
export function parseRecordingHead(bytes: Buffer): RecordingChunkHead & { readonly plainBytes: number } {
  if (bytes.length < RECORDING_HEADER_BYTES + TAG_BYTES || !bytes.subarray(0, 8).equals(MAGIC)) throw broken('chunk');
  if (!bytes.subarray(8, 12).equals(ALGORITHMS)) throw broken('version');
  const plainBytes = bytes.readUInt32BE(64);
  if (plainBytes > LIMITS.recordingChunkBytesMax) throw broken('chunk');
  return {
    sessionId: uuidText(bytes.subarray(12, 28)),
    keyId: bytes.subarray(28, 44),
    index: bytes.readUInt32BE(44),
    fromMs: readU64(bytes, 48),
    toMs: readU64(bytes, 56),
    plainBytes,
  };
}

export const recordingDigest = (bytes: Uint8Array): string => sha256(bytes).toString('hex');

/** The frames' bytes. @throws GatewayError `trail.broken` (`chunk`) when damaged or under another key */
export async function openRecordingChunk(bytes: Buffer, recordingKey: Buffer): Promise<Buffer> {
  const head = parseRecordingHead(bytes);
  const decipher = createDecipheriv('aes-256-gcm', secretKey(recordingKey), bytes.subarray(68, 80));
  decipher.setAAD(bytes.subarray(0, RECORDING_HEADER_BYTES));
  decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
  try {
    const body = bytes.subarray(RECORDING_HEADER_BYTES, -TAG_BYTES);
    const packed = Buffer.concat([decipher.update(body), decipher.final()]);
    const plain = await decompress(packed, { maxOutputLength: Math.max(1, head.plainBytes) });
    if (plain.length !== head.plainBytes) throw broken('chunk');
    return plain;
  } catch (cause) {
    throw broken('chunk', { index: head.index, cause: cause instanceof Error ? cause.name : 'unknown' });
  }
}
