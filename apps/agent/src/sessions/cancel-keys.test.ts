import { expect, test } from 'vitest';
import { CancelKeys } from './cancel-keys.ts';

test('a key cancels its own session alone, from any connection, until that session is over', () => {
  const keys = new CancelKeys('main');
  const [mine, other, stranger] = [keys.open(), keys.open(), keys.open()];
  let cancelled = '';
  mine.onCancel = () => (cancelled += 'mine ');
  other.onCancel = () => (cancelled += 'other ');
  const key = mine.issue(4);
  other.issue(32);
  expect(key.secret).toHaveLength(4);
  expect(key.processId).toBeGreaterThan(0);
  expect(key.processId).toBeLessThan(2 ** 31);
  stranger.request(key.processId, Buffer.alloc(4));
  stranger.request(key.processId, Buffer.concat([key.secret, Buffer.of(0)]));
  stranger.request(key.processId + 1, key.secret);
  expect(cancelled).toBe('');
  stranger.request(key.processId, key.secret);
  expect(cancelled).toBe('mine ');
  mine.close();
  stranger.request(key.processId, key.secret);
  expect(cancelled).toBe('mine ');
});

test('keys of another instance are another range', () => {
  const range = (name: string): number => new CancelKeys(name).open().issue(4).processId >> 24;
  expect(range('main')).toBe(range('main'));
  expect(range('main')).not.toBe(range('second'));
});
