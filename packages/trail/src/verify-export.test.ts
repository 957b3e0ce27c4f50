import { agentUri, controlPlaneUri, EKU_AGENT_TRAIL, EKU_CONTROL_TRAIL } from '@sallyport/core';
import type { TrailEvent } from '@sallyport/model';
import { beforeAll, describe, expect, test } from 'vitest';
import { ByteBatch } from './bytes.ts';
import { type Issuer, issueCertificate } from './certificate.fixture.ts';
import { type ChainIdentity, type ChainPosition, ChainWriter, chainStart } from './chain.ts';
import { encodeCheckpointStatement, signCheckpoint } from './checkpoint.ts';
import { type ExportParts, writeExport } from './export.ts';
import { GOLDEN_CHAIN, GOLDEN_SESSION } from './golden.fixture.ts';
import { leafHash, MerkleFrontier } from './merkle.ts';
import { appendRecord, RECORD_CHECKPOINT, RECORD_ERASED_EVENT, RECORD_EVENT, readRecords } from './record.ts';
import { sealRecordingChunk } from './recording-chunk.ts';
import { encodeSegmentHeader, parseSegmentHeader } from './segment.ts';
import { SessionKey } from './session-key.ts';
import { keySigner } from './signer.ts';
import { readTar, TAR_END, tarEntry } from './tar.ts';
import { signTreeHead, type TreeHead } from './tree-head.ts';
import { type VerifyOptions, type VerifyReport, verifyExport } from './verify-export.ts';

const CONTROL_PLANE = '0190b3a4-0000-7000-8000-0000000000cc';
const NOW = Date.UTC(2026, 10, 21);
const DAY = 86_400_000;
const root = issueCertificate({ subject: 'root', ca: true });
const issuer = issueCertificate({
  subject: 'trail issuer',
  ca: true,
  issuer: root,
  usages: [EKU_AGENT_TRAIL, EKU_CONTROL_TRAIL],
});
const agent = issueCertificate({
  subject: 'agent a',
  issuer,
  usages: [EKU_AGENT_TRAIL],
  uri: agentUri(GOLDEN_CHAIN.agentId),
  fromMs: NOW - DAY,
  toMs: NOW + DAY,
});
const control = issueCertificate({
  subject: 'control',
  issuer,
  usages: [EKU_CONTROL_TRAIL],
  uri: controlPlaneUri(CONTROL_PLANE),
});
const pem = (...issuers: Issuer[]): string => issuers.map((one) => one.certificate.toString()).join('');

interface Segment {
  readonly identity: ChainIdentity;
  readonly firstSequence: number;
  readonly bytes: Buffer;
  readonly leaf: Buffer;
  readonly end: ChainPosition;
}

function segment(
  identity: ChainIdentity,
  from: ChainPosition,
  events: readonly TrailEvent[],
  signer = agent,
  timeMs = NOW,
): Segment {
  const writer = new ChainWriter(identity, from);
  const batch = new ByteBatch();
  batch.append(encodeSegmentHeader(identity, from));
  const key = new SessionKey(GOLDEN_SESSION);
  for (const event of events) writer.append(batch, event, timeMs, key);
  const claim = {
    identity,
    firstSequence: from.sequence + 1,
    lastSequence: writer.position.sequence,
    timeMs,
    prev: from.head,
    head: writer.position.head,
    recovered: false,
  };
  const by = keySigner(signer.privateKey);
  appendRecord(batch, RECORD_CHECKPOINT, signCheckpoint(claim, by));
  const leaf = leafHash(encodeCheckpointStatement(claim, by));
  return { identity, firstSequence: claim.firstSequence, bytes: Buffer.from(batch.view), leaf, end: writer.position };
}

const started = (epoch: number, at: ChainPosition | undefined): TrailEvent => ({
  kind: 'epoch.started',
  version: '1',
  recoveredEpoch: at === undefined ? 0 : epoch,
  recoveredSequence: at?.sequence ?? 0,
  recoveredHead: at?.head.toString('hex') ?? '',
});
const denied = (why: string): TrailEvent => ({ kind: 'auth.failed', clientAddress: '', resource: '', why });

async function headOf(segments: readonly Segment[], signer = control, timeMs = NOW): Promise<TreeHead> {
  const frontier = new MerkleFrontier();
  for (const one of segments) frontier.add(one.leaf);
  const by = keySigner(signer.privateKey);
  const claim = { controlPlaneId: CONTROL_PLANE, size: segments.length, timeMs, root: frontier.root() };
  return signTreeHead(claim, { ...by, sign: async (bytes) => by.sign(bytes) });
}

const NEXT: ChainIdentity = { ...GOLDEN_CHAIN, epoch: GOLDEN_CHAIN.epoch + 100 };
const OWN: ChainIdentity = { agentId: CONTROL_PLANE, instance: 'main', epoch: 1 };
let segments: readonly Segment[];
let heads: readonly TreeHead[];

beforeAll(async () => {
  const first = segment(GOLDEN_CHAIN, chainStart(GOLDEN_CHAIN), [started(0, undefined), denied('a'), denied('b')]);
  const second = segment(GOLDEN_CHAIN, first.end, [denied('c'), denied('d')]);
  const next = segment(NEXT, chainStart(NEXT), [started(GOLDEN_CHAIN.epoch, second.end), denied('e')]);
  const own = segment(OWN, chainStart(OWN), [denied('act')], control);
  segments = [first, second, next, own];
  heads = [await headOf(segments.slice(0, 2)), await headOf(segments)];
});

const partsOf = (change: Partial<ExportParts>): ExportParts => ({
  manifest: { controlPlaneId: CONTROL_PLANE, createdMs: NOW, since: 0 },
  certificates: pem(root, issuer, agent, control),
  heads,
  leaves: segments.map((one) => one.leaf),
  segments,
  recordings: [],
  ...change,
});
const verify = (change: Partial<ExportParts> = {}, options: Partial<VerifyOptions> = {}): Promise<VerifyReport> =>
  verifyExport(writeExport(partsOf(change)), { root: root.certificate, ...options });
const kinds = (report: VerifyReport): string[] => report.findings.map((finding) => `${finding.kind} ${finding.reason}`);

describe('an export', () => {
  test('that nobody touched verifies, with the root certificate or its key alone', async () => {
    const report = await verify();
    expect(kinds(report)).toEqual([]);
    expect(report).toMatchObject({ ok: true, events: 8, segments: 4, checkpoints: 4, pending: 0, erased: 0 });
    expect(report.chains.map((chain) => chain.lastSequence)).toEqual([5, 2, 1]);
    expect((await verify({}, { root: root.certificate.publicKey })).ok).toBe(true);
  });
  test('verifies when every payload was erased', async () => {
    const erased = segments.map((one) => {
      const header = parseSegmentHeader(one.bytes);
      if (one.identity === NEXT) return one;
      const batch = new ByteBatch();
      batch.append(one.bytes.subarray(0, header.length));
      for (const record of readRecords(one.bytes, header.length)) {
        if (record.type === RECORD_EVENT) appendRecord(batch, RECORD_ERASED_EVENT, record.body.subarray(0, 128));
        else appendRecord(batch, record.type, record.body);
      }
      return { ...one, bytes: Buffer.from(batch.view) };
    });
    expect(await verify({ segments: erased })).toMatchObject({ ok: true, erased: 6 });
  });
  test('shows each altered byte of a segment', async () => {
    const one = segments[0]!;
    for (let i = 12; i < one.bytes.length; i++) {
      const bytes = Buffer.from(one.bytes);
      bytes[i]! ^= 4;
      const report = await verify({ segments: [{ ...one, bytes }, ...segments.slice(1)] });
      expect(report.ok, `byte ${i}`).toBe(false);
    }
  });
  test('shows a removed segment', async () => {
    expect(kinds(await verify({ segments: [segments[0]!, segments[2]!, segments[3]!] }))).toContain('removed segment');
  });
  test('shows a removed last segment of a chain, also when its leaf is removed with it', async () => {
    const rest = [segments[0]!, segments[1]!, segments[2]!];
    const report = await verify({ segments: rest, leaves: rest.map((one) => one.leaf) });
    expect(kinds(report)).toContain('truncated leaves');
    const cut = await verify(
      { segments: rest, leaves: rest.map((one) => one.leaf), heads: [heads[0]!] },
      { knownHeads: heads },
    );
    expect(kinds(cut)).toContain('truncated leaves');
  });
  test('shows reordered segments', async () => {
    const swapped = [segments[1]!, segments[0]!, segments[2]!, segments[3]!];
    expect((await verify({ segments: swapped })).findings.map((finding) => finding.kind)).toContain('removed');
  });
  test('names events that changed places as moved, and one that is gone as removed', async () => {
    const one = segments[0]!;
    const header = parseSegmentHeader(one.bytes);
    const parts = [...readRecords(one.bytes, header.length)].map(({ start, end }) => one.bytes.subarray(start, end));
    const again = (order: readonly number[]): Segment => ({
      ...one,
      bytes: Buffer.concat([one.bytes.subarray(0, header.length), ...order.map((i) => parts[i]!)]),
    });
    const first = async (order: readonly number[]) =>
      (await verify({ segments: [again(order), ...segments.slice(1)] })).findings[0];
    expect(await first([0, 2, 1, 3])).toMatchObject({ kind: 'reordered', sequence: 2 });
    expect(await first([0, 2, 3])).toMatchObject({ kind: 'removed', sequence: 2, count: 1 });
    expect(await first([0, 1, 1, 2, 3])).toMatchObject({ kind: 'reordered', sequence: 2 });
  });
  test('without its heads, its leaves or its certificates is not whole, whatever else fits', async () => {
    const whole = Buffer.concat(await collect(writeExport(partsOf({}))));
    for (const missing of ['manifest.json', 'certificates.pem', 'heads.jsonl', 'leaves.bin']) {
      const kept: Buffer[] = [];
      for await (const entry of readTar([whole], 1e6))
        if (entry.name !== missing) kept.push(tarEntry(entry.name, entry.bytes, NOW));
      const report = await verifyExport([...kept, TAR_END], { root: root.certificate });
      expect(report.findings).toContainEqual(expect.objectContaining({ kind: 'truncated', where: missing }));
    }
    expect(kinds(await verify({ heads: [], leaves: [] }))).toContain('truncated no-head');
    const twice = Buffer.concat([whole.subarray(0, whole.indexOf('certificates.pem')), whole]);
    expect(kinds(await verifyExport([twice], { root: root.certificate }))).toContain('malformed repeated-entry');
  });
  test('shows a history that was written again and signed with the real keys, against a head kept outside', async () => {
    const first = segment(GOLDEN_CHAIN, chainStart(GOLDEN_CHAIN), [started(0, undefined), denied('harmless')]);
    const forged = [first];
    const fresh = { segments: forged, leaves: [first.leaf], heads: [await headOf(forged)] };
    expect((await verify(fresh)).ok).toBe(true);
    expect(kinds(await verify(fresh, { knownHeads: [heads[0]!] }))).toContain('truncated leaves');
    const second = segment(GOLDEN_CHAIN, first.end, [denied('d')]);
    const two = [first, second];
    const longer = { segments: two, leaves: two.map((one) => one.leaf), heads: [await headOf(two)] };
    expect(kinds(await verify(longer, { knownHeads: [heads[0]!] }))).toEqual(['rewritten root']);
  });
  test('shows a fork: two segments with the same sequences, or two epochs after one head', async () => {
    const other = segment(GOLDEN_CHAIN, segments[0]!.end, [denied('other')]);
    const all = [segments[0]!, segments[1]!, other, segments[2]!, segments[3]!];
    const leaves = [...segments, other].map((one) => one.leaf);
    const report = await verify({ segments: all, leaves, heads: [await headOf([...segments, other])] });
    expect(report.findings.map((finding) => finding.kind)).toContain('forked');
    const twin = { ...GOLDEN_CHAIN, epoch: NEXT.epoch + 1 };
    const second = segment(twin, chainStart(twin), [started(GOLDEN_CHAIN.epoch, segments[1]!.end)]);
    const twins = [...segments, second];
    const fork = await verify({ segments: twins, leaves: twins.map((one) => one.leaf), heads: [await headOf(twins)] });
    expect(kinds(fork)).toEqual(['forked two-successors']);
  });
  test('shows an epoch that lost its tail before the next one', async () => {
    const lost = [segments[0]!, segments[2]!, segments[3]!];
    const report = await verify({ segments: lost, leaves: lost.map((one) => one.leaf), heads: [await headOf(lost)] });
    expect(kinds(report)).toEqual(['truncated epoch-end']);
    expect(report.findings[0]).toMatchObject({ sequence: 4, count: 2 });
  });
  test('with events after the last checkpoint says how many are not signed yet', async () => {
    const tail = segment(NEXT, segments[2]!.end, [denied('f')]);
    const header = parseSegmentHeader(tail.bytes);
    const open = tail.bytes.subarray(0, [...readRecords(tail.bytes, header.length)][0]!.end);
    const report = await verify({ segments: [...segments, { ...tail, bytes: open }] });
    expect(report).toMatchObject({ ok: true, pending: 1 });
  });
  test('since a head leaves out what was checked before, and does not choose so itself', async () => {
    const part = { manifest: { controlPlaneId: CONTROL_PLANE, createdMs: NOW, since: 2 }, segments: segments.slice(2) };
    expect(await verify(part, { since: 2, knownHeads: [heads[0]!] })).toMatchObject({ ok: true, leftOut: 2 });
    expect(await verify()).toMatchObject({ leftOut: 0 });
    expect(kinds(await verify(part))).toContain('truncated since');
  });
  test('cut at the end, or not an archive, is reported and not thrown', async () => {
    const whole = Buffer.concat(await collect(writeExport(partsOf({}))));
    for (const length of [0, 1, 511, 512, 5000, whole.length - 600]) {
      const report = await verifyExport([whole.subarray(0, length)], { root: root.certificate });
      expect(report.findings.map((finding) => finding.kind)).toContain('truncated');
    }
    const pieces = Array.from({ length: Math.ceil(whole.length / 7) }, (_, i) => whole.subarray(i * 7, i * 7 + 7));
    expect((await verifyExport(pieces, { root: root.certificate })).ok).toBe(true);
  });
});

describe('a checkpoint is not trusted', () => {
  const signedBy = async (other: Issuer, timeMs = NOW, ...extra: Issuer[]): Promise<string[]> => {
    const one = segment(GOLDEN_CHAIN, chainStart(GOLDEN_CHAIN), [started(0, undefined)], other, timeMs);
    const certificates = pem(root, issuer, control, other, ...extra);
    return kinds(await verify({ segments: [one], leaves: [one.leaf], heads: [await headOf([one])], certificates }));
  };
  const uri = agentUri(GOLDEN_CHAIN.agentId);
  const usages = [EKU_AGENT_TRAIL];
  test('from a key without a certificate', async () => {
    const one = segment(GOLDEN_CHAIN, chainStart(GOLDEN_CHAIN), [started(0, undefined)]);
    const report = await verify({
      segments: [one],
      leaves: [one.leaf],
      heads: [await headOf([one])],
      certificates: pem(root, issuer, control),
    });
    expect(kinds(report)).toEqual(['untrusted unknown-signer']);
  });
  test('from another agent, another purpose, another root, or an issuer', async () => {
    expect(await signedBy(issueCertificate({ subject: 'b', issuer, usages, uri: agentUri(CONTROL_PLANE) }))).toEqual([
      'untrusted wrong-name',
    ]);
    expect(await signedBy(issueCertificate({ subject: 'c', issuer, usages: [EKU_CONTROL_TRAIL], uri }))).toEqual([
      'untrusted wrong-purpose',
    ]);
    expect(await signedBy(issueCertificate({ subject: 'd', usages, uri }))).toEqual(['untrusted no-path']);
    expect(await signedBy(issueCertificate({ subject: 'e', issuer, ca: true, usages, uri }))).toEqual([
      'untrusted wrong-purpose',
    ]);
    const leaf = issueCertificate({ subject: 'agent a', issuer, usages, uri });
    expect(await signedBy(issueCertificate({ subject: 'f', issuer: leaf, usages, uri }), NOW, leaf)).toEqual([
      'untrusted no-path',
    ]);
    const narrow = issueCertificate({ subject: 'other issuer', issuer: root, ca: true, usages: [EKU_CONTROL_TRAIL] });
    expect(await signedBy(issueCertificate({ subject: 'g', issuer: narrow, usages, uri }), NOW, narrow)).toEqual([
      'untrusted wrong-purpose',
    ]);
  });
  test('before its certificate, or long after it; some days after is the price of being cut off', async () => {
    expect(await signedBy(agent, NOW - 2 * DAY)).toEqual(['untrusted expired']);
    expect(await signedBy(agent, NOW + 10 * DAY)).toEqual(['untrusted expired']);
    expect(await signedBy(agent, NOW + 3 * DAY)).toEqual([]);
  });
});

test('a tree head of another signer is not trusted', async () => {
  const other = issueCertificate({
    subject: 'x',
    issuer,
    usages: [EKU_AGENT_TRAIL],
    uri: controlPlaneUri(CONTROL_PLANE),
  });
  const report = await verify({
    heads: [await headOf(segments, other)],
    certificates: pem(root, issuer, agent, control, other),
  });
  expect(kinds(report)).toEqual(['untrusted wrong-purpose']);
});

test('a recording that is not the one the trail names is shown', async () => {
  const key = new SessionKey(GOLDEN_SESSION);
  const head = { sessionId: GOLDEN_SESSION, keyId: key.keyId, index: 0, fromMs: 0, toMs: 1 };
  const chunk = await sealRecordingChunk(head, Buffer.from([0, 8, 0]), key.recordingKey());
  const event: TrailEvent = {
    kind: 'recording.chunk',
    index: 0,
    bytes: chunk.bytes.length,
    digest: chunk.digest,
    fromMs: 0,
    toMs: 1,
  };
  const one = segment(GOLDEN_CHAIN, chainStart(GOLDEN_CHAIN), [started(0, undefined), event]);
  const parts = { segments: [one], leaves: [one.leaf], heads: [await headOf([one])] };
  const recording = { sessionId: GOLDEN_SESSION, index: 0, bytes: chunk.bytes };
  expect(await verify({ ...parts, recordings: [recording] })).toMatchObject({ ok: true, recordings: 1 });
  const manifest = { controlPlaneId: CONTROL_PLANE, createdMs: NOW, since: 0, recordings: true };
  expect(await verify({ ...parts, manifest, recordings: [recording] })).toMatchObject({
    ok: true,
    recordingsAbsent: 0,
  });
  expect(await verify({ ...parts, manifest })).toMatchObject({ ok: true, recordings: 0, recordingsAbsent: 1 });
  expect(await verify(parts)).toMatchObject({ ok: true, recordingsAbsent: 0 });
  const altered = { ...recording, bytes: Buffer.from(chunk.bytes).fill(0, 90, 91) };
  expect(kinds(await verify({ ...parts, recordings: [altered] }))).toEqual(['altered recording']);
});

async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const one of source) all.push(one);
  return all;
}
