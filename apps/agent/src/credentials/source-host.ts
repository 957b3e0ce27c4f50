/** What credential sources may use of this host: its variables but our own settings, its files up to a size, its clock. */
import { open } from 'node:fs/promises';
import { SECRET_BYTES_MAX, type SourceHost } from '@sallyport/credentials';

export const agentSourceHost = (nowMs: () => number, sdkDir: string): SourceHost => ({
  nowMs,
  sdkDir,
  // A join token stands in a variable of ours: only those named for secrets are theirs.
  variable: (name) =>
    name.startsWith('SALLYPORT_') && !name.startsWith('SALLYPORT_SECRET_') ? undefined : process.env[name],
  readText: readSmall,
});

/** @throws Error when it cannot be read, or is larger than a secret may be */
async function readSmall(path: string): Promise<string> {
  const file = await open(path, 'r');
  try {
    const buffer = Buffer.alloc(SECRET_BYTES_MAX + 1);
    let used = 0;
    for (;;) {
      const { bytesRead } = await file.read(buffer, used, buffer.length - used);
      used += bytesRead;
      if (used > SECRET_BYTES_MAX) throw new Error('the file is too large');
      if (bytesRead === 0) return buffer.toString('utf8', 0, used);
    }
  } finally {
    await file.close();
  }
}
