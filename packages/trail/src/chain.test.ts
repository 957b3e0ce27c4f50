import { createPublicKey } from 'node:crypto';
import { GatewayError, newSealKeyPair } from '@sallyport/core';
import type { TrailEvent } from '@sallyport/model';
import { describe, expect, test } from 'vitest';
import { ByteBatch } from './bytes.ts';
import { ChainWriter } from './chain.ts';
import { ChainChecker } from './chain-check.ts';
import { checkpointHolds, parseCheckpoint } from './checkpoint.ts';
import { EventReader } from './event-reader.ts';
import {
  GOLDEN_CHAIN,
  GOLDEN_EVENTS,
  GOLDEN_SECRET,
  GOLDEN_SESSION,
  goldenSegment,
  goldenSigningKey,
} from './golden.fixture.ts';
import { RecordReader, readRecords, type TrailRecord } from './record.ts';
import { recoverSegment } from './recover.ts';
import { parseSegmentHeader } from './segment.ts';
import { openSessionKey, parseKeyRecord, SessionKey } from './session-key.ts';

const reasonOf = (run: () => unknown): unknown => {
  try {
    run();
  } catch (error) {
    if (error instanceof GatewayError && error.code === 'trail.broken') return error.detail['reason'];
    throw error;
  }
  return 'accepted';
};
const closing = (reason: string): TrailEvent => ({ kind: 'epoch.ended', reason });
const judged = (text: string): TrailEvent => ({
  kind: 'statement.judged',
  number: 1,
  verdict: 'allow',
  rule: 'grant',
  code: '',
  digest: '',
  effects: [],
  text,
  parameters: [],
  approvalId: '',
  shadow: [],
});

function chainOf(count: number): TrailRecord[] {
  const writer = new ChainWriter(GOLDEN_CHAIN);
  const batch = new ByteBatch(16);
  for (let i = 0; i < count; i++) writer.append(batch, closing(`event ${i}`), i);
  return [...readRecords(Buffer.from(batch.view))];
}

describe('a chain', () => {
  test('accepts its events in order', () => {
    const checker = new ChainChecker(GOLDEN_CHAIN);
    for (const record of chainOf(5)) checker.accept(record);
    expect(checker.position.sequence).toBe(5);
  });
  test('names what was done to it: a removed, repeated, swapped, altered event', () => {
    const records = chainOf(4);
    const at = (order: number[]) =>
      reasonOf(() => order.reduce((c, i) => (c.accept(records[i]!), c), new ChainChecker(GOLDEN_CHAIN)));
    expect(at([0, 1, 2, 3])).toBe('accepted');
    expect(at([0, 2, 3])).toBe('removed');
    expect(at([1])).toBe('removed');
    expect(at([0, 1, 1])).toBe('reordered');
    const alter = (offset: number) => {
      const copies = records.map((record) => ({ ...record, body: Buffer.from(record.body) }));
      copies[1]!.body[offset]! ^= 1;
      return reasonOf(() => copies.reduce((c, record) => (c.accept(record), c), new ChainChecker(GOLDEN_CHAIN)));
    };
    expect(alter(128)).toBe('payload-digest');
    expect(alter(23)).toBe('altered');
    expect(alter(50)).toBe('altered');
  });
  test.each([-1, 2 ** 64, Number.NaN])('takes no event at a time of %d', (timeMs) => {
    expect(reasonOf(() => new ChainWriter(GOLDEN_CHAIN).append(new ByteBatch(), closing('x'), timeMs))).toBe('number');
  });
  test('of another identity does not start here', () => {
    const other = new ChainChecker({ ...GOLDEN_CHAIN, epoch: GOLDEN_CHAIN.epoch + 1 });
    expect(reasonOf(() => other.accept(chainOf(1)[0]!))).toBe('altered');
  });
  test('holds when a payload was erased', () => {
    const [first, second] = chainOf(2) as [TrailRecord, TrailRecord];
    const checker = new ChainChecker(GOLDEN_CHAIN);
    checker.accept({ ...first, type: 4, body: first.body.subarray(0, 128) });
    expect(checker.accept(second).kind).toBe('event');
  });
  test('takes events back that never reached the disk, and does not repeat keystream', () => {
    const key = new SessionKey(GOLDEN_SESSION);
    const writer = new ChainWriter(GOLDEN_CHAIN);
    const batch = new ByteBatch();
    const before = writer.position;
    writer.append(batch, judged('lost'), 1, key);
    const lost = Buffer.from(batch.view);
    writer.rewind(before);
    batch.clear();
    writer.append(batch, judged('kept'), 2, key);
    const checker = new ChainChecker(GOLDEN_CHAIN);
    const checked = checker.accept([...readRecords(batch.view)][0]!);
    const reader = new EventReader(() => key.reader());
    if (checked.kind !== 'event') throw new Error('an event is expected');
    expect(checked.event.keystreamOffset).toBe(lost.length - 133);
    expect(reader.read(checked.event)).toMatchObject({ kind: 'event', event: { text: 'kept' } });
  });
  test('what sessions are judged alike, and what else comes between, is read from each as it was written', () => {
    const keys = [new SessionKey(GOLDEN_SESSION), new SessionKey(GOLDEN_SESSION)] as const;
    const events: TrailEvent[] = [];
    for (let number = 1; number <= 300; number++) {
      events.push({ ...judged('select 1'), number } as TrailEvent);
      if (number % 7 === 0) events.push(closing(`after ${number}`), judged(`select ${number}`));
    }
    const writer = new ChainWriter(GOLDEN_CHAIN);
    const batch = new ByteBatch();
    for (const [i, event] of events.entries()) writer.append(batch, event, i, keys[i % 3 === 0 ? 0 : 1]);
    const checker = new ChainChecker(GOLDEN_CHAIN);
    const reader = new EventReader((id) => keys.find(({ keyId }) => keyId.equals(id))?.reader());
    const read = [...readRecords(batch.view)].map((record) => {
      const checked = checker.accept(record);
      const one = checked.kind === 'event' ? reader.read(checked.event) : undefined;
      return one?.kind === 'event' ? one.event : undefined;
    });
    expect(read).toEqual(events);
  });
  test('cuts a payload of 8 MiB into parts and joins them again', () => {
    const key = new SessionKey(GOLDEN_SESSION);
    const writer = new ChainWriter(GOLDEN_CHAIN);
    const batch = new ByteBatch();
    const text = 'select 1; '.repeat(838_860);
    writer.append(batch, judged(text), 1, key);
    writer.append(batch, judged('after'), 2, key);
    const checker = new ChainChecker(GOLDEN_CHAIN);
    const reader = new EventReader(() => key.reader());
    const read = [...readRecords(batch.view)].flatMap((record) => {
      const checked = checker.accept(record);
      return checked.kind === 'event' ? [reader.read(checked.event)] : [];
    });
    expect(read.length).toBe(10);
    const events = read.flatMap((one) => (one?.kind === 'event' ? [one.event] : []));
    expect(events).toEqual([judged(text), judged('after')]);
  });
  test.each([1024 * 1024 - 1, 1024 * 1024, 1024 * 1024 + 1])(
    'cuts only what is larger than a payload: %d bytes',
    (size) => {
      const writer = new ChainWriter(GOLDEN_CHAIN);
      const batch = new ByteBatch();
      // Tag and a three-byte length come before the text.
      writer.append(batch, { kind: 'auth.failed', clientAddress: '', resource: '', why: 'x'.repeat(size - 4) }, 1);
      expect([...readRecords(batch.view)].length).toBe(size > 1024 * 1024 ? 2 : 1);
    },
  );
});

describe('records', () => {
  test('arrive whole from a stream split at every byte', () => {
    const writer = new ChainWriter(GOLDEN_CHAIN);
    const batch = new ByteBatch();
    for (let i = 0; i < 3; i++) writer.append(batch, closing(`event ${i}`), i);
    const bytes = Buffer.from(batch.view);
    for (let cut = 0; cut <= bytes.length; cut++) {
      const reader = new RecordReader();
      const records = [...reader.push(bytes.subarray(0, cut)), ...reader.push(bytes.subarray(cut))];
      expect(records.map((record) => record.body.length)).toEqual([137, 137, 137]);
      expect(reader.pending).toBe(0);
    }
  });
  test('with a length or type no writer makes are refused', () => {
    expect(reasonOf(() => [...readRecords(Buffer.from('0000000000', 'hex'))])).toBe('record');
    expect(reasonOf(() => [...readRecords(Buffer.from('ffffffff01', 'hex'))])).toBe('record');
    expect(reasonOf(() => [...readRecords(Buffer.from('0000000109', 'hex'))])).toBe('record');
    expect(reasonOf(() => [...readRecords(Buffer.from('0000000201', 'hex'))])).toBe('record');
  });
});

describe('a batch of bytes', () => {
  // There is one for each session: what a busy moment made it hold must not stay.
  test('goes back to the size it began with', () => {
    const batch = new ByteBatch(1024);
    batch.append(Buffer.alloc(300_000, 1));
    expect(batch.reserve(0).length).toBeGreaterThanOrEqual(300_000);
    batch.clear(0);
    expect(batch.reserve(0).length).toBe(1024);
    const kept = batch.reserve(0);
    batch.clear(0);
    expect(batch.reserve(0)).toBe(kept);
  });
});

describe('a session key', () => {
  const pair = newSealKeyPair();
  test('opens for the holder of the trail key alone and only under its own id', () => {
    const key = new SessionKey(GOLDEN_SESSION);
    const record = parseKeyRecord(key.sealTo(pair.publicKey));
    expect(openSessionKey(record, pair).keyId).toEqual(key.keyId);
    expect(() => openSessionKey(record, newSealKeyPair())).toThrow(GatewayError);
    expect(() => openSessionKey({ ...record, keyId: Buffer.alloc(16) }, pair)).toThrow(GatewayError);
  });
  test('decrypts from any offset, whatever the lengths of what was written', () => {
    const key = new SessionKey(GOLDEN_SESSION);
    // Around the keystream that is made ahead, and far beyond it.
    const lengths = [...Array(50).keys(), 2047, 1, 2048, 2049, 10_000, 3, 800, 800, 800, 4096, 5];
    const pieces = lengths.map((length, i) => Buffer.alloc(length, i));
    const sealed = pieces.map((plain) => {
      const { offset } = key;
      const bytes = Buffer.alloc(plain.length + 2, 0xee);
      key.encryptInto(plain, bytes, 1);
      expect([bytes[0], bytes.at(-1)]).toEqual([0xee, 0xee]);
      return { offset, bytes: bytes.subarray(1, -1) };
    });
    expect(key.offset).toBe(lengths.reduce((sum, length) => sum + length, 0));
    for (const [i, { offset, bytes }] of sealed.entries())
      expect(key.reader().decrypt(offset, bytes)).toEqual(pieces[i]);
  });
  test('record with one flipped bit is refused', () => {
    const body = new SessionKey(GOLDEN_SESSION).sealTo(pair.publicKey);
    body[40]! ^= 1;
    expect(reasonOf(() => parseKeyRecord(body))).toBe('key-record');
  });
});

describe('recovery of a segment', () => {
  const bytes = goldenSegment(new SessionKey(GOLDEN_SESSION, GOLDEN_SECRET).sealTo(newSealKeyPair().publicKey));
  const headerLength = parseSegmentHeader(bytes).length;
  test('finds a closed segment whole', () => {
    const found = recoverSegment(bytes);
    expect(found).toMatchObject({
      validLength: bytes.length,
      damage: undefined,
      position: { sequence: GOLDEN_EVENTS.length },
    });
    expect(checkpointHolds(found.checkpoint!, createPublicKey(goldenSigningKey()))).toBe(true);
  });
  test('keeps every whole record when the file was cut at any byte', () => {
    const ends = [headerLength, ...[...readRecords(bytes, headerLength)].map((record) => record.end)];
    for (let cut = headerLength; cut < bytes.length; cut++) {
      const found = recoverSegment(bytes.subarray(0, cut));
      expect(found.validLength).toBe(Math.max(...ends.filter((end) => end <= cut)));
      expect(found.damage).toBe(ends.includes(cut) ? undefined : 'torn');
      expect(found.checkpoint).toBeUndefined();
    }
  });
  test('stops before zeros that a power loss left', () => {
    const ends = [...readRecords(bytes, headerLength)].map((record) => record.end);
    const zeroed = Buffer.from(bytes).fill(0, ends[2]! + 40);
    expect(recoverSegment(zeroed)).toMatchObject({ validLength: ends[2], damage: 'payload-digest' });
  });
  test('refuses a file without a whole header', () => {
    for (let cut = 0; cut < headerLength; cut++)
      expect(() => recoverSegment(bytes.subarray(0, cut))).toThrow(GatewayError);
  });
});

test('a checkpoint that claims more events than there are shows a truncated segment', () => {
  const bytes = goldenSegment(new SessionKey(GOLDEN_SESSION, GOLDEN_SECRET).sealTo(newSealKeyPair().publicKey));
  const records = [...readRecords(bytes, parseSegmentHeader(bytes).length)];
  const last = records.at(-1)!;
  const checker = new ChainChecker(GOLDEN_CHAIN);
  for (const record of records.slice(0, -2)) checker.accept(record);
  expect(reasonOf(() => checker.accept(last))).toBe('truncated');
  expect(parseCheckpoint(last.body).lastSequence).toBe(GOLDEN_EVENTS.length);
});
