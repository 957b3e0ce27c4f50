/** Plays frames in their own time. Refuses to know where they come from. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ReplayFrame } from '@sallyport/api-client';
import type { Terminal } from '../terminal.ts';
import { renderFrame } from './render-frame.ts';

export interface ReplayOptions {
  /** Times faster than it was; 0 = without waiting. */
  readonly speed: number;
  /** Frames before are left out; ms since the session opened. */
  readonly fromMs: number;
  readonly pauseMsMax: number;
  readonly write: (line: string) => void;
  readonly terminal: Terminal;
  readonly wait?: (ms: number) => Promise<void>;
}

/** Resolves when the last frame has been written. */
export async function replay(frames: AsyncIterable<ReplayFrame>, options: ReplayOptions): Promise<void> {
  const wait = options.wait ?? ((ms: number) => sleep(ms));
  let last: number | undefined;
  for await (const frame of frames) {
    if (frame.atMs < options.fromMs) continue;
    const pauseMs =
      options.speed === 0 || last === undefined ? 0 : Math.min((frame.atMs - last) / options.speed, options.pauseMsMax);
    if (pauseMs > 0) await wait(pauseMs);
    last = frame.atMs;
    for (const line of renderFrame(frame, options.terminal)) options.write(line);
  }
}
