/**
 * Plays a film (asciicast v2) in a terminal in its own time: pause, speed, and seeking to any instant, backwards too. What was
 * recorded came from elsewhere: only what a screen is made of reaches the terminal. Refuses to know where films come from.
 */
import type { FilmEvent, FilmHeader } from '@sallyport/api-client';
import { SafeScreen, SCREEN_RESET } from '@sallyport/film';

export interface FilmOptions {
  /** Times faster than it was; 0 = without waiting. */
  readonly speed: number;
  /** Begins there, with the screen as it was; ms of the film. */
  readonly fromMs: number;
  readonly pauseMsMax: number;
  readonly write: (text: string) => void;
  /** Resolves after `ms`, or sooner when the signal is aborted. */
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly nowMs: () => number;
}

export type FilmKey = 'pause' | 'forward' | 'back' | 'faster' | 'slower' | 'restart' | 'quit';

const SEEK_MS = 10_000;
const CLEAR = '\u001b[H\u001b[2J\u001b[3J';

/** Keys of a player, as a terminal in raw mode sends them: those that are pressed fast come together. */
export const filmKeysOf = (text: string): readonly FilmKey[] =>
  Array.from(text.matchAll(/\u001b\[.|[^]/g), ([key]) => filmKeyOf(key)).filter((key) => key !== undefined);

function filmKeyOf(key: string): FilmKey | undefined {
  switch (key) {
    case ' ':
    case 'p':
      return 'pause';
    case '\u001b[C':
    case 'l':
      return 'forward';
    case '\u001b[D':
    case 'h':
      return 'back';
    case '\u001b[A':
    case '+':
      return 'faster';
    case '\u001b[B':
    case '-':
      return 'slower';
    case '0':
    case 'g':
      return 'restart';
    case 'q':
    case '\u0003':
    case '\u0004':
      return 'quit';
    default:
      return undefined;
  }
}

/** One per film and terminal. */
export class FilmPlayer {
  readonly #events: readonly FilmEvent[];
  readonly #options: FilmOptions;
  #speed: number;
  #paused = false;
  #seekToMs: number | undefined;
  #isOver = false;
  #next = 0;
  /** Where the film stands. */
  #atMs = 0;
  #screen = new SafeScreen();
  #changed = new AbortController();

  constructor(events: readonly FilmEvent[], options: FilmOptions) {
    this.#events = events;
    this.#options = options;
    this.#speed = options.speed;
    if (options.fromMs > 0) this.#seekToMs = options.fromMs;
  }

  key(key: FilmKey): void {
    switch (key) {
      case 'pause':
        this.#paused = !this.#paused;
        break;
      case 'forward':
        this.#seekToMs = (this.#seekToMs ?? this.#atMs) + SEEK_MS;
        break;
      case 'back':
        this.#seekToMs = Math.max(0, (this.#seekToMs ?? this.#atMs) - SEEK_MS);
        break;
      case 'faster':
        this.#speed = Math.min(64, (this.#speed || 1) * 2);
        break;
      case 'slower':
        this.#speed = Math.max(0.125, (this.#speed || 1) / 2);
        break;
      case 'restart':
        this.#seekToMs = 0;
        break;
      case 'quit':
        this.#isOver = true;
        break;
      default:
        key satisfies never;
    }
    this.#changed.abort();
    this.#changed = new AbortController();
  }

  /** Resolves at the film's end, or when it is quit; the terminal is then as it was. */
  async play(): Promise<void> {
    const { write } = this.#options;
    try {
      while (!this.#isOver) {
        if (this.#seekToMs !== undefined) this.#seek(this.#seekToMs);
        const event = this.#events[this.#next];
        if (event === undefined) break;
        if (!(await this.#waited(event))) continue;
        this.#next++;
        this.#atMs = event[0] * 1000;
        this.#show(event);
      }
    } finally {
      write(SCREEN_RESET);
    }
  }

  /** @returns false when something else is asked for meanwhile */
  async #waited(event: FilmEvent): Promise<boolean> {
    const { signal } = this.#changed;
    if (this.#paused) {
      await this.#options.wait(Number.POSITIVE_INFINITY, signal);
      return false;
    }
    const restMs = event[0] * 1000 - this.#atMs;
    if (this.#speed === 0 || restMs <= 0) return true;
    const pauseMs = Math.min(restMs / this.#speed, this.#options.pauseMsMax);
    const began = this.#options.nowMs();
    await this.#options.wait(pauseMs, signal);
    if (!signal.aborted) return true;
    this.#atMs += Math.min(restMs, Math.max(0, this.#options.nowMs() - began) * this.#speed);
    return false;
  }

  /** Backwards it begins again: a screen is the sum of all that was written to it. */
  #seek(toMs: number): void {
    this.#seekToMs = undefined;
    if (toMs < this.#atMs) {
      this.#next = 0;
      this.#screen = new SafeScreen();
      this.#options.write(SCREEN_RESET + CLEAR);
    }
    for (
      let event = this.#events[this.#next];
      event !== undefined && event[0] * 1000 <= toMs;
      event = this.#events[this.#next]
    ) {
      this.#show(event);
      this.#next++;
    }
    this.#atMs = toMs;
  }

  #show([, code, text]: FilmEvent): void {
    if (code === 'o') this.#options.write(this.#screen.push(text));
  }
}

export const isFilmEvent = (line: FilmHeader | FilmEvent): line is FilmEvent => Array.isArray(line);
