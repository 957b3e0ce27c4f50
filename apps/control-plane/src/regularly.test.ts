/** Rounds of work: one at a time, again after a failure, and none behind the end. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Regularly } from './regularly.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test('a round begins each time, but while another runs', async () => {
  const ends: (() => void)[] = [];
  const regularly = new Regularly(
    () => new Promise((end) => ends.push(end)),
    () => undefined,
  );
  regularly.start(1_000);
  await vi.advanceTimersByTimeAsync(3_500);
  expect(ends).toHaveLength(1);
  expect(regularly.round()).toBe(regularly.round());
  ends[0]!();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(ends).toHaveLength(2);
  const stopped = regularly.stop();
  ends[1]!();
  await stopped;
  await vi.advanceTimersByTimeAsync(5_000);
  expect(ends).toHaveLength(2);
});

test('a round that fails is told, and the next one comes', async () => {
  const told: unknown[] = [];
  let rounds = 0;
  const regularly = new Regularly(
    () => Promise.reject(new Error(`round ${++rounds}`)),
    (cause) => told.push((cause as Error).message),
  );
  regularly.start(1_000);
  await vi.advanceTimersByTimeAsync(2_500);
  await regularly.stop();
  expect(told).toEqual(['round 1', 'round 2']);
});
