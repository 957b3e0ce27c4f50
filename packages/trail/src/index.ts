export { ByteBatch, sha256, textSize } from './bytes.ts';
export { parseCertificates, type TrustAnswer, type TrustProblem, TrustStore } from './certificates.ts';
export { type ChainIdentity, type ChainPosition, ChainWriter, chainStart, encodeIdentity, genesis } from './chain.ts';
export { ChainChecker, type CheckedRecord } from './chain-check.ts';
export {
  type Checkpoint,
  type CheckpointClaim,
  checkpointHolds,
  encodeCheckpointStatement,
  parseCheckpoint,
  signCheckpoint,
  signCheckpointAsync,
} from './checkpoint.ts';
export { EVENT_HEADER_BYTES, type EventRecord, FLAG_CONTINUED, parseEventRecord } from './event.ts';
export { EventReader, type ReadEvent } from './event-reader.ts';
export {
  type ExportManifest,
  type ExportParts,
  type ExportRecording,
  type ExportSegment,
  recordingEntryName,
  segmentEntryName,
  writeExport,
} from './export.ts';
export { HTTP_SIDES, type HttpFrame, type HttpSide, isHttpFrame } from './http-frame.ts';
export { isClear, KIND_CODES, kindOf } from './kinds.ts';
export {
  consistencyHolds,
  consistencyProof,
  inclusionHolds,
  inclusionProof,
  leafHash,
  MerkleFrontier,
  merkleRoot,
} from './merkle.ts';
export { decodeEventPayload } from './payload-decode.ts';
export { encodeEventPayload } from './payload-encode.ts';
export type { Cell } from './postgres-cells.ts';
export {
  appendRecord,
  eventSequence,
  RECORD_CHECKPOINT,
  RECORD_ERASED_EVENT,
  RECORD_EVENT,
  RECORD_KEY,
  RecordReader,
  type RecordType,
  readRecord,
  readRecords,
  recordEnd,
  type TrailRecord,
} from './record.ts';
export {
  openRecordingChunk,
  parseRecordingHead,
  type RecordingChunkHead,
  recordingDigest,
  sealRecordingChunk,
} from './recording-chunk.ts';
export { decodeFrames, encodeFrame, FrameWriter, type RecordingFrame } from './recording-frame.ts';
export { type RecordingIndexEntry, type RecordingSource, replayRecording } from './recording-reader.ts';
export { type RecoveredSegment, recoverSegment } from './recover.ts';
export { CopyReader } from './replay-copy.ts';
export { PostgresRowReader, readPostgresRows } from './replay-postgres.ts';
export { encodeSegmentHeader, parseSegmentHeader, type SegmentHeader, sameChain } from './segment.ts';
export { type KeyRecord, openSessionKey, parseKeyRecord, SessionKey, SessionKeyReader } from './session-key.ts';
export {
  type AsyncSigner,
  keySigner,
  publicKeyId,
  SIGN_ED25519,
  SIGN_ES256,
  type SignatureAlgorithm,
  type SignerName,
  type SyncSigner,
  signatureHolds,
} from './signer.ts';
export { FRAME_STREAMS, type FrameStream, type StreamFrame } from './stream-frame.ts';
export { readTar, TAR_END, type TarEntry, tarEntry } from './tar.ts';
export {
  formatTreeHead,
  parseTreeHead,
  parseTreeHeads,
  signTreeHead,
  type TreeHead,
  type TreeHeadClaim,
  treeHeadHolds,
} from './tree-head.ts';
export {
  type ChainSummary,
  type Finding,
  type FindingKind,
  type VerifyOptions,
  type VerifyReport,
  verifyExport,
} from './verify-export.ts';
