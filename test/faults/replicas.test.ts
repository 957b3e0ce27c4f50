import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '@sallyport/embedded-postgres';
import { afterAll, expect, test } from 'vitest';
import { ROOT } from '../../scripts/stack/build.ts';
import { type RunningProcess, startProcess } from '../../scripts/stack/processes.ts';
import { type Rest, restClient } from '../../scripts/stack/rest.ts';
import { apiToken, connectionFor, openSql } from '../../scripts/stack/sql-client.ts';
import { ANY_PORTS } from '../../scripts/stack/stack.ts';
import { eventually, truth, useStack } from './with-stack.ts';

let database: EmbeddedPostgres;
let env: Readonly<Record<string, string>> = {};
let second: RunningProcess | undefined;
let secondDir = '';

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number };
      probe.close(() => resolve(port));
    });
  });

const running = useStack({
  prepare: async (dir) => {
    chmodSync(dir, 0o711);
    database = await startEmbeddedPostgres({ dir: path.join(dir, 'control-database') });
    const [one, two] = [await freePort(), await freePort()];
    env = {
      DATABASE_URL: database.url(),
      SALLYPORT_KEK: randomBytes(32).toString('base64url'),
      SALLYPORT_RECORDINGS_DIR: path.join(dir, 'recordings'),
      SALLYPORT_PUBLIC_LINK: `127.0.0.1:${one},127.0.0.1:${two}`,
    };
    secondDir = path.join(dir, 'second');
    mkdirSync(secondDir, { mode: 0o711 });
    return { controlPlaneEnv: env, ports: { ...ANY_PORTS, link: one } };
  },
  cleanUp: () => database.stop(),
});
afterAll(async () => await second?.stop());

async function startSecond(): Promise<RunningProcess> {
  const link = env['SALLYPORT_PUBLIC_LINK']!.split(',')[1]!;
  second = await startProcess({
    name: 'second control plane',
    args: [path.join(ROOT, 'apps/control-plane/dist/main.js'), '--exit-with-parent'],
    env: {
      ...env,
      SALLYPORT_HTTP: '127.0.0.1:0',
      SALLYPORT_LINK: link,
      SALLYPORT_ENROLL: '127.0.0.1:0',
      SALLYPORT_DATA_DIR: secondDir,
    },
    logFile: path.join(secondDir, 'log'),
    readyFile: path.join(secondDir, 'ready.json'),
    readyWithinMs: 60_000,
  });
  return second;
}

test('when one of two control planes is killed, its agent goes to the other: holds are answered, sessions killed', async () => {
  const { stack, pending } = running();
  const { dev } = stack;
  const { ready } = await startSecond();
  const at = async (principal: string): Promise<Rest> =>
    restClient(String(ready['http']), await apiToken(dev, principal));
  const admin = await at('admin');
  const bot = await openSql(dev, 'payments-bot');
  const victim = await openSql(dev, 'payments-bot');
  const later = await connectionFor(dev, 'payments-bot');
  const held = bot.client.query("delete from payments where status = 'refunded' and id <= 1000");
  held.catch(() => undefined);
  const { id } = await pending('ana');
  const before = Number(await truth(stack, "select count(*) from payments where status = 'refunded' and id <= 1000"));

  await stack.controlPlane().stop('SIGKILL');
  const killedAt = Date.now();
  const linked = async (): Promise<true | undefined> => {
    const { items } = await admin.call<{ items: { connected: boolean }[] }>('GET', '/v1/agents');
    const answer = (await (await fetch(`${dev.agent.health}/ready`)).json()) as { linked: boolean };
    return answer.linked && items[0]?.connected === true ? true : undefined;
  };
  await eventually(linked, 15_000);
  expect(Date.now() - killedAt).toBeLessThan(5_000);

  await (await at('ana')).call('POST', `/v1/approvals/${id}/approve`, { reason: 'asked at the other one' });
  expect((await held).rowCount).toBe(before);

  const live = await eventually(async () => {
    const { items } = await admin.call<{ items: { id: string; heldFor: string | null; statements: number }[] }>(
      'GET',
      '/v1/sessions?live=true&principal=payments-bot',
    );
    return items.find((session) => session.statements === 0);
  }, 10_000);
  await admin.call('POST', `/v1/sessions/${live.id}/kill`, { reason: 'test' });
  await eventually(() => victim.ended(), 1_000);

  // A grant that is revoked at the other one cuts the last session, and no new one opens from a token that still holds.
  await admin.call('POST', '/v1/grants/bots-write-payments/revoke');
  await eventually(() => bot.ended(), 2_000);
  const { default: pg } = await import('pg');
  await expect(new pg.Client(later).connect()).rejects.toThrow();
});

test('what was recorded under both control planes verifies as one trail', async () => {
  const { stack } = running();
  const token = await apiToken(stack.dev, 'admin');
  const rest = restClient(String(second!.ready['http']), token);
  await eventually(async () => {
    const { items } = await rest.call<{ items: { missing: number; alarm: string | null }[] }>(
      'GET',
      '/v1/trail/chains',
    );
    expect(items.map((chain) => chain.alarm)).toEqual(items.map(() => null));
    return items.every((chain) => chain.missing === 0) ? true : undefined;
  }, 15_000);
  const { X509Certificate } = await import('node:crypto');
  const { readFileSync } = await import('node:fs');
  const { parseTreeHeads, verifyExport } = await import('@sallyport/trail');
  const response = await fetch(`${String(second!.ready['http'])}/v1/trail/export?recordings=true`, {
    headers: { authorization: `Bearer ${token}` },
  });
  const archive = Buffer.from(await response.arrayBuffer());
  const knownHeads = parseTreeHeads(readFileSync(path.join(secondDir, 'heads.jsonl'), 'utf8'));
  const report = await verifyExport(
    (async function* () {
      yield archive;
    })(),
    { root: new X509Certificate(readFileSync(stack.dev.ca, 'utf8')), knownHeads, since: 0 },
  );
  expect(report.findings).toEqual([]);
  expect(report.ok).toBe(true);
});
