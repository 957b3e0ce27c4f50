/** docs/reference/openapi.json is what the control plane serves. `node scripts/openapi.ts` writes it anew. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestControlPlane, type TestControlPlane } from '../testing/control-plane.ts';

const FILE = path.join(import.meta.dirname, '../../../../docs/reference/openapi.json');
let plane: TestControlPlane;
beforeAll(async () => {
  plane = await startTestControlPlane();
}, 60_000);
afterAll(async () => await plane.stop());

test('the OpenAPI document is served, and the one in docs is current', async () => {
  const { body } = await plane.call('GET', '/openapi.json', undefined, '');
  expect(JSON.parse(readFileSync(FILE, 'utf8'))).toEqual(body);
});

test('the browsable page is served', async () => {
  const page = await fetch(`${plane.url}/docs`);
  expect(page.status).toBe(200);
  expect(await page.text()).toContain('swagger-ui');
});
