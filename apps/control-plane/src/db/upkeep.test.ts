/** The hourly work, on a real PostgreSQL. */
import { randomUUID } from 'node:crypto';
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
  const nameAt = (at: Date): string =>
    `trail_events_${at.getUTCFullYear()}_${String(at.getUTCMonth() + 1).padStart(2, '0')}`;
  for (let days = 0; days <= 720; days += 10) {
    plane.clock.offsetMs = days * 86_400_000;
    expect(await plane.controlPlane.app.get(Upkeep, { strict: false }).run()).toBe(true);
    const now = plane.clock.now();
    // This month and the two to come.
    const ahead = [0, 1, 2].map((more) => nameAt(new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + more))));
    expect(await months()).toEqual(expect.arrayContaining(ahead));
  }
  plane.clock.offsetMs = 0;
});

test('leases that ended are listed for 30 days, and one that nobody has ended stays', async () => {
  const { client } = plane.controlPlane.app.get(Database, { strict: false });
  const now = plane.clock.now().getTime();
  const ended: Readonly<Record<string, number | undefined>> = { live: undefined, lately: 29, gone: 31 };
  for (const [account, days] of Object.entries(ended)) {
    const [id, projectId, agentId, credentialId, resourceId, principalId] = Array.from({ length: 6 }, () =>
      randomUUID(),
    );
    const at = new Date(now - 40 * 86_400_000);
    await client.credentialLease.create({
      data: {
        id: id!,
        projectId: projectId!,
        agentId: agentId!,
        kind: 'ephemeral',
        credentialId: credentialId!,
        resourceId: resourceId!,
        principalId: principalId!,
        account,
        openedAt: at,
        expiresAt: at,
        endedAt: days === undefined ? null : new Date(now - days * 86_400_000),
      },
    });
  }
  expect(await plane.controlPlane.app.get(Upkeep, { strict: false }).run()).toBe(true);
  const left = await client.credentialLease.findMany({ select: { account: true }, orderBy: { account: 'asc' } });
  expect(left.map(({ account }) => account)).toEqual(['lately', 'live']);
});

test('the chaining of acts does not keep the upkeep from its work', async () => {
  const { client } = plane.controlPlane.app.get(Database, { strict: false });
  const upkeep = plane.controlPlane.app.get(Upkeep, { strict: false });
  await client.$transaction(async (tx) => {
    await tx.$executeRaw`select pg_advisory_xact_lock(7070, 2)`;
    expect(await upkeep.run()).toBe(true);
  });
});
