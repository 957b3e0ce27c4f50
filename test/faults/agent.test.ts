import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { ROOT } from '../../scripts/stack/build.ts';
import { startProcess } from '../../scripts/stack/processes.ts';
import { openSql } from '../../scripts/stack/sql-client.ts';
import { eventually, truth, useStack } from './with-stack.ts';

// A disk that can be filled: a small tmpfs of our own, which needs root. Elsewhere that one test is skipped by name.
const canMount = process.getuid?.() === 0;
const SPOOL_MIB = 24;
let spool = '';
const running = useStack({
  prepare: (dir) => {
    spool = path.join(dir, 'agent/spool');
    if (canMount) {
      mkdirSync(spool, { recursive: true, mode: 0o700 });
      execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${SPOOL_MIB}m,mode=0700`, 'tmpfs', spool]);
    }
    return {};
  },
  cleanUp: () => {
    if (canMount) execFileSync('umount', [spool]);
  },
});

test('after kill -9 under load every statement that ran is on the record', async () => {
  const { stack } = running();
  await truth(stack, 'create table killed (n int); grant all on killed to payments_app; select 1');
  const bot = await openSql(stack.dev, 'payments-bot');
  const load = (async () => {
    for (let n = 0; ; n++) await bot.client.query('insert into killed values ($1)', [n]);
  })();
  load.catch(() => undefined);
  await sleep(1_000);
  await eventually(async () => Number(await truth(stack, 'select count(*) from killed')) > 50 || undefined, 60_000);
  process.kill(stack.agent().pid, 'SIGKILL');
  await expect(load).rejects.toThrow();
  await stack.restartAgent();
  const ran = Number(await truth(stack, 'select count(*) from killed'));
  expect(ran).toBeGreaterThan(50);
  const recorded = await eventually(async () => {
    const { items } = await stack.admin.call<{ items: { id: string }[] }>(
      'GET',
      '/v1/sessions?principal=payments-bot&sort=-openedAt',
    );
    let count = 0;
    let cursor: string | null = '';
    while (cursor !== null) {
      const page: { items: { text?: string; verdict?: string }[]; nextCursor: string | null } = await stack.admin.call(
        'GET',
        `/v1/sessions/${items[0]?.id}/statements?limit=200${cursor === '' ? '' : `&cursor=${cursor}`}`,
      );
      count += page.items.filter(
        (statement) => statement.text?.startsWith('insert into killed') && statement.verdict === 'allow',
      ).length;
      cursor = page.nextCursor;
    }
    return count >= ran ? count : undefined;
  }, 30_000);
  // One more may be recorded than ran: the intent that was on its way when the process died.
  expect(recorded).toBeLessThanOrEqual(ran + 1);
});

test('after a restart the agent serves again from what it kept', async () => {
  const { stack } = running();
  const session = await eventually(() => openSql(stack.dev, 'carla').catch(() => undefined), 10_000);
  expect((await session.client.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
  await session.close();
});

test.skipIf(!canMount)(
  'a full disk refuses statements, forwards nothing, and works again when there is room',
  async () => {
    const { stack } = running();
    await truth(stack, 'create table full_disk (n int); grant all on full_disk to payments_app; select 1');
    const bot = await openSql(stack.dev, 'payments-bot');
    await bot.client.query('insert into full_disk values (1)');
    const filler = path.join(spool, 'filler');
    for (let mib = 0; mib < SPOOL_MIB + 1; mib++) {
      try {
        writeFileSync(filler, Buffer.alloc(1 << 20, 1), { flag: 'a' });
      } catch {
        break;
      }
    }
    try {
      const error = await eventually(
        () =>
          bot.client.query('insert into full_disk values (2)').then(
            () => undefined,
            (e: { code?: string; message: string }) => e,
          ),
        10_000,
      );
      expect(error.message).toMatch(/could not be recorded/);
      const between = Number(await truth(stack, 'select count(*) from full_disk'));
      const other = await openSql(stack.dev, 'payments-bot').catch((e: Error) => e);
      if (!(other instanceof Error)) {
        await other.client.query('insert into full_disk values (3)').catch(() => undefined);
        await other.close();
      }
      expect(Number(await truth(stack, 'select count(*) from full_disk'))).toBe(between);
    } finally {
      rmSync(filler, { force: true });
    }
    await bot.close();
    await eventually(async () => {
      const again = await openSql(stack.dev, 'payments-bot');
      try {
        return (await again.client.query('insert into full_disk values (4)')).rowCount ?? undefined;
      } finally {
        await again.close();
      }
    }, 15_000);
  },
);

test('a resource that is gone is an error of its own, and its return needs nothing', async () => {
  const { stack } = running();
  const text = `kind: Resource
name: nowhere
type: postgres
labels: { env: prod }
credential: payments-app
postgres: { host: 127.0.0.1, port: 1, databases: [payments], tls: disable, auth: [scram-sha-256] }
`;
  await stack.admin.call('POST', '/v1/apply', {
    documents: [{ file: 'nowhere.yaml', text }],
    dryRun: false,
    prune: false,
  });
  const error = await eventually(
    () =>
      openSql(stack.dev, 'carla', 'nowhere').then(
        () => undefined,
        (e: { code?: string; message: string }) => (e.message.includes('could not be reached') ? e : undefined),
      ),
    10_000,
  );
  expect(error.message).not.toMatch(/127\.0\.0\.1|ECONNREFUSED/);
  const fine = await openSql(stack.dev, 'carla');
  expect((await fine.client.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
  await fine.close();
});

test('an agent whose program files went while it ran turns their clients away, says so, and serves after a restart', async () => {
  const { stack, dir } = running();
  const program = path.join(dir, 'program');
  cpSync(path.join(ROOT, 'apps/agent/dist'), program, { recursive: true });
  const entry = readFileSync(path.join(program, 'agent.mjs'), 'utf8');
  const [build] = readdirSync(program).filter((name) => name.startsWith('build-') && entry.includes(name));
  const dataDir = path.join(dir, 'second');
  mkdirSync(dataDir, { mode: 0o700 });
  const { joinToken } = await stack.admin.call<{ joinToken: string }>('POST', '/v1/agents/join-tokens', {
    name: 'second',
    names: ['127.0.0.1'],
  });
  const logFile = path.join(dir, 'second.log');
  const start = () =>
    startProcess({
      name: 'second',
      args: [
        '--max-semi-space-size=4',
        '--initial-old-space-size=64',
        path.join(program, 'agent.mjs'),
        '--exit-with-parent',
      ],
      env: {
        SALLYPORT_DATA_DIR: dataDir,
        SALLYPORT_LISTEN_POSTGRES: '127.0.0.1:0',
        SALLYPORT_ADVERTISE: '127.0.0.1',
        SALLYPORT_HEALTH: '127.0.0.1:0',
        SALLYPORT_JOIN_TOKEN: joinToken,
      },
      logFile,
      readyFile: path.join(dataDir, 'ready.json'),
      readyWithinMs: 60_000,
    });
  const open = (agent: Awaited<ReturnType<typeof start>>) => {
    const postgres = Number(String(agent.ready['postgres']).split(':').at(-1));
    return openSql({ ...stack.dev, agent: { ...stack.dev.agent, postgres } }, 'carla');
  };
  const ready = async (agent: Awaited<ReturnType<typeof start>>): Promise<unknown> =>
    (await fetch(`http://${String(agent.ready['health'])}/ready`)).json();

  let agent = await start();
  try {
    expect(await ready(agent)).toMatchObject({ restartNeeded: false });
    renameSync(path.join(program, build!), path.join(program, 'gone'));
    await expect(open(agent)).rejects.toThrow();
    expect(await ready(agent)).toMatchObject({ restartNeeded: true });
    expect(readFileSync(logFile, 'utf8')).toContain('agent.program_missing');
    // What lies there again may be of another version.
    renameSync(path.join(program, 'gone'), path.join(program, build!));
    await expect(open(agent)).rejects.toThrow();
    await agent.stop();
    agent = await start();
    const session = await eventually(() => open(agent).catch(() => undefined), 60_000);
    expect((await session.client.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
    await session.close();
  } finally {
    await agent.stop();
    await stack.admin.call('POST', '/v1/agents/second/revoke', {});
  }
});
