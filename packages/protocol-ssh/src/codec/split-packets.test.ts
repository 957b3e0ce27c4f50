/** Memory for packets that two reads bring: used again where nothing was kept of them, and never where something was. */
import { expect, test } from 'vitest';
import { SplitPackets } from './split-packets.ts';

interface Decipher {
  _len: number;
  _packet: Uint8Array | null;
}

/** As ssh2 does with a packet that is not whole: asks, or makes memory of its own; then it is done with it. */
function read(decipher: Decipher, split: SplitPackets, size: number, isKept: boolean): Uint8Array {
  decipher._len = size;
  decipher._packet ??= new Uint8Array(size);
  const packet = decipher._packet;
  decipher._packet = null;
  split.over(isKept);
  return packet;
}

test('a packet of which nothing is kept leaves its memory to the next one, at its own length', () => {
  const split = new SplitPackets();
  const decipher: Decipher = { _len: 0, _packet: null };
  split.attach(decipher);
  split.lends = true;
  const first = read(decipher, split, 32_000, false);
  const second = read(decipher, split, 64, false);
  expect([first.length, second.length]).toEqual([32_000, 64]);
  expect(second.buffer).toBe(first.buffer);
});

test('what somebody may have kept is never written into again', () => {
  const split = new SplitPackets();
  const decipher: Decipher = { _len: 0, _packet: null };
  split.attach(decipher);
  split.lends = true;
  const kept = read(decipher, split, 100, true);
  for (let i = 0; i < 40; i++) expect(read(decipher, split, 100, false).buffer).not.toBe(kept.buffer);
});

test('where nothing is lent, and beyond the longest packet, memory is the reader’s own', () => {
  const split = new SplitPackets();
  const decipher: Decipher = { _len: 0, _packet: null };
  split.attach(decipher);
  expect(read(decipher, split, 100, false).buffer.byteLength).toBe(100);
  split.lends = true;
  expect(read(decipher, split, 50_000, false).buffer.byteLength).toBe(50_000);
});

test('two connections that have begun packets at once have memory of their own', () => {
  const packets = [1, 2].map(() => {
    const split = new SplitPackets();
    const decipher: Decipher = { _len: 500, _packet: null };
    split.attach(decipher);
    split.lends = true;
    return decipher._packet;
  });
  expect(packets[0]?.buffer).not.toBe(packets[1]?.buffer);
});
