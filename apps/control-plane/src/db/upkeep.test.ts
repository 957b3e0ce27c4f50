/** The hourly work, on a real PostgreSQL. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestControlPlane, type TestControlPlane } from '../testing/control-plane.ts';
import { Database } from './database.ts';
import { Upkeep } from './upkeep.ts';

let plane: TestControlPlane;
beforeAll(async () => {
  plane = await startTestControlPlane();
}, 60_000);
afterAll(async () => await plane.stop());

test('a process that runs for months makes the partitions of the months to come', async () => {
  const { client } = plane.controlPlane.app.get(Database, { strict: false });
  const months = async (): Promise<readonly string[]> =>
    (
      await client.$queryRaw<{ name: string }[]>`
        select tablename as name from pg_tables where schemaname = 'partitions' and tablename ~ '[0-9]{4}_[0-9]{2}$' order by 1`
    ).map((row) => row.name);
  const made = await months();
  expect(made.length).toBeGreaterThan(1);
  // As if the last start had been a month ago.
  await client.$executeRawUnsafe(`drop table partitions.${made.at(-1)}`);
  expect(await plane.controlPlane.app.get(Upkeep, { strict: false }).run()).toBe(true);
  expect(await months()).toEqual(made);
});

test('the chaining of acts does not keep the upkeep from its work', async () => {
  const { client } = plane.controlPlane.app.get(Database, { strict: false });
  const upkeep = plane.controlPlane.app.get(Upkeep, { strict: false });
  await client.$transaction(async (tx) => {
    await tx.$executeRaw`select pg_advisory_xact_lock(7070, 2)`;
    expect(await upkeep.run()).toBe(true);
  });
});
