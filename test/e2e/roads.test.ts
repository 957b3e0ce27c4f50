/**
 * Ways in and ways to ask that the client matrix does not take: tickets, roles and server names in the sign-in, prepared
 * statements of SQL itself, strict durability. Against the shared stack; each test puts back what it changes.
 */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import tls from 'node:tls';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { accessToken, type Rest, restClient } from '../../scripts/stack/rest.ts';
import { apiToken, connectionFor } from '../../scripts/stack/sql-client.ts';
import { matrixClients } from './clients.ts';

const dev = inject('dev');
const admin = restClient(dev.rest, dev.principals['admin']?.token ?? '');
const as = async (who: string): Promise<Rest> => restClient(dev.rest, await apiToken(dev, who));
/** Long enough for a change in REST to be in force at the agent. */
const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 700));
const patch = async (resource: string, body: unknown): Promise<void> => {
  await admin.call('PATCH', `/v1/resources/${resource}`, body);
  await settle();
};

interface Failed {
  readonly code: string;
  readonly message: string;
  readonly detail: string;
}
const failing = (work: Promise<unknown>): Promise<Failed> =>
  work.then(
    () => ({ code: 'none', message: '', detail: '{}' }),
    (error: Failed) => error,
  );

async function connected(options: pg.ClientConfig): Promise<pg.Client> {
  const client = new pg.Client(options);
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

describe('approval: ticket', () => {
  beforeAll(() => patch('payments-db', { approval: 'ticket' }));
  afterAll(() => patch('payments-db', { approval: 'wait' }));

  test('denied with the request’s id; approved, the same statement passes once; again it is denied', async () => {
    const sql = 'delete from payments where id = $1';
    const client = await connected(await connectionFor(dev, 'payments-bot'));
    const notices: string[] = [];
    client.on('notice', (notice) => notices.push(notice.message ?? ''));
    try {
      const denied = await failing(client.query(sql, [900_000_501]));
      expect(denied.code).toBe('42501');
      const detail = JSON.parse(denied.detail) as Record<string, string>;
      expect(detail).toMatchObject({ reason: 'approval.required', rule: 'payments-prod/bulk-delete' });
      const id = detail['requestId'] ?? '';
      expect(id).toMatch(/^apr-/);
      expect(denied.message).toContain(id);
      // Nobody waits, so nobody is told to.
      expect(notices).toEqual([]);
      // Asked again before anybody answered: the same request.
      const again = await failing(client.query(sql, [900_000_501]));
      expect(JSON.parse(again.detail)['requestId']).toBe(id);

      const ana = await as('ana');
      await expect.poll(() => ana.call('GET', `/v1/approvals/${id}`)).toMatchObject({ id, state: 'pending' });
      await ana.call('POST', `/v1/approvals/${id}/approve`, {});
      await settle();
      // Other parameters, and somebody else, have no ticket.
      expect((await failing(client.query(sql, [900_000_502]))).code).toBe('42501');
      const other = await connected(await connectionFor(dev, 'ana'));
      expect((await failing(other.query(sql, [900_000_501]))).code).toBe('42501');
      await other.end();

      // From another connection of the same principal: a ticket is not a session's.
      const later = await connected(await connectionFor(dev, 'payments-bot'));
      expect((await later.query(sql, [900_000_501])).command).toBe('DELETE');
      const used = await failing(later.query(sql, [900_000_501]));
      expect(used.code).toBe('42501');
      expect(JSON.parse(used.detail)['requestId']).not.toBe(id);
      await later.end();
      await expect.poll(() => ana.call('GET', `/v1/approvals/${id}`)).toMatchObject({ state: 'consumed' });
    } finally {
      await client.end();
    }
  });

  const psql = matrixClients(dev).find((client) => client.name === 'psql');
  test.skipIf(psql?.missing() !== undefined)('psql is told the id, and passes once approved', async () => {
    const sql = 'delete from payments where id = 900000601';
    const [denied] = await psql!.run('payments-bot', [sql]);
    expect(denied?.sqlstate).toBe('42501');
    const id = /apr-\w+/.exec(denied?.message ?? '')?.[0] ?? '';
    const ana = await as('ana');
    await expect.poll(() => ana.call('GET', `/v1/approvals/${id}`)).toMatchObject({ state: 'pending' });
    await ana.call('POST', `/v1/approvals/${id}/approve`, {});
    await settle();
    expect((await psql!.run('payments-bot', [sql]))[0]?.sqlstate).toBeUndefined();
    expect((await psql!.run('payments-bot', [sql]))[0]?.sqlstate).toBe('42501');
  });
});

describe('who and where', () => {
  beforeAll(async () => {
    await past('create role auditor_role; grant usage on schema public to auditor_role; grant auditor_role to ' + user);
    await past('grant select on payments to auditor_role');
    await admin.call('POST', '/v1/grants', {
      name: 'carla-as-auditor',
      principal: 'carla',
      resource: 'payments-db',
      effects: ['read'],
      roles: ['auditor_role'],
    });
    await settle();
  });
  afterAll(() => admin.call('DELETE', '/v1/grants/carla-as-auditor'));
  const user = 'payments_app';

  async function past(sql: string): Promise<void> {
    const client = await connected({
      host: dev.demo.host,
      port: dev.demo.port,
      database: dev.demo.database,
      user: dev.demo.superuser,
      password: dev.demo.superuserPassword,
      ssl: { rejectUnauthorized: false },
    });
    try {
      await client.query(sql);
    } finally {
      await client.end();
    }
  }

  test('<role>+<resource> runs as that role where it is granted, and nowhere else', async () => {
    const options = await connectionFor(dev, 'carla');
    const client = await connected({ ...options, user: 'auditor_role+payments-db' });
    expect((await client.query('select current_user as me')).rows).toEqual([{ me: 'auditor_role' }]);
    expect((await failing(client.query('select name from customers limit 1'))).code).toBe('42501');
    expect((await failing(client.query('reset role; select 1; set role none'))).code).toBe('42501');
    await client.end();
    expect((await failing(connected({ ...options, user: 'pg_monitor+payments-db' }))).code).toBe('28P01');
    const bot = await connectionFor(dev, 'payments-bot');
    expect((await failing(connected({ ...bot, user: 'auditor_role+payments-db' }))).code).toBe('28P01');
  });

  test('<resource>.<domain> as TLS server name names the resource, and the user is free', async () => {
    const options = await connectionFor(dev, 'carla');
    const ca = readFileSync(dev.ca, 'utf8');
    const named = (servername: string): pg.ClientConfig => ({
      ...options,
      user: 'whoever',
      // The certificate of this stack has no such name: it is checked for the one it has.
      ssl: { ca, servername, checkServerIdentity: (_host, cert) => tls.checkServerIdentity('localhost', cert) },
    });
    const client = await connected(named('payments-db.gw.test'));
    expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
    await client.end();
    for (const servername of ['payments-db.elsewhere.test', 'nothing.gw.test', 'localhost'])
      expect((await failing(connected(named(servername)))).code, servername).toBe('28P01');
  });

  test('direct TLS is let in by the protocol’s name, as openssl asks for it', async () => {
    const said = await new Promise<string>((resolve) => {
      const child = execFile(
        'openssl',
        ['s_client', '-connect', `${dev.agent.host}:${dev.agent.postgres}`, '-alpn', 'postgresql', '-CAfile', dev.ca],
        (_error, stdout) => resolve(stdout),
      );
      child.stdin?.end();
    });
    expect(said).toContain('ALPN protocol: postgresql');
    expect(said).toContain('Verify return code: 0 (ok)');
  });
});

test('PREPARE and EXECUTE of SQL answer masked; in one string they are refused, and the session goes on', async () => {
  const client = await connected(await connectionFor(dev, 'carla'));
  const prepare = 'prepare q(bigint) as select id, national_id from customers where id = $1';
  expect((await failing(client.query(`${prepare}; execute q(12)`))).code).toBe('42501');
  await client.query(prepare);
  const { rows } = await client.query('execute q(12)');
  expect(String(rows[0]?.national_id)).toMatch(/^\*+/);
  await client.query('deallocate q');
  await client.end();
});

test('exceeded: hold lets an approved write of a reader run, once', async () => {
  await patch('payments-db', { exceeded: 'hold' });
  try {
    const client = await connected(await connectionFor(dev, 'carla'));
    const told = new Promise<string>((resolve) => {
      client.on('notice', (notice) => resolve(/apr-\w+/.exec(notice.message ?? '')?.[0] ?? ''));
    });
    const write = client.query("update payments set note = 'seen' where id = 900000777");
    write.catch(() => undefined);
    const id = await told;
    const ana = await as('ana');
    await expect.poll(() => ana.call('GET', `/v1/approvals/${id}`)).toMatchObject({ state: 'pending' });
    await ana.call('POST', `/v1/approvals/${id}/approve`, {});
    expect((await write).command).toBe('UPDATE');
    await client.end();
  } finally {
    await patch('payments-db', { exceeded: 'deny' });
  }
  // Where it is denied the server is told, too.
  const client = await connected(await connectionFor(dev, 'carla'));
  expect((await client.query('show default_transaction_read_only')).rows[0]).toEqual({
    default_transaction_read_only: 'on',
  });
  await client.end();
});

test('with durability: strict statements run, and are on the record', async () => {
  await patch('payments-db', { durability: 'strict' });
  try {
    const client = await connected(await connectionFor(dev, 'carla'));
    const marks = Array.from({ length: 20 }, (_, i) => `strict ${i}`);
    const answers = await Promise.all(marks.map((mark) => client.query(`select '${mark}' as mark`)));
    expect(answers.map(({ rows }) => rows[0]?.mark)).toEqual(marks);
    await client.end();
  } finally {
    await patch('payments-db', { durability: 'standard' });
  }
});

test('the agent says that it is alive and ready', async () => {
  const { health, pid } = dev.agent;
  expect((await fetch(`${health}/health`)).status).toBe(200);
  expect((await fetch(`${health}/ready`)).status).toBe(200);
  expect(await (await fetch(`${health}/metrics`)).text()).toMatch(/^sallyport_/m);
  const [, kilobytes] = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  console.log(`RSS of the agent after these tests: ${Math.round(Number(kilobytes) / 1024)} MB`);
});

test('a token is good for its resource alone, over whichever way it is named', async () => {
  const token = await accessToken(dev.rest, await apiToken(dev, 'carla'), 'payments-db');
  const options = await connectionFor(dev, 'carla');
  expect((await failing(connected({ ...options, password: token, user: 'other-db' }))).code).toBe('28P01');
});
