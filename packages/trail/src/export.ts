/**
 * Writing an export: a ustar archive that anyone can check with the root alone. Refuses to know where parts come from.
 * docs/reference/trail-format.md, Export. Entries are made one by one, so an export of any size streams.
 */
import type { ChainIdentity } from './chain.ts';
import { TAR_END, tarEntry } from './tar.ts';
import { formatTreeHead, type TreeHead } from './tree-head.ts';

export const EXPORT_FORMAT = 'sallyport-trail-export';

export interface ExportManifest {
  /** UUID text. */
  readonly controlPlaneId: string;
  /** UTC ms. */
  readonly createdMs: number;
  /** Leaves of the tree whose segments are left out; 0 for a whole export. */
  readonly since: number;
  /** The chunks of recordings that were kept are in it; false when left out. */
  readonly recordings?: boolean;
}

export interface ExportSegment {
  readonly identity: ChainIdentity;
  readonly firstSequence: number;
  /** The segment file. */
  readonly bytes: Uint8Array;
}

export interface ExportRecording {
  readonly sessionId: string;
  readonly index: number;
  readonly bytes: Uint8Array;
}

export interface ExportParts {
  readonly manifest: ExportManifest;
  /** PEM of every signer and issuer. */
  readonly certificates: string;
  /** Oldest first. */
  readonly heads: readonly TreeHead[];
  /** All leaves of the tree in order. */
  readonly leaves: readonly Uint8Array[];
  /** Each chain's segments in order of sequence; chains in any order. */
  readonly segments: AsyncIterable<ExportSegment> | Iterable<ExportSegment>;
  readonly recordings: AsyncIterable<ExportRecording> | Iterable<ExportRecording>;
}

export const segmentEntryName = (identity: ChainIdentity, firstSequence: number): string =>
  `segments/${identity.agentId}/${identity.instance}/${identity.epoch}/${String(firstSequence).padStart(16, '0')}.seg`;
export const recordingEntryName = (sessionId: string, index: number): string =>
  `recordings/${sessionId}/${String(index).padStart(8, '0')}.rec`;

/** The archive's bytes, piece by piece. */
export async function* writeExport(parts: ExportParts): AsyncGenerator<Buffer> {
  const { manifest } = parts;
  const entry = (name: string, bytes: Uint8Array): Buffer => tarEntry(name, bytes, manifest.createdMs);
  const json = {
    format: EXPORT_FORMAT,
    version: 1,
    controlPlaneId: manifest.controlPlaneId,
    created: manifest.createdMs,
    since: manifest.since,
    ...(manifest.recordings === true ? { recordings: true } : {}),
  };
  yield entry('manifest.json', Buffer.from(`${JSON.stringify(json)}\n`));
  yield entry('certificates.pem', Buffer.from(parts.certificates));
  yield entry('heads.jsonl', Buffer.from(parts.heads.map(formatTreeHead).join('')));
  yield entry('leaves.bin', Buffer.concat(parts.leaves));
  for await (const segment of parts.segments) {
    yield entry(segmentEntryName(segment.identity, segment.firstSequence), segment.bytes);
  }
  for await (const recording of parts.recordings) {
    yield entry(recordingEntryName(recording.sessionId, recording.index), recording.bytes);
  }
  yield TAR_END;
}
