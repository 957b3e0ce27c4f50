/** /metrics of a running control plane against its page. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestControlPlane, type TestControlPlane } from '../testing/control-plane.ts';

const PAGE = readFileSync(path.join(import.meta.dirname, '../../../../docs/reference/metrics.md'), 'utf8');
let plane: TestControlPlane;
beforeAll(async () => {
  plane = await startTestControlPlane();
}, 60_000);
afterAll(async () => await plane.stop());

const metrics = async (): Promise<string> => await (await fetch(`${plane.url}/metrics`)).text();

test('every metric of the control plane stands on its page, and the page names no other', async () => {
  const said = [...(await metrics()).matchAll(/^# TYPE (sallyport_\w+)/gm)].map((match) => match[1]!);
  const page = [...PAGE.matchAll(/^\| `(sallyport_(?!agent_)\w+)`/gm)].map((match) => match[1]!);
  expect(said.toSorted()).toEqual(page.toSorted());
});

test('a wrong token is counted, and no name of anybody is told', async () => {
  expect((await plane.call('GET', '/v1/whoami', undefined, `sp_${'A'.repeat(43)}`)).status).toBe(401);
  await plane.call('GET', '/v1/principals/admin');
  const text = await metrics();
  expect(text).toContain('sallyport_limited_attempts_total{kind="bad-token"} 1');
  expect(text).not.toContain('admin');
});
