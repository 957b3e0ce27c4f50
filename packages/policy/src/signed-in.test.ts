/** Rules that read how the person signed in. */
import type { SessionInfo } from '@sallyport/model';
import { describe, expect, test } from 'vitest';
import { ask, bundle, NOW, policy, session, sql } from './engine.fixture.ts';
import { loadBundlePolicies } from './engine.ts';

describe('how the person signed in', () => {
  const rule = (when: string): string => `rules:\n  - { name: r, when: '${when}', verdict: deny }`;
  const decide = (when: string, auth?: SessionInfo['auth'], nowMs = NOW) =>
    loadBundlePolicies(bundle({ policies: [policy(rule(when))] })).decide({
      ...ask(sql({}), ['read'], { session: session(auth === undefined ? {} : { auth }) }),
      nowMs,
    }).kind;
  const auth = { amr: ['pwd', 'mfa'], acr: 'gold', authTimeMs: NOW - 600_000, provider: 'okta' };

  test.each([
    ['!("mfa" in auth.amr)', 'allow'],
    ['"hwk" in auth.amr', 'allow'],
    ['auth.acr != "gold"', 'allow'],
    ['auth.provider != "okta"', 'allow'],
    ['auth.age > 599', 'deny'],
    ['auth.age > 600', 'allow'],
  ])('a rule reads it: %s', (when, kind) => {
    expect(decide(when, auth)).toBe(kind);
  });

  test.each(['!("mfa" in auth.amr)', 'auth.acr != "gold"', 'auth.age > 86400', 'auth.provider != "okta"'])(
    'where nobody said, a rule that demands it denies: %s',
    (when) => {
      expect(decide(when)).toBe('deny');
    },
  );

  test('the age goes on while the session does', () => {
    const engine = loadBundlePolicies(bundle({ policies: [policy(rule('auth.age > 900'))] }));
    const input = ask(sql({}), ['read'], { session: session({ auth }) });
    expect(engine.decide(input).kind).toBe('allow');
    expect(engine.decide({ ...input, nowMs: NOW + 301_000 }).kind).toBe('deny');
  });
});
