/**
 * `heads.jsonl`: what history is held against, so each line is whole and synced before it counts. A crash in the middle of
 * a line leaves a part of one, which is cut off before anything follows it. Refuses to change a whole line.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { formatTreeHead, type TreeHead } from '@sallyport/trail';

/** Longer than any line, so that the end of a file shows its last one. */
const TAIL_BYTES = 64 * 1024;
const NEWLINE = 0x0a;

/** @returns size of the tree that the file's last head covers; 0 for a file that is not there or has none */
export async function lastHeadSize(file: string): Promise<number> {
  let handle: FileHandle;
  try {
    handle = await open(file, 'r+');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return 0;
    throw cause;
  }
  try {
    const { size } = await handle.stat();
    const from = Math.max(0, size - TAIL_BYTES);
    const tail = Buffer.alloc(size - from);
    await handle.read(tail, 0, tail.length, from);
    const end = tail.lastIndexOf(NEWLINE) + 1;
    if (end < tail.length) {
      await handle.truncate(from + end);
      await handle.sync();
    }
    const last = tail.toString('utf8', 0, end).trimEnd().split('\n').at(-1) ?? '';
    return Number(/"size":(\d+)/.exec(last)?.[1] ?? 0);
  } finally {
    await handle.close();
  }
}

/** On the disk when it resolves. @param heads oldest first */
export async function appendHeads(file: string, heads: readonly TreeHead[]): Promise<void> {
  const handle = await open(file, 'a', 0o600);
  try {
    await handle.writeFile(heads.map(formatTreeHead).join(''));
    await handle.sync();
  } finally {
    await handle.close();
  }
}
