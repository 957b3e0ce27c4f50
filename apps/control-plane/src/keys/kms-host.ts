/**
 * What a KMS's sign-in may use of this host: variables but our own settings, files up to a size, the clock. Unlike
 * credentials (server-sources.ts), which administrators write, a KMS is configured by who runs the process.
 */
import { readFile, stat } from 'node:fs/promises';
import { SECRET_BYTES_MAX, type SourceHost } from '@sallyport/credentials';

export const kmsHost = (nowMs: () => number, sdkDir: string): SourceHost => ({
  nowMs,
  sdkDir,
  variable: (name) =>
    name.startsWith('SALLYPORT_') && !name.startsWith('SALLYPORT_SECRET_') ? undefined : process.env[name],
  readText: async (file) => {
    if ((await stat(file)).size > SECRET_BYTES_MAX) throw new Error('the file is too large');
    return await readFile(file, 'utf8');
  },
});
