/**
 * How long a writer without a terminal may pause in the middle of a value: nobody types there, so what may be the beginning of a
 * find waits for it, and what tells enough to be worth hiding waits longest. Refuses to know time; whoever asks says it.
 */
const PIPE_WORD_MS = 1_000;
export const PIPE_LONG_MS = 5_000;

/** @param quietMs for how long nothing came @returns what a masker's `idle` is told; undefined while everything waits */
export const pipeQuietMs = (quietMs: number): number | undefined =>
  quietMs < PIPE_WORD_MS ? undefined : quietMs < PIPE_LONG_MS ? 0 : quietMs;
