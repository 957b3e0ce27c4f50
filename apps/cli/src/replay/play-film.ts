/** A film in this terminal, with keys where there are any: raw mode is left as it was found. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { FilmEvent, FilmHeader } from '@sallyport/api-client';
import type { Context } from '../context.ts';
import { FilmPlayer, filmKeysOf, isFilmEvent } from './film-player.ts';

export interface PlayOptions {
  readonly speed: number;
  readonly fromMs: number;
  readonly pauseMsMax: number;
}

export async function playFilm(
  context: Context,
  lines: AsyncIterable<FilmHeader | FilmEvent>,
  options: PlayOptions,
): Promise<void> {
  const { terminal } = context;
  const events: FilmEvent[] = [];
  let header: FilmHeader | undefined;
  for await (const line of lines) {
    if (isFilmEvent(line)) events.push(line);
    else header ??= line;
  }
  const columns = terminal.columns();
  if (columns !== undefined && header !== undefined && columns < header.width)
    context.note(
      `The film is ${header.width} columns wide, this terminal ${columns}: lines will not stand where they did.`,
    );
  const player = new FilmPlayer(events, {
    ...options,
    write: (text) => void terminal.stdout.write(text),
    nowMs: terminal.nowMs,
    wait: async (ms, signal) => {
      // Timers end at 2^31 ms; a pause lasts until a key.
      for (let left = ms; left > 0 && !signal.aborted; left -= LONGEST_MS)
        await sleep(Math.min(left, LONGEST_MS), undefined, { signal }).catch(() => undefined);
    },
  });
  const stopKeys = columns === undefined ? undefined : listen(terminal.stdin, player);
  try {
    await player.play();
  } finally {
    stopKeys?.();
  }
  terminal.stdout.write('\n');
}

const LONGEST_MS = 2 ** 31 - 1;

function listen(stdin: NodeJS.ReadStream, player: FilmPlayer): (() => void) | undefined {
  if (!stdin.isTTY) return undefined;
  const onData = (bytes: Buffer): void => {
    for (const key of filmKeysOf(bytes.toString())) player.key(key);
  };
  stdin.setRawMode(true);
  stdin.resume();
  stdin.on('data', onData);
  return () => {
    stdin.off('data', onData);
    stdin.setRawMode(false);
    stdin.pause();
  };
}
