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

/** Wrappers of lists, whose items are marked themselves, and shapes that are another standard's. */
const UNMARKED =
  /Page$|Patch$|^(Problem|KeySet|SecretList|PolicyRevisions|WebhookDeliveries|TrailEvents|RecordedStatements|AgentPackage)$/;

test('every field of a request or an answer says who may see it', async () => {
  interface Shape {
    readonly properties?: Readonly<Record<string, object>>;
  }
  const { body } = await plane.call<{ components: { schemas: Record<string, Shape> } }>(
    'GET',
    '/openapi.json',
    undefined,
    '',
  );
  const bare = Object.entries(body.components.schemas)
    .filter(([name]) => !UNMARKED.test(name))
    .flatMap(([name, shape]) =>
      Object.entries(shape.properties ?? {}).flatMap(([field, schema]) =>
        JSON.stringify(schema).includes('x-privacy') ? [] : [`${name}.${field}`],
      ),
    );
  // A secret shown once needs no mark: unmarked means secret.
  expect(bare).toEqual(['WebhookWithSecret.secret']);
});
