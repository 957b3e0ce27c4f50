/**
 * The whole road on a real server of each supported major: sign-in, both ways to query, masks with their catalog look-ups,
 * denials, holds, COPY, cancel; and what only newer grammars read. A server of the major before is refused.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { MaskSet } from '@sallyport/model';
import { createPostgresAdapter } from '@sallyport/protocol-postgres';
import { createParsePool, loadSqlParser, SUPPORTED_SERVER_MAJORS } from '@sallyport/sql';
import {
  allow,
  connectWire,
  type DemoDatabase,
  deny,
  digestOfAnswer,
  fieldsOf,
  type Gateway,
  hold,
  passwordCredential,
  say,
  startDemoDatabase,
  startGateway,
  TEST_TOKEN,
  testResource,
  type WireClient,
} from '@sallyport/testkit';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { isHere, SUPPORTED_SERVERS, UNSUPPORTED_SERVER } from '../servers/servers.ts';

const MASKS: MaskSet = {
  columns: [
    { schema: 'public', table: 'customers', column: 'ssn', with: 'redact' },
    { schema: 'public', table: 'people', column: 'ssn', with: 'redact' },
  ],
  detect: [{ detect: 'payment_card', with: 'partial' }],
};

const one = (cell: string): string => `T D[${cell}] C(SELECT 1) ZI`;

/** Statements that some supported majors do not have, the first that does, and what it answers. Fail closed before. */
const NEWER: readonly (readonly [since: number, sql: string, answer: string])[] = [
  [14, 'select id from payments where id < 3 group by distinct id, id order by id', 'T D[1] D[2] C(SELECT 2) ZI'],
  [
    14,
    'with recursive t(n) as (select 1 union all select n + 1 from t where n < 2) search depth first by n set o select n from t',
    'T D[1] D[2] C(SELECT 2) ZI',
  ],
  [14, `select (jsonb '{"a": 7}')['a']`, 'T D[7] C(SELECT 1) ZI'],
  [
    14,
    `select date_bin('1 hour', timestamp '2026-01-01 10:20', timestamp '2026-01-01')::text`,
    one('2026-01-01 10:00:00'),
  ],
  [
    15,
    `merge into customers c using (values (1)) v(i) on v.i = c.id when matched then update set note = note`,
    'C(MERGE 1) ZI',
  ],
  [15, `select regexp_count('banana', 'a')`, 'T D[3] C(SELECT 1) ZI'],
  [16, 'select 0x10, 1_000', 'T D[16|1000] C(SELECT 1) ZI'],
  [16, `select '{}' is json, json_array(1, 2)`, 'T D[t|[1, 2]] C(SELECT 1) ZI'],
  [16, 'select any_value(7)', 'T D[7] C(SELECT 1) ZI'],
  [16, 'select count(*) from (select 1)', 'T D[1] C(SELECT 1) ZI'],
  [17, `select json_value(jsonb '{"a": 7}', '$.a')`, 'T D[7] C(SELECT 1) ZI'],
  [17, `select n from json_table(jsonb '[{"n": 7}]', '$[*]' columns (n int path '$.n'))`, 'T D[7] C(SELECT 1) ZI'],
  [
    17,
    'merge into customers c using (values (1)) v(i) on v.i = c.id when matched then update set note = note returning merge_action(), c.ssn',
    'T D[UPDATE|[redacted]] C(MERGE 1) ZI',
  ],
  [18, 'update customers set note = note where id = 1 returning old.ssn, new.id', 'T D[[redacted]|1] C(UPDATE 1) ZI'],
  [18, 'select uuid_extract_version(uuidv7())', 'T D[7] C(SELECT 1) ZI'],
];

/** Statements of older majors that the newest grammar does not read: refused before the server sees them. */
const OLDER: readonly (readonly [until: number, sql: string])[] = [
  [13, 'select 5!'],
  [13, 'select 5 ! is not null'],
  [13, 'select 1 is of (int)'],
  [14, 'select 123abc'],
  [14, 'select 1as a'],
  [14, 'select 0x, 0xg'],
];

const tlsDir = mkdtempSync(path.join(tmpdir(), 'sallyport-majors-'));
const pem = (name: string): string => readFileSync(path.join(tlsDir, name), 'utf8');
const pool = createParsePool();

beforeAll(async () => {
  await loadSqlParser();
  execFileSync(
    'openssl',
    `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost
     -addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out cert.pem`.split(/\s+/),
    { cwd: tlsDir, stdio: 'ignore' },
  );
});
afterAll(async () => {
  await pool.close();
  rmSync(tlsDir, { recursive: true, force: true });
});

test('the servers of all majors are here where they can be installed', () => {
  expect(SUPPORTED_SERVERS.map(({ major }) => major)).toEqual([...SUPPORTED_SERVER_MAJORS]);
  const missing = [...SUPPORTED_SERVERS, UNSUPPORTED_SERVER].filter((server) => !isHere(server));
  // npm has the oldest ones for x64 alone.
  if (process.env['SALLYPORT_TEST_FLOOR'] === '1' && process.arch === 'x64') expect(missing).toEqual([]);
});

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const undo of cleanUps.splice(0).reverse()) await undo();
});

const startServer = (binDir: string | undefined): Promise<DemoDatabase> =>
  startDemoDatabase({
    ...(binDir === undefined ? {} : { binDir }),
    tls: { cert: pem('cert.pem'), key: pem('key.pem') },
  });

/** Judges as a policy of ours would: DDL and code are nobody's, deletes ask first. */
async function gatewayOn(database: DemoDatabase): Promise<Gateway> {
  const made = await startGateway({
    adapter: createPostgresAdapter({ pool }),
    resource: testResource({
      port: database.server.port,
      tls: 'verify-full',
      ca: pem('cert.pem'),
      auth: ['scram-sha-256-plus'],
    }),
    credential: passwordCredential('postgres', database.server.password),
    decide: ({ effects, facts }, approval) => {
      if (effects.some((effect) => effect === 'ddl' || effect === 'exec' || effect === 'admin')) return deny('No.');
      const deletes = facts.sql?.statements.some((statement) => statement.kind === 'delete') ?? false;
      return deletes && approval === undefined ? hold('Ask first.') : allow(MASKS);
    },
  });
  cleanUps.push(() => made.close());
  return made;
}

async function wireTo(gateway: Gateway): Promise<WireClient> {
  const client = await connectWire(gateway.port);
  cleanUps.push(() => client.end());
  await client.signIn({ user: 'payments-db', database: 'postgres' }, TEST_TOKEN);
  return client;
}

for (const server of SUPPORTED_SERVERS) {
  const { major, binDir } = server;
  describe.skipIf(!isHere(server))(`PostgreSQL ${major}`, () => {
    let database: DemoDatabase;
    beforeAll(async () => {
      database = await startServer(binDir);
    }, 60_000);
    afterAll(() => database?.stop());
    const open = async (): Promise<WireClient> => wireTo(await gatewayOn(database));
    const ask = async (client: WireClient, sql: string): Promise<string> => digestOfAnswer(await client.query(sql));

    test('signs in with SCRAM bound to its certificate, and is the major it should be', async () => {
      const [row] = await database.ask(`select current_setting('server_version_num')::int / 10000 as major`);
      expect(row).toEqual({ major });
      expect(await ask(await open(), 'select ssl from pg_stat_ssl where pid = pg_backend_pid()')).toBe(one('t'));
    });

    test('answers simple and extended queries, in text and binary, with statements kept by name', async () => {
      const client = await open();
      expect(await ask(client, 'select id, name from customers order by id limit 2; select 7')).toBe(
        'T D[1|Ana] D[2|Ben] C(SELECT 2) T D[7] C(SELECT 1) ZI',
      );
      client.send(say.parse('p', 'select name from customers where id = $1'), say.describe('S', 'p'), say.sync());
      expect(digestOfAnswer(await client.until('Z'))).toBe('1 t T ZI');
      client.send(say.bind('', 'p', ['2']), say.execute(''), say.bind('', 'p', ['1']), say.execute(''), say.sync());
      expect(digestOfAnswer(await client.until('Z'))).toBe('2 D[Ben] C(SELECT 1) 2 D[Ana] C(SELECT 1) ZI');
    });

    test.each([
      ['a column', 'select ssn as s from customers where id = 1', 'T D[[redacted]] C(SELECT 1) ZI'],
      ['a partition', 'select ssn from people_low where id = 1', 'T D[[redacted]] C(SELECT 1) ZI'],
      ['what is generated of it', 'select ssn_tail from customers where id = 1', 'T D[[redacted]] C(SELECT 1) ZI'],
      [
        'what is returned',
        'update customers set note = note where id = 1 returning ssn',
        'T D[[redacted]] C(UPDATE 1) ZI',
      ],
      [
        'a card wherever it stands',
        'select note from customers where id = 3',
        'T D[card ************1111 on file] C(SELECT 1) ZI',
      ],
      ['a count', 'select count(ssn) from customers', 'T D[3] C(SELECT 1) ZI'],
      ['a view without it', 'select name from customer_names where id = 1', 'T D[Ana] C(SELECT 1) ZI'],
      ['an expression', 'select upper(ssn) from customers', 'E42501 ZI'],
      ['a view over it', 'select identity from customer_ids', 'E42501 ZI'],
      ['a view over a view', 'select again from customer_deep', 'E42501 ZI'],
      ['a materialized view', 'select ssn from customer_copy', 'E42501 ZI'],
      ['a COPY of it', 'copy customers to stdout', 'E42501 ZI'],
      ['a function', 'select customer_ssn(1)', 'E42501 ZI'],
    ])('masks or refuses %s', async (_what, sql, answer) => {
      const client = await open();
      expect(await ask(client, sql)).toBe(answer);
      client.send(say.parse('', sql), say.bind('', '', [], [], [1]), say.execute(''), say.sync());
      const extended = digestOfAnswer(await client.until('Z'));
      if (answer.startsWith('E')) expect(extended).toMatch(/^(1 2 )?E42501 ZI$/);
      else if (!answer.includes('D[3]')) expect(extended).toBe(answer.replace('T ', '1 2 '));
    });

    test('DISCARD ALL leaves the session as it began, under the client’s name for itself', async () => {
      const client = await open();
      await client.query('set application_name = elsewhere');
      expect(await ask(client, 'prepare p as select 1')).toBe('C(PREPARE) ZI');
      const said = await client.query('discard all');
      expect(said.filter(({ type }) => type !== 'S').map(({ type }) => type)).toEqual(['C', 'Z']);
      expect(said.some(({ body }) => body.includes('session_authorization'))).toBe(false);
      expect(await ask(client, `select current_setting('application_name') = 'elsewhere'`)).toBe(one('f'));
      expect(await ask(client, 'execute p')).toBe('E42501 ZI');
    });

    test('a denial leaves the transaction as a failure does, and nothing is done', async () => {
      const client = await open();
      expect(await ask(client, 'drop table payments')).toBe('E42501 ZI');
      expect(await ask(client, 'begin')).toBe('C(BEGIN) ZT');
      expect(await ask(client, 'create table fresh (id int)')).toBe('E42501 ZE');
      expect(await ask(client, 'select 1')).toBe('E25P02 ZE');
      expect(await ask(client, 'rollback')).toBe('C(ROLLBACK) ZI');
      client.send(say.parse('', 'truncate payments'), say.bind('', ''), say.execute(''), say.sync());
      expect(digestOfAnswer(await client.until('Z'))).toMatch(/^E42501 ZI$/);
      expect(await database.ask(`select count(*)::int n, to_regclass('fresh') f from payments`)).toEqual([
        { n: 100, f: null },
      ]);
    });

    test('a held statement runs once it is approved, and not when it is denied', async () => {
      const gateway = await gatewayOn(database);
      const client = await wireTo(gateway);
      const next = async (count: number): Promise<void> => {
        while (gateway.holds.length < count) await new Promise((resolve) => setTimeout(resolve, 5));
      };
      client.send(say.query('delete from payments where id = 100'));
      await next(1);
      gateway.holds[0]!.approve();
      expect(digestOfAnswer(await client.until('Z'))).toBe('N C(DELETE 1) ZI');
      client.send(say.query('delete from payments'));
      await next(2);
      gateway.holds[1]!.deny();
      expect(digestOfAnswer(await client.until('Z'))).toBe('N E42501 ZI');
      await database.ask('insert into payments values (100, 1, 1)');
    });

    test('COPY goes both ways', async () => {
      const client = await open();
      expect(await ask(client, 'begin')).toBe('C(BEGIN) ZT');
      client.send(say.query('copy payments from stdin'));
      await client.until('G');
      client.send(say.copyData('901\t1\t5\n902\t1\t6\n'), say.copyDone());
      expect(digestOfAnswer(await client.until('Z'))).toBe('C(COPY 2) ZT');
      const out = await client.query('copy (select id, amount from payments where id > 900 order by id) to stdout');
      expect(out.filter(({ type }) => type === 'd').map(({ body }) => body.toString())).toEqual([
        '901\t5.00\n',
        '902\t6.00\n',
      ]);
      expect(await ask(client, 'rollback')).toBe('C(ROLLBACK) ZI');
    });

    test('a cancel reaches what runs', async () => {
      const gateway = await gatewayOn(database);
      const client = await wireTo(gateway);
      client.send(say.query('select count(*) from generate_series(1, 1000000000)'));
      await new Promise((resolve) => setTimeout(resolve, 100));
      const other = await connectWire(gateway.port);
      cleanUps.push(() => other.end());
      other.send(say.cancel(client.processId, client.secret));
      expect(digestOfAnswer(await client.until('Z'))).toBe('T E57014 ZI');
    });

    test.each(NEWER)('since %i: %s', async (since, sql, answer) => {
      const got = await ask(await open(), sql);
      if (major >= since) expect(got).toBe(answer);
      // By the gateway, or where both read it as an error by the server itself.
      else expect(got).toMatch(/^E(42501|42601|42883|42P01|42804|0A000|42703) ZI$/);
    });

    test.each(OLDER)('until %i: %s', async (until, sql) => {
      const gateway = await gatewayOn(database);
      expect(await ask(await wireTo(gateway), sql)).toBe('E42501 ZI');
      expect(gateway.judged.at(-1)).toMatchObject({ verdict: { code: 'statement.unknown' } });
      const direct = await database.ask(sql).then(
        () => 'ran',
        (error: { code?: string }) => error.code,
      );
      expect(direct).toBe(major <= until ? 'ran' : '42601');
    });
  });
}

describe.skipIf(!isHere(UNSUPPORTED_SERVER))(`PostgreSQL ${UNSUPPORTED_SERVER.major}`, () => {
  test('is refused by name before anything is asked of it', async () => {
    const database = await startServer(UNSUPPORTED_SERVER.binDir);
    cleanUps.push(() => database.stop());
    const client = await connectWire((await gatewayOn(database)).port);
    cleanUps.push(() => client.end());
    client.send(say.startup({ user: 'payments-db', database: 'postgres' }));
    await client.until('R');
    client.send(say.password(TEST_TOKEN));
    const said = await client.closed();
    expect(fieldsOf(said.at(-1)!.body)).toMatchObject({ S: 'FATAL', C: '0A000' });
  });
});
