import { createPrivateKey, createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ChainChecker } from './chain-check.ts';
import { checkpointHolds } from './checkpoint.ts';
import { EventReader, type ReadEvent } from './event-reader.ts';
import {
  GOLDEN_CHAIN,
  GOLDEN_COMMIT,
  GOLDEN_COPY_FRAMES,
  GOLDEN_EVENTS,
  GOLDEN_FRAMES,
  GOLDEN_HTTP_FRAMES,
  GOLDEN_PROVEN,
  GOLDEN_REACHED,
  GOLDEN_SEAL_PRIVATE,
  GOLDEN_SECRET,
  GOLDEN_SESSION,
  GOLDEN_STREAM_FRAMES,
  GOLDEN_TOOL,
  GOLDEN_UNTIL_COMMIT,
  goldenSegment,
  goldenSigningKey,
} from './golden.fixture.ts';
import { KIND_CODES } from './kinds.ts';
import { decodeEventPayload } from './payload-decode.ts';
import { encodeEventPayload } from './payload-encode.ts';
import { readRecords } from './record.ts';
import { openRecordingChunk, sealRecordingChunk } from './recording-chunk.ts';
import { decodeFrames, encodeFrame } from './recording-frame.ts';
import { parseSegmentHeader } from './segment.ts';
import { openSessionKey, SessionKey, SessionKeyReader } from './session-key.ts';
import { formatTreeHead, parseTreeHeads, treeHeadHolds } from './tree-head.ts';

const golden = (name: string): string => readFileSync(join(import.meta.dirname, '..', 'golden', name), 'utf8');
const bytesOf = (name: string): Buffer => Buffer.from(golden(name).replaceAll('\n', ''), 'hex');

test('every kind is in the golden payloads, and each encodes to the bytes written there and back', () => {
  const rows = JSON.parse(golden('payloads.json')) as { event: object; payload: string }[];
  expect(rows.length).toBe(GOLDEN_EVENTS.length);
  expect(new Set([...GOLDEN_EVENTS, GOLDEN_TOOL].map((event) => event.kind))).toEqual(new Set(Object.keys(KIND_CODES)));
  for (const [i, event] of GOLDEN_EVENTS.entries()) {
    const row = rows[i]!;
    expect(row.event).toEqual(JSON.parse(JSON.stringify(event)));
    expect(encodeEventPayload(event).toString('hex')).toBe(row.payload);
    expect(decodeEventPayload(event.kind, Buffer.from(row.payload, 'hex'))).toEqual(event);
  }
});

test('what a judged statement reaches keeps its golden bytes, and is absent from older ones', () => {
  const row = JSON.parse(golden('reached.json')) as { event: object; payload: string };
  expect(row.event).toEqual(JSON.parse(JSON.stringify(GOLDEN_REACHED)));
  expect(encodeEventPayload(GOLDEN_REACHED).toString('hex')).toBe(row.payload);
  expect(decodeEventPayload('statement.judged', Buffer.from(row.payload, 'hex'))).toEqual(GOLDEN_REACHED);
});

test('a tool that changed keeps its golden bytes', () => {
  const row = JSON.parse(golden('tool.json')) as { event: object; payload: string };
  expect(row.event).toEqual(JSON.parse(JSON.stringify(GOLDEN_TOOL)));
  expect(encodeEventPayload(GOLDEN_TOOL).toString('hex')).toBe(row.payload);
  expect(decodeEventPayload('tool.changed', Buffer.from(row.payload, 'hex'))).toEqual(GOLDEN_TOOL);
});

test('how somebody signed in, and whose token opened a session, keep their golden bytes and are absent from older ones', () => {
  const rows = JSON.parse(golden('proven.json')) as { event: object; payload: string }[];
  expect(rows.length).toBe(GOLDEN_PROVEN.length);
  for (const [i, event] of GOLDEN_PROVEN.entries()) {
    const { payload } = rows[i]!;
    expect(rows[i]!.event).toEqual(JSON.parse(JSON.stringify(event)));
    expect(encodeEventPayload(event).toString('hex')).toBe(payload);
    expect(decodeEventPayload('session.opened', Buffer.from(payload, 'hex'))).toEqual(event);
  }
});

test('a COMMIT that was held keeps its golden bytes, and so does what ran until then', () => {
  const rows = JSON.parse(golden('commit.json')) as { event: object; payload: string }[];
  for (const [i, event] of [GOLDEN_UNTIL_COMMIT, GOLDEN_COMMIT].entries()) {
    const row = rows[i]!;
    expect(row.event).toEqual(JSON.parse(JSON.stringify(event)));
    expect(encodeEventPayload(event).toString('hex')).toBe(row.payload);
    expect(decodeEventPayload('statement.judged', Buffer.from(row.payload, 'hex'))).toEqual(event);
  }
});

test('the golden segment is made again byte for byte from its key record', () => {
  const bytes = bytesOf('segment.hex');
  const header = parseSegmentHeader(bytes);
  const first = [...readRecords(bytes, header.length)][0]!;
  expect(first.type).toBe(2);
  expect(goldenSegment(first.body)).toEqual(bytes);
});

test('the golden segment reads back to its events with the key opened from its sealed box', () => {
  const bytes = bytesOf('segment.hex');
  const header = parseSegmentHeader(bytes);
  expect(header.identity).toEqual(GOLDEN_CHAIN);
  const checker = new ChainChecker(header.identity);
  const keys = new Map<string, SessionKeyReader>();
  const reader = new EventReader((id) => keys.get(id.toString('hex')));
  const events: ReadEvent[] = [];
  const sealKeys = { publicKey: sealPublicKey(), privateKey: GOLDEN_SEAL_PRIVATE };
  let closed = false;
  for (const record of readRecords(bytes, header.length)) {
    const checked = checker.accept(record);
    if (checked.kind === 'key') keys.set(checked.key.keyId.toString('hex'), openSessionKey(checked.key, sealKeys));
    if (checked.kind === 'event') events.push(reader.read(checked.event)!);
    if (checked.kind === 'checkpoint')
      closed = checkpointHolds(checked.checkpoint, createPublicKey(goldenSigningKey()));
  }
  expect(closed).toBe(true);
  expect(events.map((read) => (read.kind === 'event' ? read.event : read.kind))).toEqual(GOLDEN_EVENTS);
  expect(events[4]!.record.sessionId).toBe(GOLDEN_SESSION);
});

test('without its key a payload is sealed and the chain still holds', () => {
  const bytes = bytesOf('segment.hex');
  const header = parseSegmentHeader(bytes);
  const checker = new ChainChecker(header.identity);
  const reader = new EventReader(() => undefined);
  const kinds = [...readRecords(bytes, header.length)].map((record) => {
    const checked = checker.accept(record);
    return checked.kind === 'event' ? reader.read(checked.event)!.kind : checked.kind;
  });
  expect(kinds).toContain('sealed');
  expect(kinds.at(-1)).toBe('checkpoint');
});

test('the golden recording opens to its frames and is made again byte for byte', async () => {
  const bytes = bytesOf('recording.hex');
  const plain = await openRecordingChunk(bytes, new SessionKeyReader(GOLDEN_SECRET).recordingKey());
  expect(plain).toEqual(bytesOf('frames.hex'));
  expect([...decodeFrames(plain, 12)]).toEqual(GOLDEN_FRAMES);
  expect(Buffer.concat(GOLDEN_FRAMES.map((frame) => encodeFrame(frame, 12)))).toEqual(plain);
  const key = new SessionKey(GOLDEN_SESSION, GOLDEN_SECRET);
  const head = { sessionId: GOLDEN_SESSION, keyId: key.keyId, index: 3, fromMs: 12, toMs: 90_210 };
  const again = await sealRecordingChunk(head, plain, key.recordingKey(), Buffer.alloc(12, 1));
  expect(again.bytes).toEqual(bytes);
});

test('the golden frames of a COPY read back and are made again byte for byte', () => {
  const bytes = bytesOf('copy-frames.hex');
  expect([...decodeFrames(bytes, 20)]).toEqual(GOLDEN_COPY_FRAMES);
  expect(Buffer.concat(GOLDEN_COPY_FRAMES.map((frame) => encodeFrame(frame, 20)))).toEqual(bytes);
});

test('the golden frames of streams read back and are made again byte for byte', () => {
  const bytes = bytesOf('stream-frames.hex');
  expect([...decodeFrames(bytes, 40)]).toEqual(GOLDEN_STREAM_FRAMES);
  expect(Buffer.concat(GOLDEN_STREAM_FRAMES.map((frame) => encodeFrame(frame, 40)))).toEqual(bytes);
});

test('the golden frames of HTTP read back and are made again byte for byte', () => {
  const bytes = bytesOf('http-frames.hex');
  expect([...decodeFrames(bytes, 60)]).toEqual(GOLDEN_HTTP_FRAMES);
  expect(Buffer.concat(GOLDEN_HTTP_FRAMES.map((frame) => encodeFrame(frame, 60)))).toEqual(bytes);
});

test('the golden tree head parses, verifies and prints as it was', () => {
  const heads = parseTreeHeads(golden('head.jsonl'));
  expect(heads.map(formatTreeHead).join('')).toBe(golden('head.jsonl'));
  expect(treeHeadHolds(heads[0]!, createPublicKey(goldenSigningKey(6)))).toBe(true);
  expect(treeHeadHolds(heads[0]!, createPublicKey(goldenSigningKey(5)))).toBe(false);
});

function sealPublicKey(): Buffer {
  const der = Buffer.concat([Buffer.from('302e020100300506032b656e04220420', 'hex'), GOLDEN_SEAL_PRIVATE]);
  const key = createPublicKey(createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }));
  return key.export({ type: 'spki', format: 'der' }).subarray(-32);
}
