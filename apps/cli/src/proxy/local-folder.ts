/** A folder of one run that only its owner may enter: for the unix socket and for the pgpass file. Removed at the end. */
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { CliError } from '../exit-codes.ts';

/** Longest path of a unix socket on Linux is 107 bytes, on macOS 103. */
const SOCKET_PATH_BYTES_MAX = 103;
const SOCKET_NAME = '.s.PGSQL.5432';

export interface LocalFolder {
  readonly dir: string;
  /** Where libpq looks for a socket when `dir` is its host and 5432 its port. */
  readonly socketPath: string;
  remove(): void;
}

/** Made 0700 under XDG_RUNTIME_DIR or the temporary folder. @throws CliError usage when the path would be too long */
export function makeLocalFolder(env: Readonly<Record<string, string | undefined>>): LocalFolder {
  const base = env['XDG_RUNTIME_DIR'] ?? tmpdir();
  const dir = mkdtempSync(path.join(base, 'sallyport-'));
  const socketPath = path.join(dir, SOCKET_NAME);
  const remove = (): void => rmSync(dir, { recursive: true, force: true });
  if (
    Buffer.byteLength(socketPath) > SOCKET_PATH_BYTES_MAX ||
    (process.platform !== 'win32' && (statSync(dir).mode & 0o077) !== 0)
  ) {
    remove();
    throw new CliError(
      'usage',
      `No private socket can be made under ${base}.`,
      'Set TMPDIR to a folder of yours with a short path.',
    );
  }
  return { dir, socketPath, remove };
}
