/** Reasons, shapes, comments and seats as people use them: the real psql and the real command line, on a real stack. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { restClient } from '../../scripts/stack/rest.ts';
import { openCli, until } from './cli-process.ts';

const dev = inject('dev');
const { home, start, run, runJson, end } = openCli(dev);
const admin = restClient(dev.rest, dev.principals['admin']?.token ?? '');

const POLICY = `kind: Policy
name: e2e-approvals
resources: { names: [payments-db] }
rules:
  - name: reasoned
    when: sql.statements.exists(s, s.kind == "update" && s.relations.exists(r, r.name == "payments"))
    verdict: hold
    approval: { groups: [dba], count: 1, expires: 5m, require_reason: true, shape: { for: 10m, rows: 5 } }
`;
beforeAll(async () => {
  await admin.call('POST', '/v1/apply', { documents: [{ file: 'a.yaml', text: POLICY }], dryRun: false, prune: false });
  await new Promise((resolve) => setTimeout(resolve, 700));
});
afterAll(async () => {
  await admin.call('DELETE', '/v1/policies/e2e-approvals');
  end();
});

interface Item {
  readonly id: string;
  readonly statement: string;
  readonly askedReason: string | null;
}
const requestOf = (mark: number): Promise<Item> =>
  until(async () =>
    (await runJson<Item[]>(['--as', 'ana', 'approvals', 'ls'])).find((item) => item.statement.includes(`-${mark}`)),
  );
const update = (mark: number): string => `update payments set status = status where id = -${mark}`;

test('psql gives its reason by SET; a shape approved on the command line lets the next pass', async () => {
  const script = path.join(home, 'script.sql');
  writeFileSync(
    script,
    `${update(201)};\nset sallyport.reason = 'ticket 201';\nbegin;\n${update(202)};\n${update(203)};\ncommit;\n`,
  );
  const psql = start(['--as', 'payments-bot', 'connect', 'payments-db', '--', '-X', '-f', script]);
  const item = await requestOf(202);
  expect(item.askedReason).toBe('ticket 201');
  expect((await run(['--as', 'ana', 'approvals', 'comment', item.id, 'which one?'])).code).toBe(0);
  const shown = await run(['--as', 'ana', 'approvals', 'show', item.id]);
  expect(shown.out).toContain('which one?');
  expect(shown.out).toContain('update payments set status = status where id = -?');
  const approved = await run([
    '--as',
    'ana',
    'approvals',
    'approve',
    item.id,
    '--shape',
    '--minutes',
    '5',
    '--rows',
    '2',
  ]);
  expect(approved.code, approved.err).toBe(0);
  expect(approved.out).toContain('at most 2 rows each');
  const ended = await psql.ended;
  expect(ended.err).toContain('SET sallyport.reason');
  expect(ended.out.match(/UPDATE 0/g)).toHaveLength(2);
  expect((await run(['--as', 'ben', 'approvals', 'revoke', item.id, '--reason', 'done'])).code).toBe(0);
});

test('--reason of connect and sql reaches the approver; a seat is handed over', async () => {
  const roads = [
    ['connect', 'payments-db', '--reason', 'ticket 301', '--', '-X', '-c', update(301)],
    ['sql', 'payments-db', '--reason', 'ticket 302', '-c', update(302)],
  ];
  for (const [i, args] of roads.entries()) {
    const waiting = start(['--as', 'payments-bot', ...args]);
    const item = await requestOf(301 + i);
    expect(item.askedReason).toBe(`ticket ${301 + i}`);
    expect((await run(['--as', 'ana', 'approvals', 'delegate', item.id, 'ben'])).code).toBe(0);
    expect((await run(['--as', 'ben', 'approvals', 'approve', item.id])).code).toBe(0);
    expect((await waiting.ended).out).toContain('UPDATE 0');
  }
});

test('--reason of token is in the token; one that is too long is refused', async () => {
  const { token } = await runJson<{ token: string }>([
    '--as',
    'carla',
    'token',
    'payments-db',
    '--reason',
    'ticket 401',
  ]);
  const claims = JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString()) as { rsn?: string };
  expect(claims.rsn).toBe('ticket 401');
  expect((await run(['--as', 'carla', 'token', 'payments-db', '--reason', 'x'.repeat(201)])).code).toBe(2);
});
