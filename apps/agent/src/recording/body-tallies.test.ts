/** What the recording says of a body's digest, however the body came. */
import { hash } from 'node:crypto';
import { expect, test } from 'vitest';
import { BodyTallies } from './body-tallies.ts';

const sha256 = (bytes: Uint8Array): string => hash('sha256', bytes, 'binary');

test.each([
  ['nothing', []],
  ['one small piece', [10]],
  ['small pieces', [10, 20, 5_000, 1]],
  ['a long piece first', [5_000, 10]],
  ['one piece as long as waits', [4_096]],
  ['one piece longer than waits', [4_097]],
])('the digest is of the whole body: %s', (_, sizes) => {
  const tallies = new BodyTallies();
  tallies.begin(7, 'request', 'results');
  tallies.begin(7, 'response', 'results');
  const whole: Buffer[] = [];
  for (const [at, size] of sizes.entries()) {
    const piece = Buffer.alloc(size, at + 1);
    whole.push(Buffer.from(piece));
    expect(tallies.add(7, 'response', piece, true)).toBe(size);
    // The memory is lent, and read into again.
    piece.fill(0xff);
  }
  const all = Buffer.concat(whole);
  expect(tallies.end(7, 'response')).toEqual({ bytes: all.length, cut: 0, digest: sha256(all) });
  expect(tallies.end(7, 'request')).toEqual({ bytes: 0, cut: 0, digest: sha256(new Uint8Array(0)) });
  expect(tallies.end(7, 'response')).toBeUndefined();
});

test('small bodies that wait for their ends beside each other keep their digests', () => {
  const [one, other] = [new BodyTallies(), new BodyTallies()];
  const bodies = [1, 2, 3].flatMap((number) => [one, other].map((tallies) => ({ number, tallies })));
  for (const [at, { number, tallies }] of bodies.entries()) {
    tallies.begin(number, 'response', 'results');
    tallies.add(number, 'response', Buffer.alloc(20 + at, at), true);
  }
  one.add(2, 'response', Buffer.from('more'), true);
  for (const [at, { number, tallies }] of bodies.entries()) {
    const more = tallies === one && number === 2 ? 'more' : '';
    const all = Buffer.concat([Buffer.alloc(20 + at, at), Buffer.from(more)]);
    expect(tallies.end(number, 'response')).toEqual({ bytes: all.length, cut: 0, digest: sha256(all) });
  }
});

test('bodies that come again have the digest of their own bytes, whatever came between', () => {
  const tallies = new BodyTallies();
  const memory = Buffer.alloc(8);
  const answers = ['same', 'same', 'sane', 'same', 'longer', 'same', '', 'same', 'same'];
  for (const [number, answer] of answers.entries()) {
    tallies.begin(number, 'request', 'results');
    tallies.begin(number, 'response', 'results');
    tallies.add(number, 'request', Buffer.from('asked'), true);
    if (number === 7) tallies.add(number, 'response', Buffer.from('same'), true);
    memory.fill(0xff).write(answer);
    tallies.add(number, 'response', memory.subarray(0, answer.length), true);
    expect(tallies.end(number, 'request')?.digest).toBe(sha256(Buffer.from('asked')));
    const whole = number === 7 ? 'samesame' : answer;
    expect(tallies.end(number, 'response')?.digest).toBe(sha256(Buffer.from(whole)));
  }
});

test('two bodies alike that wait at once go on each by itself', () => {
  const tallies = new BodyTallies();
  for (const number of [1, 2, 3]) {
    tallies.begin(number, 'response', 'results');
    tallies.add(number, 'response', Buffer.from('same'), true);
  }
  tallies.add(1, 'response', Buffer.from('+'), true);
  tallies.begin(4, 'response', 'results');
  tallies.add(4, 'response', Buffer.from('else'), true);
  const digests = [1, 2, 3, 4].map((number) => tallies.end(number, 'response')?.digest);
  expect(digests).toEqual(['same+', 'same', 'same', 'else'].map((body) => sha256(Buffer.from(body))));
});

test('bodies of any numbers that are open at once keep to themselves, and those that never ended are told', () => {
  const tallies = new BodyTallies();
  const numbers = [1, 65, 129, 2, 66, 130, 1_000_001, 64, 0];
  for (const number of numbers)
    for (const side of ['request', 'response'] as const) {
      tallies.begin(number, side, 'results');
      tallies.add(number, side, Buffer.from(`${side} ${number}`), true);
    }
  // Begun anew, what came before is forgotten.
  tallies.begin(65, 'response', 'results');
  const open = tallies.open().map(({ number, side }) => `${side} ${number}`);
  expect(open.toSorted()).toEqual(numbers.flatMap((number) => [`request ${number}`, `response ${number}`]).toSorted());
  for (const number of numbers)
    for (const side of ['request', 'response'] as const) {
      const body = number === 65 && side === 'response' ? '' : `${side} ${number}`;
      expect(tallies.end(number, side)).toEqual({ bytes: body.length, cut: 0, digest: sha256(Buffer.from(body)) });
      expect(tallies.end(number, side)).toBeUndefined();
      expect(tallies.add(number, side, Buffer.from('late'), true)).toBe(0);
    }
  expect(tallies.open()).toEqual([]);
});

test('the digest is of what was left out, too', () => {
  const tallies = new BodyTallies();
  tallies.begin(1, 'response', 'results', 4);
  expect(tallies.add(1, 'response', Buffer.from('abcdef'), true)).toBe(4);
  expect(tallies.end(1, 'response')).toEqual({ bytes: 6, cut: 2, digest: sha256(Buffer.from('abcdef')) });
});

test('where nothing of bodies is recorded there is no digest', () => {
  const tallies = new BodyTallies();
  tallies.begin(1, 'response', 'statements');
  expect(tallies.add(1, 'response', Buffer.from('abc'), true)).toBe(0);
  expect(tallies.end(1, 'response')).toEqual({ bytes: 3, cut: 3, digest: '' });
});
