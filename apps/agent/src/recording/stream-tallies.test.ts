/** What is left out of a stream is counted at once and digested when the client has it, in the order in which it came. */
import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { StreamTallies } from './stream-tallies.ts';

const digestOf = (...texts: string[]): string => createHash('sha256').update(texts.join('')).digest('hex');

test('bytes that are digested later count in the order in which they came, between others that are not', () => {
  const tallies = new StreamTallies();
  tallies.leaveOut(1, 'stdout', Buffer.from('one'), true);
  tallies.leaveOut(1, 'stdout', Buffer.from('two'), false);
  tallies.leaveOut(1, 'stderr', Buffer.from('else'), true);
  tallies.leaveOut(1, 'stdout', Buffer.from('three'), true);
  tallies.settle();
  tallies.leaveOut(1, 'stdout', Buffer.from('four'), true);
  expect(tallies.end(1)).toEqual([
    { stream: 'stdout', bytes: 15, digest: digestOf('one', 'two', 'three', 'four') },
    { stream: 'stderr', bytes: 4, digest: digestOf('else') },
  ]);
});

test('once settled, the memory that the bytes stood in is another’s', () => {
  const tallies = new StreamTallies();
  const lent = Buffer.from('mine');
  tallies.leaveOut(1, 'stdout', lent, true);
  tallies.settle();
  tallies.settle();
  lent.fill('x');
  expect(tallies.end(1)).toEqual([{ stream: 'stdout', bytes: 4, digest: digestOf('mine') }]);
});
