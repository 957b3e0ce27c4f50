import { expect, test } from 'vitest';
import { OrderedWork } from './ordered-work.ts';

const lane = (max: number, told: boolean[], failed: unknown[] = []) =>
  new OrderedWork(
    max,
    (cause) => failed.push(cause),
    (pressed) => told.push(pressed),
  );

test('work is done in order, one piece at a time', async () => {
  const work = lane(10, []);
  const done: number[] = [];
  for (const i of [3, 1, 2])
    work.push(async () => {
      await new Promise((resolve) => setTimeout(resolve, i));
      done.push(i);
    });
  await work.settled();
  expect(done).toEqual([3, 1, 2]);
});

test('pressure is told once and taken back once, however often the limit is touched', async () => {
  const told: boolean[] = [];
  const work = lane(4, told);
  const gates: (() => void)[] = [];
  const push = () => work.push(() => new Promise<void>((resolve) => gates.push(resolve)));
  const finishOne = async () => {
    gates.shift()?.();
    await new Promise((resolve) => setImmediate(resolve));
  };
  for (let i = 0; i < 5; i++) push();
  for (let i = 0; i < 6; i++) {
    await new Promise((resolve) => setImmediate(resolve));
    await finishOne();
    push();
  }
  expect(told).toEqual([true]);
  for (let i = 0; i < 8; i++) {
    await new Promise((resolve) => setImmediate(resolve));
    await finishOne();
  }
  expect(told).toEqual([true, false]);
});

test('nothing goes on after a failure', async () => {
  const failed: unknown[] = [];
  const work = lane(10, [], failed);
  const done: string[] = [];
  work.push(() => Promise.reject(new Error('no')));
  work.push(async () => void done.push('after'));
  await work.settled();
  expect(done).toEqual([]);
  expect(failed).toHaveLength(1);
});
