/** Errors of the file system in words: a file named on the command line that cannot be read or written is wrong usage, not a crash. */
const WORDS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file or folder',
  ENOTDIR: 'a part of this path is no folder',
  EISDIR: 'this is a folder, and a file is needed',
  EACCES: 'you may not read or write this',
  EPERM: 'you may not read or write this',
  EROFS: 'this file system is read-only',
  ENOSPC: 'the disk is full',
  EMFILE: 'too many files are open',
};
const CALLS = new Set([
  'open',
  'read',
  'write',
  'stat',
  'lstat',
  'mkdir',
  'mkdtemp',
  'rename',
  'scandir',
  'chmod',
  'unlink',
]);

/** What to tell of an error of `node:fs`; undefined for any other error. */
export function fileTrouble(error: unknown): string | undefined {
  const { code, syscall, path } = (error ?? {}) as Partial<NodeJS.ErrnoException>;
  if (code === undefined || syscall === undefined || !CALLS.has(syscall)) return undefined;
  const words = WORDS[code];
  if (words === undefined) return undefined;
  return path === undefined ? `A file cannot be used: ${words}.` : `${path}: ${words}.`;
}
