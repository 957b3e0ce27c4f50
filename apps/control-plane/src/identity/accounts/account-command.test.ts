/** `control-plane account link`: a way in for somebody whom no session can give one. */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '@sallyport/embedded-postgres';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestControlPlane, type TestControlPlane } from '../../testing/control-plane.ts';
import { runAccountCommand } from './account-command.ts';

let dir: string;
let server: EmbeddedPostgres;
let env: Record<string, string>;
let plane: TestControlPlane;
beforeAll(async () => {
  dir = mkdtempSync(path.join(tmpdir(), 'sallyport-account-'));
  chmodSync(dir, 0o711);
  server = await startEmbeddedPostgres({ dir: path.join(dir, 'postgres') });
  env = { DATABASE_URL: server.url(), SALLYPORT_DATA_DIR: path.join(dir, 'data') };
  plane = await startTestControlPlane(env, dir);
}, 90_000);
afterAll(async () => {
  await plane.controlPlane.stop();
  await server.stop();
  rmSync(dir, { recursive: true, force: true });
});
const begin = async (link: string): Promise<number> =>
  (
    await fetch(`${plane.url}/v1/login/link/begin`, {
      method: 'POST',
      body: JSON.stringify({ token: link.slice(link.indexOf('#') + 1) }),
      headers: { 'content-type': 'application/json' },
    })
  ).status;

test('a link for the administrator is printed beside a control plane that runs, and the one before is worth nothing', async () => {
  const said = await runAccountCommand(
    ['link', 'admin', '--new-start', '--public-url', 'https://sallyport.example'],
    env,
  );
  expect(said).toMatch(/as admin: https:\/\/sallyport\.example\/login\/link#[\w-]{43}$/);
  expect(await begin(plane.controlPlane.adminLink!)).toBe(401);
  expect(await begin(said)).toBe(200);
});

test.each([
  [[]],
  [['link']],
  [['link', '--new-start']],
  [['unlink', 'admin']],
  [['link', 'nobody']],
  [['link', 'admin', '--what']],
])('%j is refused', async (argv) => {
  await expect(runAccountCommand(argv, env)).rejects.toMatchObject({ code: 'config.invalid' });
});
