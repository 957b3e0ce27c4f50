/** Which lines make another shell of one, and which leave it as it was. */
import { expect, test } from 'vitest';
import { readCommand } from './classify.ts';
import { ShellState } from './shell-state.ts';

const HELD = 'cat note';
function meaningAfter(lines: readonly string[], text = HELD, directoryKnown = true): string {
  const state = new ShellState('');
  for (const line of lines) state.ran(line, readCommand(line), '0', directoryKnown);
  return state.meaning(text, '/srv');
}

test.each([
  'ls -l --color=never',
  'cat "a b" | sort -u > /tmp/x',
  'grep -r x . || echo none',
  'cd /srv/other',
  "awk '{ print $1 }' x",
  'date; id',
])('%s leaves it as it was', (line) => {
  expect(meaningAfter([line])).toBe(meaningAfter([]));
});

test.each([
  'a=1',
  "e'x'port A",
  'true "${a:=1}"',
  'echo $((a++))',
  'echo "${a[--i]}"',
  'echo ${!a}',
  '[ -v a[--i] ]',
  '[[ x =~ (x) ]]',
  'read a < note',
  'printf -v a x',
  'for a in 1 2; do true; done',
  'umask 077',
  'ulimit -n 10',
  'pushd /srv',
  'true {left}<note',
  '$a',
])('%s makes another of it', (line) => {
  expect(meaningAfter([line])).not.toBe(meaningAfter([]));
});

test.each([
  'cat ~-/note',
  'cd - && cat note',
  'test $? = 0 && cat note',
  'fg',
  'kill %1',
  'echo $!',
  'cat "$OLDPWD/note"',
])('%s means what all lines before it make of it', (text) => {
  expect(meaningAfter(['ls'], text)).not.toBe(meaningAfter([], text));
});

test('a directory counts: as it is known, or by the line that changed it', () => {
  const state = new ShellState('');
  expect(state.meaning(HELD, '/a')).not.toBe(state.meaning(HELD, '/b'));
  expect(meaningAfter(['cd /b'], HELD, false)).not.toBe(meaningAfter([], HELD, false));
});

test('what was lost never comes again, and another beginning is another shell', () => {
  const [one, two] = [new ShellState(''), new ShellState('')];
  one.lost('r1');
  two.lost('r2');
  expect(one.meaning(HELD, '')).not.toBe(two.meaning(HELD, ''));
  expect(new ShellState('x').meaning(HELD, '')).not.toBe(new ShellState('').meaning(HELD, ''));
});
