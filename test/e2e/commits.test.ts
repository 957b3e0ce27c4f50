/** Hold before commit as people use it: psql, node-postgres and psycopg on a real stack, answered on the command line. */
import { execFile, execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { accessToken, restClient } from '../../scripts/stack/rest.ts';
import { apiToken, openSql } from '../../scripts/stack/sql-client.ts';
import { openCli, until } from './cli-process.ts';

const dev = inject('dev');
const { home, start, run, runJson, end } = openCli(dev);
const admin = restClient(dev.rest, dev.principals['admin']?.token ?? '');

const POLICY = `kind: Policy
name: e2e-commits
resources: { names: [payments-db] }
rules:
  - name: writes
    when: sql.statements.exists(s, s.kind == "update" && s.relations.exists(r, r.name == "payments"))
    verdict: hold
    approval: { groups: [dba], at: commit, expires: 1m, transaction: { open: 2m, statements: 10 } }
`;
beforeAll(async () => {
  await admin.call('POST', '/v1/apply', { documents: [{ file: 'c.yaml', text: POLICY }], dryRun: false, prune: false });
  await new Promise((resolve) => setTimeout(resolve, 700));
});
afterAll(async () => {
  await admin.call('DELETE', '/v1/policies/e2e-commits');
  end();
});

interface Work {
  readonly rows: number;
  readonly statements: readonly { readonly text: string }[];
}
interface Item {
  readonly id: string;
  readonly sessionId: string;
  readonly work: Work | null;
}
interface Recorded {
  readonly text: string;
  readonly verdict: string;
  readonly untilCommit: boolean;
  readonly work: Work | null;
}
/** The COMMIT that waits with a statement about this note. */
const commitOf = (note: string): Promise<Item> =>
  until(async () =>
    (await runJson<Item[]>(['--as', 'ana', 'approvals', 'ls'])).find((item) =>
      item.work?.statements.some(({ text }) => text.includes(note)),
    ),
  );
const UPDATE = (note: string): string => `update payments set note = '${note}' where id in (11, 12, 13) returning id`;
/** By another session, which sees what is committed. */
async function committed(note: string): Promise<number> {
  const carla = await openSql(dev, 'carla');
  const { rows } = await carla.client.query(`select count(*)::int n from payments where note = '${note}'`);
  await carla.close();
  return (rows[0] as { n: number }).n;
}
test('psql: the approver sees the rows and the sample, and the COMMIT goes on or is undone', async () => {
  for (const [how, note] of [
    ['approve', 'psql-yes'],
    ['deny', 'psql-no'],
  ] as const) {
    const script = path.join(home, `${note}.sql`);
    const undone = 'savepoint a;\nupdate payments set note = note where id = 14;\nrollback to a;';
    writeFileSync(script, `begin;\n${undone}\n${UPDATE(note)};\ncommit;\nselect 'goes on' as after;\n`);
    const psql = start(['--as', 'payments-bot', 'connect', 'payments-db', '--', '-X', '-f', script]);
    const item = await commitOf(note);
    expect(item.work?.rows).toBe(4);
    expect(await committed(note)).toBe(0);
    const shown = await run(['--as', 'ana', 'approvals', 'show', item.id]);
    expect(shown.out).toContain('It would commit 1 statement and 3 rows');
    expect(shown.out).toContain('Rows that triggers, rules and cascades change are in no count.');
    expect(shown.out).toMatch(/^ {6}11$/m);
    const answer = await run(['--as', 'ana', 'approvals', how, item.id, '--reason', 'seen']);
    expect(answer.code, answer.err).toBe(0);
    const { out, err } = await psql.ended;
    expect(err).toContain('waiting for somebody in dba');
    expect(out).toContain('goes on');
    if (how === 'approve') expect(out).toContain('COMMIT');
    else expect(err).toContain('The approver refused this statement. Reason: seen');
    expect(await committed(note)).toBe(how === 'approve' ? 3 : 0);
  }
});

test('psql: a write by itself is refused, and says what to send', async () => {
  const psql = start(['--as', 'payments-bot', 'connect', 'payments-db', '--', '-X', '-c', UPDATE('alone')]);
  expect((await psql.ended).err).toContain('Send BEGIN first, and COMMIT by itself');
  expect(await committed('alone')).toBe(0);
});

test('node-postgres: by the extended protocol, and the connection is good afterwards', async () => {
  const bot = await openSql(dev, 'payments-bot');
  await bot.client.query('begin');
  await bot.client.query('update payments set note = $1 where id = any($2)', ['node-no', [11, 12]]);
  const denied = bot.client.query({ name: 'end', text: 'commit', values: [] });
  denied.catch(() => undefined);
  const first = await until(async () =>
    (await runJson<Item[]>(['--as', 'ana', 'approvals', 'ls'])).find(({ work }) => work?.rows === 2),
  );
  await run(['--as', 'ana', 'approvals', 'deny', first.id, '--reason', 'not this one']);
  await expect(denied).rejects.toMatchObject({ code: '42501' });
  expect((await bot.client.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
  expect(await committed('node-no')).toBe(0);
  await bot.client.query('begin');
  await bot.client.query(UPDATE('node-yes'));
  const approved = bot.client.query('commit');
  const second = await commitOf('node-yes');
  await run(['--as', 'ana', 'approvals', 'approve', second.id]);
  expect((await approved).command).toBe('COMMIT');
  expect(await committed('node-yes')).toBe(3);
  await bot.close();
  // The record says it too: what ran until its COMMIT, and what the COMMIT was of.
  const recorded = await until(async () => {
    const { items } = await admin.call<{ items: Recorded[] }>('GET', `/v1/sessions/${second.sessionId}/statements`);
    return items.some(({ work, verdict }) => work?.rows === 3 && verdict === 'allow') ? items : undefined;
  });
  expect(recorded.filter(({ untilCommit, text }) => untilCommit && text.includes('node-yes'))).toHaveLength(1);
  const held = recorded.find(({ work, verdict }) => work?.rows === 3 && verdict === 'hold');
  expect(held?.work?.statements[0]).toMatchObject({ rows: 3, sample: { columns: ['id'] } });
});

const PSYCOPG = `
import sys, psycopg
host, port, dbname, ca = sys.argv[1:]
with psycopg.connect(host=host, port=port, user="payments-db", dbname=dbname, sslmode="verify-full", sslrootcert=ca) as c:
    c.execute("update payments set note = %s where id in (11, 12, 13)", ("psycopg-yes",), prepare=True)
    c.commit()
    c.execute("update payments set note = %s where id = 11", ("psycopg-no",))
    try:
        c.commit()
        print("committed")
    except psycopg.Error as error:
        print(error.sqlstate, c.info.transaction_status.name)
`;
function withoutPsycopg(): boolean {
  try {
    execFileSync('/usr/bin/python3', ['-c', 'import psycopg'], { stdio: 'ignore' });
    return false;
  } catch {
    return true;
  }
}

test.skipIf(withoutPsycopg())('psycopg: its own transactions are held, and a refusal leaves it idle', async () => {
  const token = await accessToken(dev.rest, await apiToken(dev, 'payments-bot'), 'payments-db');
  const args = ['-c', PSYCOPG, '127.0.0.1', String(dev.agent.postgres), dev.demo.database, dev.ca];
  const ended = new Promise<string>((resolve, reject) => {
    execFile('/usr/bin/python3', args, { env: { PATH: '/usr/bin:/bin', PGPASSWORD: token } }, (error, out, err) =>
      error === null ? resolve(out) : reject(new Error(err)),
    );
  });
  ended.catch(() => undefined);
  for (const [rows, how] of [
    [3, 'approve'],
    [1, 'deny'],
  ] as const) {
    const item = await until(async () =>
      (await runJson<Item[]>(['--as', 'ana', 'approvals', 'ls'])).find(({ work }) => work?.rows === rows),
    );
    await run(['--as', 'ana', 'approvals', how, item.id, '--reason', 'seen']);
  }
  expect((await ended).trim()).toBe('42501 IDLE');
  expect(await committed('psycopg-yes')).toBe(3);
});
