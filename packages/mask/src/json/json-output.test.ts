import { describe, expect, test } from 'vitest';
import { JsonMasker } from './json-masker.ts';
import { joinedInput, leaveInput, MaskedOutput } from './json-output.ts';
import { JsonPlan } from './json-plan.ts';

const row = (id: number): string => JSON.stringify({ id, ssn: `123-45-${1_000 + (id % 9_000)}`, note: 'paid in time' });
const shown = (id: number): string => JSON.stringify({ id, ssn: '[redacted]', note: 'paid in time' });

function masker(): JsonMasker {
  return new JsonMasker({ plan: new JsonPlan([{ path: '[].ssn', with: 'redact' }]), detect: [] });
}

describe('what a masker gives out', () => {
  test.each([1, 7, 2_500, 70_000])('is its receiver’s while other bodies are masked, in chunks of %i bytes', (size) => {
    const count = size === 1 ? 40 : 4_000;
    const bodies = [0, 1, 2].map((from) =>
      Buffer.from(`[${Array.from({ length: count }, (_, id) => row(id * 3 + from)).join(',')}]`),
    );
    const maskers = bodies.map(masker);
    const given: Uint8Array[][] = bodies.map(() => []);
    const lent = Buffer.alloc(size);
    for (let at = 0; at < Math.max(...bodies.map((body) => body.length)); at += size)
      for (const [i, body] of bodies.entries()) {
        const bytes = at < body.length ? body.copy(lent, 0, at, at + size) : 0;
        const out = maskers[i]!.push(lent.subarray(0, bytes));
        // What is of the chunk's memory is lent as the chunk is; everything else stays as it is.
        const isLent = out.buffer === lent.buffer;
        if (isLent) expect(maskers[i]!.isGiven).toBe(false);
        given[i]!.push(isLent ? Uint8Array.from(out) : out);
      }
    for (const [i, from] of [0, 1, 2].entries()) {
      const all = Buffer.concat([...given[i]!, maskers[i]!.end()]).toString();
      expect(all).toBe(`[${Array.from({ length: count }, (_, id) => shown(id * 3 + from)).join(',')}]`);
    }
  });

  test('is given where something was masked or had waited, and lent where it is the chunk as it came', () => {
    const one = masker();
    expect(one.push(Buffer.from(`[${row(1)},{"no`)).length).toBeGreaterThan(0);
    expect(one.isGiven).toBe(true);
    expect(Buffer.from(one.push(Buffer.from('te":"paid"}'))).toString()).toBe('"note":"paid"}');
    expect(one.isGiven).toBe(true);
    const chunk = Buffer.from(',{"note":"paid"}]');
    expect(one.push(chunk)).toBe(chunk);
    expect(one.isGiven).toBe(false);
  });

  test('is one piece in the order in which it came, however much longer than expected', () => {
    const out = new MaskedOutput();
    out.expect(4);
    const all: Buffer[] = [];
    for (let i = 0; i < 300; i++) {
      const bytes = Buffer.alloc(i, i & 0xff);
      all.push(bytes);
      if (i % 3 === 0) out.add(bytes);
      else out.addOf({ written: i, writtenInto: (target, at) => void bytes.copy(target, at) });
    }
    expect(Buffer.from(out.take()).equals(Buffer.concat(all))).toBe(true);
    expect(out.take().length).toBe(0);
  });
});

test('what is read in one piece is not given to a second reader before the first gave it back', () => {
  const first = joinedInput(Buffer.alloc(3_000, 'a'), Buffer.from('b'));
  const second = joinedInput(Buffer.alloc(3_000, 'c'), Buffer.from('d'));
  expect(Buffer.from(first).toString()).toBe(`${'a'.repeat(3_000)}b`);
  leaveInput(second);
  const third = joinedInput(Buffer.alloc(3_000, 'e'), Buffer.from('f'));
  expect(Buffer.from(first).toString()).toBe(`${'a'.repeat(3_000)}b`);
  leaveInput(first);
  expect(Buffer.from(third).toString()).toBe(`${'e'.repeat(3_000)}f`);
});
