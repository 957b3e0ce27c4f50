/** What a connection remembers of its way in never changes which way a request takes. */
import { expect, test } from 'vitest';
import { LastWay, wayIn } from './way-in.ts';

const at = (target: string, authority = 'gate.example'): Parameters<typeof wayIn>[0] => ({
  authority,
  target,
  path: decodeURIComponent(target.split('?', 1)[0] ?? ''),
});

test('whatever was asked for before, a request comes in as it would have come first', () => {
  const targets = ['/r/a/x', '/r/a', '/r/a?q=1', '/r/ab/x', '/r/a-b', '/r/a%2Db', '/r/%61/x', '/x', '/r/', '/r/a/r/b'];
  const asked = targets.flatMap((target) => [at(target), at(target, 'a.apps.example'), at(target, 'b.apps.example')]);
  for (const domain of ['', 'apps.example'])
    for (const first of asked)
      for (const second of asked) {
        const last = new LastWay();
        expect(last.of(first, domain)).toEqual(wayIn(first, domain));
        expect(last.of(second, domain)).toEqual(wayIn(second, domain));
      }
});

test('a domain that changes is another', () => {
  const last = new LastWay();
  const request = at('/r/a/x', 'b.apps.example');
  expect(last.of(request, 'apps.example')?.resource).toBe('b');
  expect(last.of(request, '')?.resource).toBe('a');
  expect(last.of(request, 'apps.example')?.resource).toBe('b');
});
