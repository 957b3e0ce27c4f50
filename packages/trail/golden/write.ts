/**
 * Writes golden files that are not there yet: `node packages/trail/golden/write.ts`. Never changes one that is there:
 * a golden file is a promise to readers in ten years.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { newSealKeyPair } from '@sallyport/core';
import { createPrivateKey, createPublicKey } from 'node:crypto';
import {
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
  GOLDEN_TIME_MS,
  GOLDEN_TOOL,
  GOLDEN_UNTIL_COMMIT,
  goldenSegment,
  goldenSigningKey,
} from '../src/golden.fixture.ts';
import { encodeEventPayload, encodeFrame, keySigner, SessionKey, sealRecordingChunk, signTreeHead, formatTreeHead, sha256 } from '../src/index.ts';

const write = (name: string, text: string): void => {
  const path = join(import.meta.dirname, name);
  if (!existsSync(path)) writeFileSync(path, text);
};
const hexLines = (bytes: Buffer): string => `${(bytes.toString('hex').match(/.{1,64}/g) ?? []).join('\n')}\n`;

const pkcs8 = Buffer.concat([Buffer.from('302e020100300506032b656e04220420', 'hex'), GOLDEN_SEAL_PRIVATE]);
const sealPublic = createPublicKey(createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' })).export({ type: 'spki', format: 'der' }).subarray(-newSealKeyPair().publicKey.length);
const key = new SessionKey(GOLDEN_SESSION, GOLDEN_SECRET);

write('payloads.json', `${JSON.stringify(GOLDEN_EVENTS.map((event) => ({ event, payload: encodeEventPayload(event).toString('hex') })), null, 1)}\n`);
write('reached.json', `${JSON.stringify({ event: GOLDEN_REACHED, payload: encodeEventPayload(GOLDEN_REACHED).toString('hex') }, null, 1)}\n`);
write('proven.json', `${JSON.stringify(GOLDEN_PROVEN.map((event) => ({ event, payload: encodeEventPayload(event).toString('hex') })), null, 1)}\n`);
const commits = [GOLDEN_UNTIL_COMMIT, GOLDEN_COMMIT].map((event) => ({ event, payload: encodeEventPayload(event).toString('hex') }));
write('commit.json', `${JSON.stringify(commits, null, 1)}\n`);
write('tool.json', `${JSON.stringify({ event: GOLDEN_TOOL, payload: encodeEventPayload(GOLDEN_TOOL).toString('hex') }, null, 1)}\n`);
write('segment.hex', hexLines(goldenSegment(key.sealTo(sealPublic))));
const frames = Buffer.concat(GOLDEN_FRAMES.map((frame) => encodeFrame(frame, 12)));
write('frames.hex', hexLines(frames));
write('copy-frames.hex', hexLines(Buffer.concat(GOLDEN_COPY_FRAMES.map((frame) => encodeFrame(frame, 20)))));
write('stream-frames.hex', hexLines(Buffer.concat(GOLDEN_STREAM_FRAMES.map((frame) => encodeFrame(frame, 40)))));
write('http-frames.hex', hexLines(Buffer.concat(GOLDEN_HTTP_FRAMES.map((frame) => encodeFrame(frame, 60)))));
const head = { sessionId: GOLDEN_SESSION, keyId: key.keyId, index: 3, fromMs: 12, toMs: 90_210 };
write('recording.hex', hexLines((await sealRecordingChunk(head, frames, key.recordingKey(), Buffer.alloc(12, 1))).bytes));
const signer = keySigner(goldenSigningKey(6));
const claim = { controlPlaneId: '0190b3a4-0000-7000-8000-0000000000cc', size: 1, timeMs: GOLDEN_TIME_MS, root: sha256(Buffer.from('root')) };
write('head.jsonl', formatTreeHead(await signTreeHead(claim, { ...signer, sign: async (bytes) => signer.sign(bytes) })));
