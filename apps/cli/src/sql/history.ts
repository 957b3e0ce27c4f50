/** What was typed at the prompt, newest first, in a file of one's own (0600). Refuses to keep more than a thousand lines. */
import path from 'node:path';
import { readPrivateFile, writePrivateFile } from '../config/private-file.ts';
import { stateDir } from '../config/profiles.ts';

const LINES_MAX = 1_000;

export interface History {
  readonly lines: readonly string[];
  save(lines: readonly string[]): void;
}

/** @param env SALLYPORT_HISTORY names another file; empty = keep none */
export function openHistory(env: Readonly<Record<string, string | undefined>>): History {
  const named = env['SALLYPORT_HISTORY'];
  if (named === '') return { lines: [], save: () => undefined };
  const file = named ?? path.join(stateDir(env), 'sql_history');
  return {
    lines: (readPrivateFile(file) ?? '').split('\n').filter((line) => line !== ''),
    save: (lines) => writePrivateFile(file, `${lines.slice(0, LINES_MAX).join('\n')}\n`),
  };
}
