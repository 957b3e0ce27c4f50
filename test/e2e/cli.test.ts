/** The command line as people and scripts run it: the bundled program as a process of its own, on a real stack. */
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import pg from 'pg';
import { afterAll, expect, inject, test } from 'vitest';
import { openCli, until } from './cli-process.ts';
import { confirmDevice, demoPasswords } from './device.ts';

const dev = inject('dev');
const { home, start, run, runJson, end } = openCli(dev);
const PSQL = '/usr/bin/psql';
afterAll(end);

/** A delete that waits for the dba group; it matches no row, so that other tests see the same data. */
const held = (mark: number): readonly string[] => [
  '--as',
  'payments-bot',
  'sql',
  'payments-db',
  '-c',
  `delete from payments where id = -${mark}`,
];
const requestOf = (mark: number): Promise<string> =>
  until(
    async () =>
      (await runJson<{ id: string; statement: string }[]>(['--as', 'ana', 'approvals', 'ls'])).find((item) =>
        item.statement.endsWith(`-${mark}`),
      )?.id,
  );

test('a read comes back masked, a DROP is denied with its reason and exit code', async () => {
  const read = await run([
    '--as',
    'carla',
    'sql',
    'payments-db',
    '-c',
    'select name, card_number from customers where id = 11',
  ]);
  expect(read.code, read.err).toBe(0);
  expect(read.out).toMatch(/│ \*+\d{4}\n\(1 row\)/);
  const drop = await run(['--as', 'payments-bot', '--json', 'sql', 'payments-db', '-c', 'drop table payments']);
  expect(drop.code).toBe(4);
  expect(JSON.parse(drop.err)).toMatchObject({
    error: { code: 'policy.denied', sqlstate: '42501', detail: { rule: 'destructive-ddl/no-drop' } },
  });
});

test('a held statement says so at once, another person approves it, and it runs', async () => {
  const waiting = start(held(101));
  const id = await requestOf(101);
  expect(waiting.err()).toContain(id);
  expect((await run(['--as', 'carla', 'approvals', 'approve', id])).code).toBe(5);
  const approved = await run(['--as', 'ana', 'approvals', 'approve', id, '--reason', 'looked at it']);
  expect(approved.code, approved.err).toBe(0);
  expect(approved.err).toContain('delete from payments where id = -101');
  expect(await waiting.ended).toMatchObject({ code: 0, out: 'DELETE 0\n' });
  expect((await run(['--as', 'ben', 'approvals', 'approve', id])).code).toBe(6);
});

test('a refusal reaches the one who waits', async () => {
  const waiting = start(held(102));
  const id = await requestOf(102);
  expect((await run(['--as', 'ben', 'approvals', 'deny', id, '--reason', 'not today'])).code).toBe(0);
  const ended = await waiting.ended;
  expect(ended.code).toBe(4);
  expect(ended.err).toContain('approval.denied');
});

test('Ctrl-C stops waiting, and the request is withdrawn', async () => {
  const waiting = start(held(103));
  const id = await requestOf(103);
  waiting.child.kill('SIGINT');
  expect((await waiting.ended).code).toBe(130);
  await until(async () =>
    (await runJson<{ state: string }>(['--as', 'ana', 'approvals', 'show', id])).state === 'withdrawn'
      ? true
      : undefined,
  );
});

test('an AI agent acting for a person has the rights of both and no more', async () => {
  const read = await run(['--as', 'payments-bot', 'sql', 'payments-db', '--for', 'carla', '-c', 'select 1']);
  expect(read.code, read.err).toBe(0);
  const write = await run([
    '--as',
    'payments-bot',
    '--json',
    'sql',
    'payments-db',
    '--for',
    'carla',
    '-c',
    "update payments set note = '' where id = -1",
  ]);
  expect(JSON.parse(write.err)).toMatchObject({ error: { code: 'grant.exceeded' } });
  expect(write.code).toBe(4);
});

test('a script stops at its first error', async () => {
  const ran = await run(
    ['--as', 'carla', 'sql', 'payments-db', '-f', '-'],
    "select 'one;' as a;\nselect nothing from nowhere;\nselect 'two' as b;",
  );
  expect(ran.out).toContain('one;');
  expect(ran.out).not.toContain('two');
  expect(ran.code).not.toBe(0);
});

test.skipIf(!existsSync(PSQL))(
  'connect runs psql through a private socket, reconnects, and leaves nothing behind',
  async () => {
    const ran = await run(
      ['--as', 'carla', 'connect', 'payments-db', '--', '-At'],
      'select 1;\n\\c payments\nselect 2;\n\\! stat -c %a $PGHOST\n\\! echo password=$PGPASSWORD.\n',
    );
    expect(ran.code, ran.err).toBe(0);
    expect(ran.out.split('\n').filter((line) => !line.startsWith('You are'))).toEqual([
      '1',
      '2',
      '700',
      'password=.',
      '',
    ]);
    expect(readdirSync(home).filter((name) => name.startsWith('sallyport-'))).toEqual([]);
    expect((await run(['--as', 'carla', 'connect', 'payments-db', '--', 'false'])).code).toBe(1);
    expect((await run(['--as', 'carla', 'connect', 'payments-db', '--', 'no-such-program'])).code).toBe(2);
  },
);

test('proxy serves drivers that know its password and refuses others', async () => {
  const proxy = start(['--as', 'carla', '--json', 'proxy', 'payments-db']);
  const at = await until(() => {
    try {
      return JSON.parse(proxy.out()) as {
        port: number;
        user: string;
        database: string;
        password: string;
        passFile: string;
      };
    } catch {
      return undefined;
    }
  });
  expect(statSync(at.passFile).mode & 0o777).toBe(0o600);
  expect(readFileSync(at.passFile, 'utf8')).toBe(`127.0.0.1:${at.port}:*:${at.user}:${at.password}\n`);
  const config = { host: '127.0.0.1', port: at.port, user: at.user, database: at.database };
  await expect(new pg.Client({ ...config, password: 'wrong' }).connect()).rejects.toMatchObject({ code: '28P01' });
  const pool = new pg.Pool({ ...config, password: at.password, max: 5 });
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, i) => pool.query<{ id: string }>('select id from customers where id = $1', [i + 1])),
  );
  expect(answers.map((answer) => answer.rows[0]?.id)).toEqual(Array.from({ length: 20 }, (_, i) => String(i + 1)));
  const rows = await pool.query('select id, name from customers order by id');
  expect(rows.rowCount).toBe(60_000);
  await pool.end();
  proxy.child.kill('SIGTERM');
  expect((await proxy.ended).code).toBe(0);
  expect(existsSync(at.passFile)).toBe(false);
  await expect(new pg.Client({ ...config, password: at.password }).connect()).rejects.toThrow();
});

test('a cancel sent to the local port reaches the statement that waits', async () => {
  const proxy = start(['--as', 'payments-bot', '--json', 'proxy', 'payments-db']);
  const at = await until(() => {
    try {
      return JSON.parse(proxy.out()) as { port: number; user: string; database: string; password: string };
    } catch {
      return undefined;
    }
  });
  const client = new pg.Client({
    host: '127.0.0.1',
    port: at.port,
    user: at.user,
    database: at.database,
    password: at.password,
  });
  await client.connect();
  const refused = client.query('delete from payments where id = -104').catch((error: unknown) => error);
  await requestOf(104);
  const { processID, secretKey } = client as unknown as { readonly processID: number; readonly secretKey: number };
  const packet = Buffer.alloc(16);
  for (const [i, word] of [16, 80_877_102, processID, secretKey].entries()) packet.writeInt32BE(word, i * 4);
  const canceller = net.connect(at.port, '127.0.0.1');
  canceller.end(packet);
  expect(await refused).toMatchObject({ code: '57014' });
  expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
  await client.end();
  proxy.child.kill('SIGTERM');
  await proxy.ended;
});

test('a session is listed, shown, replayed masked, and its statements carry verdicts', async () => {
  const mark = `mark-${Date.now()}`;
  await run([
    '--as',
    'carla',
    'sql',
    'payments-db',
    '-c',
    `select '${mark}' as m, card_number from customers where id = 11`,
  ]);
  const id = await until(async () => {
    const sessions = await runJson<{ id: string; live: boolean; statements: number }[]>([
      '--as',
      'admin',
      'sessions',
      'ls',
      '--principal',
      'carla',
      '--limit',
      '1',
    ]);
    return sessions[0]?.live === false && sessions[0].statements > 0 ? sessions[0].id : undefined;
  });
  expect((await run(['--as', 'admin', 'sessions', 'show', id])).out).toContain('carla');
  const statements = await until(async () => {
    const items = await runJson<{ verdict: string; text: string }[]>(['--as', 'admin', 'sessions', 'statements', id]);
    return items.length > 0 ? items : undefined;
  });
  expect(statements[0]).toMatchObject({ verdict: 'allow' });
  const replayed = await until(async () => {
    const ran = await run(['--as', 'admin', 'sessions', 'replay', id, '--speed', '0']);
    return ran.code === 0 && ran.out.includes('SELECT 1') ? ran : undefined;
  });
  expect(replayed.out).toContain(mark);
  expect(replayed.out).toMatch(/\*+\d{4}/);
  expect((await run(['--as', 'ben', 'sessions', 'kill', id, '--reason', 'x'])).code).toBe(4);
});

test('a live session can be watched and is ended on both sides', async () => {
  const proxy = start(['--as', 'carla', '--json', 'proxy', 'payments-db']);
  const at = await until(() => {
    try {
      return JSON.parse(proxy.out()) as { port: number; user: string; database: string; password: string };
    } catch {
      return undefined;
    }
  });
  const client = new pg.Client({
    host: '127.0.0.1',
    port: at.port,
    user: at.user,
    database: at.database,
    password: at.password,
    application_name: 'to-be-killed',
  });
  await client.connect();
  const lost = new Promise<Error>((resolve) => client.on('error', resolve));
  const id = await until(
    async () =>
      (await runJson<{ id: string; application: string }[]>(['--as', 'admin', 'sessions', 'ls', '--live'])).find(
        (session) => session.application === 'to-be-killed',
      )?.id,
  );
  const watching = start(['--as', 'admin', 'sessions', 'watch', id]);
  await until(() => (watching.out().includes('watching') ? true : undefined));
  await client.query("select 'seen live' as what");
  await until(() => (watching.out().includes('seen live') ? true : undefined));
  const before = Date.now();
  expect((await run(['--as', 'admin', 'sessions', 'kill', id, '--reason', 'test'])).code).toBe(0);
  await lost;
  expect(Date.now() - before).toBeLessThan(3000);
  expect((await watching.ended).code).toBe(0);
  proxy.child.kill('SIGTERM');
  await proxy.ended;
});

test('the record verifies offline, and a changed or shortened copy does not', async () => {
  const file = path.join(home, 'trail.export');
  const root = ['--root', dev.ca];
  const heads = path.join(home, 'heads.jsonl');
  expect((await run(['--as', 'admin', 'trail', 'export', '-o', file, '--recordings'])).code).toBe(0);
  writeFileSync(heads, (await run(['--as', 'admin', 'trail', 'heads'])).out);
  const good = await run(['trail', 'verify', file, ...root, '--since', heads]);
  expect(good.code, good.out).toBe(0);
  expect((await run(['trail', 'verify', file])).code).toBe(2);
  for (const none of ['', '{"size":1}\n', 'nonsense\n']) {
    writeFileSync(heads, none);
    expect((await run(['trail', 'verify', file, ...root, '--since', heads])).code, 'heads that are none').toBe(2);
  }
  const bytes = readFileSync(file);
  const mark = bytes.indexOf('SLYTRAIL');
  for (const [name, copy] of [
    [
      'changed',
      Buffer.concat([bytes.subarray(0, mark + 400), Buffer.from([bytes[mark + 400]! ^ 1]), bytes.subarray(mark + 401)]),
    ],
    ['shortened', bytes.subarray(0, Math.floor(bytes.length / 2))],
  ] as const) {
    writeFileSync(file, copy);
    const ran = await run(['--json', 'trail', 'verify', file, ...root]);
    expect(ran.code, name).toBe(9);
    expect((JSON.parse(ran.out) as { findings: unknown[] }).findings.length).toBeGreaterThan(0);
  }
});

test('a person signs in by the device flow and is that person until logout', async () => {
  const login = start(['login', '--url', dev.rest]);
  const address = await until(() => /https?:\/\/\S+/.exec(login.err())?.[0]);
  await confirmDevice(address, 'ana', demoPasswords(dev)['ana']!);
  const ended = await login.ended;
  expect(ended.code, ended.err).toBe(0);
  expect(ended.out).toContain('ana');
  expect(await runJson(['whoami'])).toMatchObject({ principal: { name: 'ana', kind: 'person' } });
  const verified = path.join(home, 'again.export');
  expect((await run(['--as', 'admin', 'trail', 'export', '-o', verified])).code).toBe(0);
  // The root kept at sign-in is what an export is checked against when none is named.
  expect((await run(['trail', 'verify', verified])).code).toBe(0);
  expect((await run(['logout'])).code).toBe(0);
  expect((await run(['whoami', '--url', dev.rest])).code).toBe(3);
});
