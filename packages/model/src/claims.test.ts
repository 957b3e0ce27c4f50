/** Conditions on claims and names made of them: what matches, and above all what does not. */
import { expect, test } from 'vitest';
import { claimAt, failedCondition, mapPrincipal, matchesPattern } from './claims.ts';

const POD = {
  sub: 'system:serviceaccount:payments:worker',
  'kubernetes.io': { namespace: 'payments', serviceaccount: { name: 'worker' } },
};

test('a claim is found by its name, or by a path, and nothing is found on a prototype', () => {
  expect(claimAt(POD, 'kubernetes.io/serviceaccount/name')).toBe('worker');
  expect(claimAt({ 'https://x.example/groups': 'a' }, 'https://x.example/groups')).toBe('a');
  expect(claimAt(POD, 'kubernetes.io/none')).toBeUndefined();
  expect(claimAt(POD, 'constructor')).toBeUndefined();
  expect(claimAt(POD, 'sub/length')).toBeUndefined();
});

test.each([
  ['repo:acme/app:ref:refs/heads/main', 'repo:acme/app:ref:refs/heads/main', true],
  ['repo:acme/*', 'repo:acme/app', true],
  ['repo:acme/*', 'repo:acme/app:ref:refs/heads/main', false],
  ['repo:acme/**', 'repo:acme/app:ref:refs/heads/main', true],
  ['acme/*', 'acme/app/evil', false],
  ['acme/*', 'xacme/app', false],
  ['*', 'a/b', false],
  ['refs/heads/release-*', 'refs/heads/release-1', true],
  ['refs/heads/release-*', 'refs/heads/release-1/x', false],
  ['a**b', 'a/:b', true],
  ['', 'a', false],
])('%s against %s: %s', (pattern, text, expected) => {
  expect(matchesPattern(pattern, text)).toBe(expected);
});

test('a pattern of many stars does not run long', () => {
  const started = performance.now();
  expect(matchesPattern('**a'.repeat(60), 'a'.repeat(2_000).concat('b'))).toBe(false);
  expect(performance.now() - started).toBeLessThan(3_000);
});

test('every condition has to hold, a list by one of its members, and a missing claim never does', () => {
  const claims = { repository: 'acme/app', ref: 'refs/tags/v1', aud: ['x', 'y'], runs: 3, ok: true };
  expect(failedCondition(claims, { repository: 'acme/app', ref: ['refs/heads/main', 'refs/tags/*'] })).toBeUndefined();
  expect(failedCondition(claims, { aud: 'y', runs: '3', ok: 'true' })).toBeUndefined();
  expect(failedCondition(claims, { repository: 'acme/app', environment: '**' })).toBe('environment');
  expect(failedCondition(claims, { ref: 'refs/heads/main' })).toBe('ref');
  expect(failedCondition({ sub: { a: 1 } }, { sub: '**' })).toBe('sub');
});

test('a name is made of claims; two subjects that are written alike keep apart', () => {
  const one = mapPrincipal('ci-{repository}', { repository: 'acme/a-b' });
  const two = mapPrincipal('ci-{repository}', { repository: 'acme-a/b' });
  expect(one?.name).toBe('ci-acme-a-b');
  expect(two?.name).toBe(one?.name);
  expect(two?.subject).not.toBe(one?.subject);
  expect(mapPrincipal('fixed', {})).toEqual({ name: 'fixed', subject: '' });
  expect(mapPrincipal('ci-{none}', {})).toBeUndefined();
});
