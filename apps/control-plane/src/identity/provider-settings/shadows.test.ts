/** A name in the environment that the database has already: the control plane does not start, and says which. */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '@sallyport/embedded-postgres';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startControlPlane } from '../../boot.ts';
import { parseConfig } from '../../config.ts';
import { startTestControlPlane } from '../../testing/control-plane.ts';

let dir = '';
let database: EmbeddedPostgres;
beforeAll(async () => {
  dir = mkdtempSync(path.join(tmpdir(), 'sallyport-shadows-'));
  chmodSync(dir, 0o711);
  database = await startEmbeddedPostgres({ dir: path.join(dir, 'database') });
}, 60_000);
afterAll(async () => {
  await database.stop();
  rmSync(dir, { recursive: true, force: true });
});

test('a provider of the environment does not take the name of one in the database', async () => {
  const env = { DATABASE_URL: database.url(), SALLYPORT_KEK: 'a2V5LWtleS1rZXkta2V5LWtleS1rZXkta2V5LWtleTE=' };
  const first = await startTestControlPlane(env);
  const made = await first.call('POST', '/v1/identity-providers', {
    name: 'corp',
    kind: 'oidc',
    config: { issuer: 'https://corp.example', clientId: 'x', clientAuth: 'none' },
  });
  expect(made.status).toBe(201);
  await first.stop();
  const given = {
    SALLYPORT_OIDC_ISSUER: 'https://evil.example',
    SALLYPORT_OIDC_CLIENT_ID: 'x',
    SALLYPORT_OIDC_CLIENT_SECRET: 'y',
  };
  const again = (name: string) => {
    const here = { SALLYPORT_HTTP: '127.0.0.1:0', SALLYPORT_LINK: '127.0.0.1:0', SALLYPORT_ENROLL: '127.0.0.1:0' };
    const settings = {
      ...here,
      ...env,
      ...given,
      SALLYPORT_DATA_DIR: path.join(dir, 'data'),
      SALLYPORT_OIDC_NAME: name,
    };
    return startControlPlane(parseConfig([], settings), () => undefined);
  };
  await expect(again('corp')).rejects.toMatchObject({
    code: 'config.invalid',
    detail: { name: 'SALLYPORT_OIDC_NAME', remedy: expect.stringContaining('corp of project default') },
  });
  const other = await again('corp-2');
  await other.stop();
}, 90_000);
