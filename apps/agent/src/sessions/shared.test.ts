import type { SessionMember } from '@sallyport/protocol-kit';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { LiveSession } from './live.ts';
import { SharedSessions } from './shared.ts';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

const session = { road: {}, watchable: {} } as unknown as LiveSession;
const member = (): SessionMember & { readonly ended: string[]; leave: () => void } => {
  const ended: string[] = [];
  const made = {
    ended,
    leave: () => undefined as void,
    end: (code: string) => {
      ended.push(code);
      made.leave();
    },
    bundleChanged: () => undefined,
  };
  return made;
};

test('a session is found again as long as somebody is in it, and for a while after', () => {
  const closed: string[] = [];
  const sessions = new SharedSessions((_session, code) => void closed.push(code));
  const first = sessions.add('key', () => session);
  const joined = first.join(member());
  expect(sessions.find('key')).toBe(first);
  joined.leave();
  vi.advanceTimersByTime(29_000);
  expect(sessions.find('key')).toBe(first);
  const again = first.join(member());
  vi.advanceTimersByTime(60_000);
  expect(closed).toEqual([]);
  again.leave();
  vi.advanceTimersByTime(31_000);
  expect(closed).toEqual(['']);
  expect(sessions.find('key')).toBeUndefined();
});

test('an end is told to all, once, and nobody joins what has ended', () => {
  const closed: string[] = [];
  const sessions = new SharedSessions((_session, code) => void closed.push(code));
  let end: (() => void) | undefined;
  const shared = sessions.add('key', (carrier) => {
    end = () => carrier.end('session.revoked');
    return session;
  });
  const members = [member(), member()];
  for (const one of members) one.leave = shared.join(one).leave;
  end?.();
  end?.();
  expect(members.map(({ ended }) => ended)).toEqual([['session.revoked'], ['session.revoked']]);
  expect(closed).toEqual(['session.revoked']);
  expect(sessions.find('key')).toBeUndefined();
});

test('a member that does not leave is left behind within a second', () => {
  const closed: string[] = [];
  const sessions = new SharedSessions((_session, code) => void closed.push(code));
  let end: (() => void) | undefined;
  const shared = sessions.add('key', (carrier) => {
    end = () => carrier.end('session.killed');
    return session;
  });
  shared.join({ end: () => undefined, bundleChanged: () => undefined });
  end?.();
  expect(closed).toEqual([]);
  vi.advanceTimersByTime(1_000);
  expect(closed).toEqual(['session.killed']);
});

test('what waits without a connection keeps its session open', () => {
  const closed: string[] = [];
  const sessions = new SharedSessions((_session, code) => void closed.push(code));
  const shared = sessions.add('key', () => session);
  const joined = shared.join(member());
  const release = joined.keep(() => undefined);
  joined.leave();
  vi.advanceTimersByTime(600_000);
  expect(closed).toEqual([]);
  release();
  vi.advanceTimersByTime(31_000);
  expect(closed).toEqual(['']);
});
