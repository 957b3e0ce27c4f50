import type { FilmEvent } from '@sallyport/api-client';
import { SCREEN_RESET } from '@sallyport/film';
import { expect, test } from 'vitest';
import { FilmPlayer, filmKeysOf } from './film-player.ts';

const FILM: readonly FilmEvent[] = [
  [0, 'o', '$ '],
  [1, 'o', 'ls'],
  [1, 'i', 'ls'],
  [2, 'm', 'ls'],
  [62, 'o', '\r\na b\u001b]52;c;ZXZpbA==\u0007\u001b[c\u001b[31m!\u001b[?1000h'],
  [63, 'r', '100x30'],
  [70, 'o', 'end'],
];

function player(more: { speed?: number; fromMs?: number; onWait?: (ms: number, film: FilmPlayer) => void } = {}) {
  const waits: number[] = [];
  const clock = { nowMs: 0 };
  let out = '';
  const film: FilmPlayer = new FilmPlayer(FILM, {
    speed: more.speed ?? 1,
    fromMs: more.fromMs ?? 0,
    pauseMsMax: 5000,
    write: (text) => (out += text),
    nowMs: () => clock.nowMs,
    wait: (ms, signal) => {
      waits.push(ms);
      more.onWait?.(ms, film);
      if (!signal.aborted) clock.nowMs += Number.isFinite(ms) ? ms : 0;
      return Promise.resolve();
    },
  });
  return { film, waits, out: () => out };
}

test('a film plays in its own time, faster when asked, and never waits longer than the longest pause', async () => {
  const one = player();
  await one.film.play();
  expect(one.waits).toEqual([1000, 1000, 5000, 1000, 5000]);
  const two = player({ speed: 4 });
  await two.film.play();
  expect(two.waits).toEqual([250, 250, 5000, 250, 1750]);
  const zero = player({ speed: 0 });
  await zero.film.play();
  expect(zero.waits).toEqual([]);
});

test('nothing of it reaches the terminal but what a screen is made of, and the terminal is left as it was', async () => {
  const { film, out } = player({ speed: 0 });
  await film.play();
  expect(out()).toBe(`$ ls\r\na b\u001b[31m!end${SCREEN_RESET}`);
});

test('a film begins where it is told, with the screen as it was', async () => {
  const { film, waits, out } = player({ fromMs: 61_000 });
  await film.play();
  expect(waits).toEqual([1000, 1000, 5000]);
  expect(out().startsWith('$ ls\r\n')).toBe(true);
});

test('keys seek both ways, change the speed, pause and quit', async () => {
  const asked: string[] = [];
  const { film, out } = player({
    onWait: (ms, running) => {
      asked.push(String(ms));
      if (asked.length === 3) running.key('back');
      if (asked.length === 4) running.key('faster');
      if (asked.length === 5) running.key('pause');
      if (asked.length === 6) running.key('pause');
      if (asked.length === 7) running.key('forward');
      if (asked.length === 12) running.key('quit');
    },
  });
  await film.play();
  expect(asked[5]).toBe('Infinity');
  expect(out().split('$ ').length, 'it began again once').toBe(3);
  expect(out().endsWith(SCREEN_RESET)).toBe(true);
});

test('as often as seeking is asked for, so far it goes', async () => {
  const { film, waits } = player({
    onWait: (_ms, running) => {
      if (waits.length === 1) for (let i = 0; i < 6; i++) running.key('forward');
    },
  });
  await film.play();
  // From 0 to 60 s, before what comes at 62.
  expect(waits).toEqual([1000, 2000, 1000, 5000]);
});

test('keys are what terminals send for them, also when they come together', () => {
  expect(filmKeysOf(' \u001b[C\u001b[Dx+-0q\u0003')).toEqual([
    'pause',
    'forward',
    'back',
    'faster',
    'slower',
    'restart',
    'quit',
    'quit',
  ]);
  expect(filmKeysOf('x\u001b')).toEqual([]);
});
