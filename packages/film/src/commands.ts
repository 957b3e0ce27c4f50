/**
 * The commands of a session with their times, for lists and searches: when each began, how it ended, how much it said.
 * Refuses to know verdicts; those stand in the trail under the same number.
 */
import type { FilmFrame } from './film-frame.ts';

export interface FilmCommand {
  readonly number: number;
  /** ms since the session opened; where a film of the session shows it. */
  readonly atMs: number;
  readonly text: string;
  /** Absent while it runs, and for what has no end of its own (a line of a shell). */
  readonly endMs?: number;
  readonly code?: number;
  readonly signal?: string;
  /** Bytes that its streams showed, what is not in the recording included. */
  readonly shownBytes: number;
  /** It had a terminal. */
  readonly terminal: boolean;
}

/** Commands of one session that are kept at once. */
const COMMANDS_MAX = 100_000;

type Building = { -readonly [K in keyof FilmCommand]: FilmCommand[K] };

/** Gathers commands of a recording that is read once, in order. */
export class CommandList {
  readonly #commands = new Map<number, Building>();

  add(frame: FilmFrame): void {
    if (frame.kind === 'statement') {
      const known = this.#commands.get(frame.number);
      // A long text comes in several frames.
      if (known !== undefined) known.text += frame.text;
      else if (this.#commands.size < COMMANDS_MAX)
        this.#commands.set(frame.number, {
          number: frame.number,
          atMs: frame.atMs,
          text: frame.text,
          shownBytes: 0,
          terminal: false,
        });
      return;
    }
    const command = this.#commands.get(frame.number);
    if (command === undefined) return;
    switch (frame.kind) {
      case 'terminal_output':
        command.shownBytes += frame.bytes.length;
        break;
      case 'stream_cut':
        if (frame.stream !== 'input') command.shownBytes += frame.bytes;
        break;
      case 'resize':
        command.terminal = true;
        break;
      case 'exit':
        command.endMs = frame.atMs;
        if (frame.code !== undefined) command.code = frame.code;
        if (frame.signal !== undefined) command.signal = frame.signal;
        break;
      case 'terminal_input':
        break;
      default:
        frame satisfies never;
    }
  }

  /** In order of their numbers. */
  commands(): readonly FilmCommand[] {
    return [...this.#commands.values()].sort((a, b) => a.number - b.number);
  }
}
