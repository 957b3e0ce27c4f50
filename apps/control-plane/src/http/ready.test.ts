/** Health and readiness while the database goes and comes back. */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { startEmbeddedPostgres } from '@sallyport/embedded-postgres';
import { expect, test } from 'vitest';
import { startTestControlPlane } from '../testing/control-plane.ts';

test('without its database it lives and is not ready, and it is ready again once the database is back', async () => {
  const dir = mkdtempSync(path.join(tmpdir(), 'sallyport-ready-'));
  chmodSync(dir, 0o711);
  const options = { dir: path.join(dir, 'postgres') };
  let server = await startEmbeddedPostgres(options);
  const plane = await startTestControlPlane(
    { DATABASE_URL: server.url(), SALLYPORT_KEK: Buffer.alloc(32, 1).toString('base64url') },
    dir,
  );
  const statusOf = async (target: string, token?: string): Promise<number> =>
    (await plane.call('GET', target, undefined, token)).status;
  const port = new URL(server.url()).port;
  try {
    expect([await statusOf('/health', ''), await statusOf('/ready', '')]).toEqual([200, 200]);
    await server.stop();
    expect([await statusOf('/health', ''), await statusOf('/ready', '')]).toEqual([200, 503]);
    // A scrape is not failed by it, and a good token is not called a bad one.
    expect(await statusOf('/metrics', '')).toBe(200);
    expect(await statusOf('/v1/whoami')).toBeGreaterThanOrEqual(500);
    server = await startEmbeddedPostgres({ ...options, port: Number(port) });
    await expect.poll(() => statusOf('/ready', '')).toBe(200);
    await expect.poll(() => statusOf('/v1/whoami')).toBe(200);
  } finally {
    await plane.controlPlane.stop();
    await server.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}, 120_000);
