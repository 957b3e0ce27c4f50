import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { Bus } from '../bus/bus.ts';
import { BUS_CHANNEL, noticeOf } from '../bus/pg.bus.ts';
import { Database } from '../db/database.ts';
import { startTestControlPlane, type TestControlPlane } from '../testing/control-plane.ts';
import { Bundles } from './bundles.service.ts';

let plane: TestControlPlane;
let projectId: string;
/** How often this replica looked and found the project changed. */
let told = 0;
beforeAll(async () => {
  // What looks every few seconds by itself would be taken for a change's doing.
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  plane = await startTestControlPlane();
  vi.useRealTimers();
  const { app } = plane.controlPlane;
  const project = await app
    .get(Database, { strict: false })
    .client.project.findFirstOrThrow({ where: { name: 'default' } });
  projectId = project.id;
  app.get(Bundles, { strict: false }).onChange(() => {
    told += 1;
  });
}, 120_000);
afterEach(() => void vi.useRealTimers());
afterAll(() => plane.stop());

/** One change of the project, as a statement that makes one says it; resolves when this replica has heard. */
async function change(later: boolean): Promise<void> {
  const { app } = plane.controlPlane;
  const { client } = app.get(Database, { strict: false });
  const notice = noticeOf('bundle', { projectId, ...(later ? { later } : {}) });
  await client.$executeRaw`insert into bundle_state as b (project_id, revision, updated_at) values (${projectId}::uuid, 1, now())
    on conflict (project_id) do update set revision = b.revision + 1`;
  await client.$executeRaw`select pg_notify(${BUS_CHANNEL}::text, ${notice}::text)`;
  const bus = app.get(Bus, { strict: false });
  // Messages come in the order in which they were sent.
  await new Promise<void>((resolve) => {
    const end = bus.subscribe('masterKey', () => {
      end();
      resolve();
    });
    void bus.publish('masterKey', { keyId: 'none' });
  });
}

test('changes that may wait are looked at once for many, the first at once; one that takes away does not wait', async () => {
  await change(false);
  await vi.waitUntil(() => told > 0, { timeout: 30_000, interval: 10 });
  // From here on no time passes but what is said: what waits, waits for ever. Such a clock begins at nought.
  const now = performance.now();
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  vi.advanceTimersByTime(now + 10_000);
  const before = told;
  await change(true);
  await vi.waitUntil(() => told === before + 1, { timeout: 30_000, interval: 10 });
  for (let i = 0; i < 20; i++) await change(true);
  expect(told).toBe(before + 1);
  await change(false);
  await vi.waitUntil(() => told === before + 2, { timeout: 30_000, interval: 10 });
  for (let i = 0; i < 20; i++) await change(true);
  expect(told).toBe(before + 2);
  vi.advanceTimersByTime(1_000);
  await vi.waitUntil(() => told === before + 3, { timeout: 30_000, interval: 10 });
}, 120_000);
