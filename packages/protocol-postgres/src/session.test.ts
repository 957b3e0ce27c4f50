import type { MaskSet, SqlStatementFacts } from '@sallyport/model';
import { createParsePool, loadSqlParser } from '@sallyport/sql';
import {
  allow,
  cellsOf,
  connectWire,
  type DemoDatabase,
  deny,
  digestOfAnswer,
  fieldsOf,
  type Gateway,
  type GatewayOptions,
  hold,
  passwordCredential,
  say,
  startDemoDatabase,
  startGateway,
  startTap,
  type Tap,
  TEST_TOKEN,
  testResource,
  type WireClient,
} from '@sallyport/testkit';
import pg from 'pg';
import postgres from 'postgres';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createPostgresAdapter } from './index.ts';

let database: DemoDatabase;
let tap: Tap;
const cleanUps: (() => unknown)[] = [];

beforeAll(async () => {
  await loadSqlParser();
  database = await startDemoDatabase();
  tap = await startTap(database.server);
}, 60_000);
afterAll(async () => {
  await tap.close();
  await database.stop();
});
afterEach(async () => {
  for (const undo of cleanUps.splice(0).reverse()) await undo();
});

const pool = createParsePool();

async function gateway(options: Partial<GatewayOptions> = {}): Promise<Gateway> {
  const made = await startGateway({
    adapter: createPostgresAdapter({ pool }),
    resource: testResource({ port: tap.port }),
    credential: passwordCredential('postgres', database.server.password),
    ...options,
  });
  cleanUps.push(() => made.close());
  return made;
}

async function wire(to: Gateway, parameters: Record<string, string> = {}, version?: number): Promise<WireClient> {
  const client = await connectWire(to.port);
  cleanUps.push(() => client.end());
  await client.signIn({ user: 'payments-db', database: 'postgres', ...parameters }, TEST_TOKEN, version);
  return client;
}

const masks: MaskSet = {
  columns: [
    { schema: 'public', table: 'customers', column: 'ssn', with: 'redact' },
    { schema: 'public', table: 'people', column: 'ssn', with: 'redact' },
  ],
  detect: [{ detect: 'payment_card', with: 'partial' }],
};

describe('signing in', () => {
  test('the token opens a session, and the credential reaches the server alone', async () => {
    const to = await gateway();
    const client = await connectWire(to.port);
    cleanUps.push(() => client.end());
    const said = await client.signIn({ user: 'payments-db', database: 'postgres' }, TEST_TOKEN);
    expect(said.at(-1)!.body.toString()).toBe('I');
    expect(tap.sent().includes(TEST_TOKEN)).toBe(false);
    expect(digestOfAnswer(await client.query('select 1 + 1'))).toBe('T D[2] C(SELECT 1) ZI');
  });

  test.each([
    ['a wrong token', { user: 'payments-db' }, 'nonsense'],
    ['a resource that is not there', { user: 'elsewhere' }, TEST_TOKEN],
    ['a name that no resource can have', { user: 'No Such;Name' }, TEST_TOKEN],
  ])('%s reads like any other failure', async (_what, parameters, token) => {
    const to = await gateway();
    const client = await connectWire(to.port);
    cleanUps.push(() => client.end());
    client.send(say.startup(parameters));
    await client.until('R');
    client.send(say.password(token));
    const [error] = await client.until('E');
    expect(fieldsOf(error!.body)).toEqual({
      S: 'FATAL',
      V: 'FATAL',
      C: '28P01',
      M: 'Sallyport: Authentication failed.',
    });
    await client.closed();
  });

  test.each([
    ['options', '-c standard_conforming_strings=off'],
    ['replication', 'database'],
    ['standard_conforming_strings', 'off'],
    ['client_encoding', 'SJIS'],
    ['role', 'postgres'],
    ['session_preload_libraries', 'evil'],
    ['search_path', 'evil, pg_catalog'],
  ])('startup parameter %s is refused by name', async (name, value) => {
    const to = await gateway();
    const client = await connectWire(to.port);
    client.send(say.startup({ user: 'payments-db', [name]: value }));
    const [error] = await client.until('E');
    expect(fieldsOf(error!.body)).toMatchObject({ C: '22023', M: expect.stringContaining(name) });
    await client.closed();
  });

  test.each([
    ['short', Buffer.from([0, 0, 0, 7, 0, 3, 0])],
    ['four bytes', Buffer.from([0, 0, 0, 4])],
    ['long', Buffer.from([0, 1, 0, 0, 0, 3, 0, 0])],
    ['unterminated', Buffer.concat([Buffer.from([0, 0, 0, 17, 0, 3, 0, 0]), Buffer.from('user\0abcd')])],
    [
      'a duplicate',
      Buffer.concat([
        say.startup({}).subarray(0, 0),
        Buffer.from([0, 0, 0, 24 - 1, 0, 3, 0, 0]),
        Buffer.from('user\0a\0user\0b\0\0'),
      ]),
    ],
    ['bytes behind SSLRequest', Buffer.from([0, 0, 0, 8, 4, 210, 22, 47, 1])],
  ])('a startup packet that is %s ends that connection only', async (_what, bytes) => {
    const to = await gateway();
    const other = await wire(to);
    const client = await connectWire(to.port);
    client.send(bytes);
    await client.closed();
    expect(digestOfAnswer(await other.query('select 1'))).toBe('T D[1] C(SELECT 1) ZI');
  });

  test('protocol 3.2 gets a key of 32 bytes, and a later version is negotiated down', async () => {
    const to = await gateway();
    const modern = await wire(to, {}, (3 << 16) | 2);
    expect(modern.secret.length).toBe(32);
    const client = await connectWire(to.port);
    cleanUps.push(() => client.end());
    client.send(say.startup({ user: 'payments-db', '_pq_.unknown': '1' }, (3 << 16) | 9999));
    const said = await client.until('R');
    expect(said[0]!.type).toBe('v');
    expect(said[0]!.body.readInt32BE(0)).toBe((3 << 16) | 2);
    expect(said[0]!.body.toString('latin1', 8)).toBe('_pq_.unknown\0');
  });

  test('GSS encryption is declined, and the session goes on in what is allowed', async () => {
    const to = await gateway();
    const client = await connectWire(to.port);
    cleanUps.push(() => client.end());
    const answer = new Promise<Buffer>((resolve) => client.socket.once('data', resolve));
    client.socket.write(Buffer.from([0, 0, 0, 8, 4, 210, 22, 48]));
    expect((await answer).toString()).toBe('N');
  });

  test('a database that is not offered is refused', async () => {
    const to = await gateway({ resource: testResource({ port: tap.port, databases: ['payments'] }) });
    const client = await connectWire(to.port);
    client.send(say.startup({ user: 'payments-db', database: 'postgres' }));
    await client.until('R');
    client.send(say.password(TEST_TOKEN));
    expect(fieldsOf((await client.until('E')).at(-1)!.body)['C']).toBe('3D000');
  });

  test('a wrong credential is told without a word about it', async () => {
    const to = await gateway({ credential: passwordCredential('postgres', 'wrong-secret') });
    const client = await connectWire(to.port);
    client.send(say.startup({ user: 'payments-db' }));
    await client.until('R');
    client.send(say.password(TEST_TOKEN));
    const fields = fieldsOf((await client.until('E')).at(-1)!.body);
    expect(fields['C']).toBe('08004');
    expect(JSON.stringify(fields)).not.toContain('wrong-secret');
  });

  test('a server that asks for a password in clear is not answered unless the resource says so', async () => {
    const to = await gateway({ resource: testResource({ port: tap.port, auth: ['certificate'] }) });
    const client = await connectWire(to.port);
    client.send(say.startup({ user: 'payments-db' }));
    await client.until('R');
    client.send(say.password(TEST_TOKEN));
    expect(fieldsOf((await client.until('E')).at(-1)!.body)['C']).toBe('08004');
  });
});

describe('statements', () => {
  test('every split of a conversation gives the same answers', async () => {
    const to = await gateway();
    const talk = Buffer.concat([
      say.query('select 1 as a'),
      say.parse('s', 'select $1::int + 1'),
      say.bind('', 's', ['41']),
      say.describe('P', ''),
      say.execute(''),
      say.sync(),
    ]);
    for (let at = 1; at < talk.length; at += 7) {
      const client = await wire(to);
      client.socket.write(talk.subarray(0, at));
      await new Promise((resolve) => setTimeout(resolve, 1));
      client.socket.write(talk.subarray(at));
      const answer = [...(await client.until('Z')), ...(await client.until('Z'))];
      expect(digestOfAnswer(answer)).toBe('T D[1] C(SELECT 1) ZI 1 2 T D[42] C(SELECT 1) ZI');
      client.end();
    }
  }, 30_000);

  test('one byte at a time works', async () => {
    const to = await gateway({ decide: () => allow(masks) });
    const client = await wire(to);
    for (const byte of say.query('select ssn from customers where id = 1')) {
      client.socket.write(Buffer.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(digestOfAnswer(await client.until('Z'))).toBe('T D[[redacted]] C(SELECT 1) ZI');
  });

  const kinds = (facts: SqlStatementFacts): readonly string[] => [facts.kind, ...(facts.nested ?? []).flatMap(kinds)];
  const refuseDrops: GatewayOptions['decide'] = (statement) =>
    statement.facts.sql?.statements.flatMap(kinds).some((kind) => kind === 'drop' || kind === 'delete')
      ? deny('No.')
      : allow();

  test('a denial is readable, and nothing of it reaches the server', async () => {
    const to = await gateway({ decide: refuseDrops });
    const client = await wire(to);
    const answer = await client.query('drop table customers');
    expect(digestOfAnswer(answer)).toBe('E42501 ZI');
    const fields = fieldsOf(answer[0]!.body);
    expect(fields['M']).toBe('Sallyport: No.');
    expect(JSON.parse(fields['D']!)).toMatchObject({ rule: 'test/deny', reason: 'policy.denied', retry: 'no' });
    expect(tap.sent().includes('drop table customers')).toBe(false);
    expect(digestOfAnswer(await client.query('select 1'))).toBe('T D[1] C(SELECT 1) ZI');
  });

  /** What a failing statement does to a direct connection is what a denied one must do. */
  const shapes: [string, (bad: string) => Buffer[][]][] = [
    ['alone', (bad) => [[say.query(bad)]]],
    ['in a string', (bad) => [[say.query(`select 1; ${bad}; select 2`)]]],
    [
      'in a transaction',
      (bad) => [
        [say.query('begin')],
        [say.query(bad)],
        [say.query('select 1')],
        [say.query('rollback')],
        [say.query('select 2')],
      ],
    ],
    [
      'behind a savepoint',
      (bad) => [
        [say.query('begin')],
        [say.query('savepoint a')],
        [say.query(bad)],
        [say.query('rollback to a')],
        [say.query('select 1')],
        [say.query('commit')],
      ],
    ],
    [
      'in a failed transaction',
      (bad) => [[say.query('begin')], [say.query('select 1/0')], [say.query(bad)], [say.query('commit')]],
    ],
    [
      'in a pipeline',
      (bad) => [
        [
          say.parse('', 'select 1'),
          say.bind('', ''),
          say.execute(''),
          say.parse('', bad),
          say.bind('', ''),
          say.execute(''),
          say.parse('', 'select 3'),
          say.bind('', ''),
          say.execute(''),
          say.sync(),
        ],
        [say.query('select 4')],
      ],
    ],
    [
      'in a pipeline in a transaction',
      (bad) => [
        [say.query('begin')],
        [say.parse('', bad), say.bind('', ''), say.describe('P', ''), say.execute(''), say.sync()],
        [say.query('rollback')],
      ],
    ],
    ['prepared alone', (bad) => [[say.parse('x', bad), say.describe('S', 'x'), say.sync()], [say.query('select 5')]]],
    [
      'behind a flush',
      (bad) => [
        [
          say.parse('', 'select 1'),
          say.bind('', ''),
          say.execute(''),
          say.flush(),
          say.parse('', bad),
          say.flush(),
          say.sync(),
        ],
      ],
    ],
  ];

  test.each(shapes)('a denied statement %s leaves the transaction status of a failed one', async (_where, shape) => {
    const to = await gateway({ decide: refuseDrops });
    const client = await wire(to);
    const direct = await connectWire(database.server.port);
    cleanUps.push(() => direct.end());
    // Trust nothing but the wire: a direct session signs in through a plain gateway that allows everything.
    const plain = await gateway();
    const reference = await wire(plain);
    const statuses = async (at: WireClient, frames: Buffer[][]): Promise<string[]> => {
      const seen: string[] = [];
      for (const step of frames) {
        at.send(...step);
        const answer = digestOfAnswer(await at.until('Z'));
        seen.push(answer.replaceAll(/E\w{5}/g, 'E'));
      }
      return seen;
    };
    const denied = await statuses(client, shape('delete from customers'));
    const failed = await statuses(reference, shape('select nothing_of_that_name'));
    // A string is refused whole: nothing of it ran.
    if (_where === 'in a string') expect(denied).toEqual(['E ZI']);
    else expect(denied).toEqual(failed);
  });

  test('a later error in a string takes back what ran before it, as the server does', async () => {
    const to = await gateway();
    const client = await wire(to);
    expect(digestOfAnswer(await client.query('create table t1 (a int); select 1/0'))).toBe('C(CREATE TABLE) E22012 ZI');
    expect(digestOfAnswer(await client.query('select * from t1'))).toBe('E42P01 ZI');
  });

  test('a pipeline runs whole, in order', async () => {
    const to = await gateway();
    const client = await wire(to);
    const one = (sql: string) => [say.parse('', sql), say.bind('', ''), say.execute('')];
    client.send(...one('select 1'), ...one('select 2'), say.sync(), ...one('select 3'), say.sync());
    const answer = [...(await client.until('Z')), ...(await client.until('Z'))];
    expect(digestOfAnswer(answer)).toBe('1 2 D[1] C(SELECT 1) 1 2 D[2] C(SELECT 1) ZI 1 2 D[3] C(SELECT 1) ZI');
    expect(to.outcomes.map((outcome) => [outcome.number, outcome.rows, outcome.error])).toEqual([
      [1, 1, ''],
      [2, 1, ''],
      [3, 1, ''],
    ]);
  });

  test('parameters are judged as they are sent', async () => {
    const to = await gateway();
    const client = await wire(to);
    client.send(
      say.parse('', 'select $1::int, $2::text, $3::int8', [23, 25, 20]),
      say.bind('', '', [Buffer.from([0, 0, 0, 7]), 'x', null], [1, 0, 1]),
      say.execute(''),
      say.sync(),
    );
    await client.until('Z');
    expect(to.judged.at(-1)!.statement.parameters).toEqual([
      { text: '7', type: 23 },
      { text: 'x', type: 25 },
      { text: undefined, type: 20 },
    ]);
  });

  test('the digest covers text and parameters', async () => {
    const to = await gateway();
    const client = await wire(to);
    const run = async (value: string): Promise<string> => {
      client.send(say.parse('', 'select $1::text'), say.bind('', '', [value]), say.execute(''), say.sync());
      await client.until('Z');
      return to.judged.at(-1)!.statement.digest;
    };
    const first = await run('a');
    expect(await run('a')).toBe(first);
    expect(await run('b')).not.toBe(first);
    await client.query('select 1');
    const simple = to.judged.at(-1)!.statement.digest;
    client.send(say.parse('', 'select 1'), say.bind('', ''), say.execute(''), say.sync());
    await client.until('Z');
    expect(to.judged.at(-1)!.statement.digest).toBe(simple);
  });

  test('rows in portions are one statement', async () => {
    const to = await gateway();
    const client = await wire(to);
    client.send(say.query('begin'));
    await client.until('Z');
    client.send(say.parse('', 'select generate_series(1, 5)'), say.bind('c1', ''), say.execute('c1', 2), say.sync());
    expect(digestOfAnswer(await client.until('Z'))).toBe('1 2 D[1] D[2] s ZT');
    client.send(say.execute('c1', 0), say.sync());
    expect(digestOfAnswer(await client.until('Z'))).toBe('D[3] D[4] D[5] C(SELECT 3) ZT');
    expect(to.judged.length).toBe(2);
    expect(to.outcomes.at(-1)).toMatchObject({ number: 2, rows: 5 });
  });

  test.each([
    ['a change counts what it changed', 'update people set ssn = ssn where id in (1, 2)', 2],
    ['a change that gives its rows back counts them once', 'update people set ssn = ssn where id = 1 returning id', 1],
    [
      'each statement of a string counts',
      'insert into people values (3, null), (4, null); select 1; delete from people',
      7,
    ],
    ['a table made of rows counts them', 'create table of_rows as select generate_series(1, 5) as n', 5],
    ['what only moves counts nothing', 'declare c cursor for select 1; move 1 in c', 0],
  ])('%s', async (_what, sql, rows) => {
    const to = await gateway();
    const client = await wire(to);
    await client.query('begin; truncate people; insert into people values (1, null), (2, null)');
    expect(digestOfAnswer(await client.query(sql))).toMatch(/ZT$/);
    expect(to.outcomes.at(-1)).toMatchObject({ number: 2, rows });
    await client.query('rollback');
  });

  test('SQL-level PREPARE and EXECUTE are judged by what they run', async () => {
    const to = await gateway({ decide: refuseDrops });
    const client = await wire(to);
    expect(digestOfAnswer(await client.query('prepare good as select 7'))).toBe('C(PREPARE) ZI');
    expect(digestOfAnswer(await client.query('execute good'))).toBe('T D[7] C(SELECT 1) ZI');
    expect(to.judged.at(-1)!.statement.effects).toEqual(['read']);
    expect(digestOfAnswer(await client.query('prepare bad as delete from customers'))).toBe('E42501 ZI');
    expect(digestOfAnswer(await client.query('execute nobody'))).toBe('E42501 ZI');
  });

  test('what EXECUTE and FETCH run is in their text and digest, so that an approval is for that', async () => {
    const to = await gateway();
    const client = await wire(to);
    const execute = async (prepared: string): Promise<[string, string]> => {
      await client.query(`prepare p as ${prepared}`);
      await client.query('execute p');
      const { text, digest } = to.judged.at(-1)!.statement;
      await client.query('deallocate p');
      return [text, digest];
    };
    const [text, digest] = await execute('select 1');
    expect(text).toContain('prepare p as select 1');
    expect((await execute('select 1'))[1]).toBe(digest);
    expect((await execute('select 22'))[1]).not.toBe(digest);
  });

  test('a name is never judged as one statement and run as another', async () => {
    const to = await gateway();
    const client = await wire(to);
    await client.query('create temp table victim as select 1 as a');
    client.send(say.parse('n', 'delete from victim'), say.sync());
    await client.until('Z');
    // A pipeline that fails before its Close leaves the old statement; the next pipeline must know.
    client.send(
      say.parse('', 'select nothing_of_that_name'),
      say.close('S', 'n'),
      say.parse('n', 'select 1'),
      say.sync(),
      say.bind('', 'n'),
      say.execute(''),
      say.sync(),
    );
    await client.until('Z');
    await client.until('Z');
    expect(to.judged.at(-1)!.statement.text).toBe('delete from victim');
    // A second Parse of the name is refused, and so is what follows it.
    client.send(say.parse('n', 'select 1'), say.bind('', 'n'), say.execute(''), say.sync());
    expect(digestOfAnswer(await client.until('Z'))).toBe('E42P05 ZI');
    // SQL and protocol share the names.
    expect(digestOfAnswer(await client.query('prepare n as select 1'))).toBe('E42P05 ZI');
    await client.query('execute n');
    expect(to.judged.at(-1)!.statement.effects).toEqual(['write']);
    await client.query('deallocate all');
    expect(digestOfAnswer(await client.query('execute n'))).toBe('E42501 ZI');
  });

  test('a name that is made anew on the way is judged as what it became', async () => {
    const to = await gateway();
    const client = await wire(to);
    await client.query('create temp table victim as select 1 as a');
    await client.query('prepare s as select 1');
    const run = (sql: string): Buffer[] => [say.parse('', sql), say.bind('', ''), say.execute('')];
    client.send(
      ...run('deallocate s'),
      ...run('prepare s as delete from victim'),
      say.bind('x', 's'),
      say.execute('x'),
      say.sync(),
    );
    expect(digestOfAnswer(await client.until('Z'))).toBe('1 2 C(DEALLOCATE) 1 2 C(PREPARE) 2 C(DELETE 1) ZI');
    expect(to.judged.at(-1)!.statement.effects).toEqual(['write']);
  });

  test('no name of the gateway’s own can be taken', async () => {
    const to = await gateway();
    const client = await wire(to);
    for (const sql of [
      'prepare sallyport_lookup as select 1',
      'begin; declare sallyport_refused cursor for select 1',
      'deallocate "sallyport_lookup"',
    ]) {
      expect(digestOfAnswer(await client.query(sql)), sql).toBe('E42501 ZI');
    }
  });

  test.each([
    ['a startup packet', say.startup({ user: 'postgres' })],
    ['an SSLRequest', Buffer.from([0, 0, 0, 8, 4, 210, 22, 47])],
  ])('%s in an open session ends it at once', async (_what, bytes) => {
    const to = await gateway();
    const client = await wire(to);
    client.send(bytes);
    expect(fieldsOf((await client.closed())[0]!.body)['C']).toBe('08P01');
  });

  test('a portal judged with other parameters does not run', async () => {
    const to = await gateway();
    const client = await wire(to);
    await client.query('begin');
    client.send(
      say.parse('q', 'select $1::int'),
      say.bind('p', 'q', ['1']),
      say.bind('p', 'q', ['2']),
      say.execute('p'),
      say.sync(),
    );
    expect(digestOfAnswer(await client.until('Z'))).toBe('1 2 E42P03 ZE');
  });

  test('a cursor is judged by what it reads', async () => {
    const to = await gateway();
    const client = await wire(to);
    await client.query('begin');
    await client.query('declare c cursor for select id from customers order by id');
    expect(digestOfAnswer(await client.query('fetch 2 from c'))).toBe('T D[1] D[2] C(FETCH 2) ZT');
    expect(to.judged.at(-1)!.statement.facts.sql!.statements[0]!.relations).toEqual([
      { schema: '', name: 'customers', access: 'read' },
    ]);
    expect(digestOfAnswer(await client.query('fetch 2 from nobody'))).toBe('E42501 ZE');
  });

  test('COPY goes both ways', async () => {
    const to = await gateway();
    const client = await wire(to);
    await client.query('create temp table t (a int, b text)');
    client.send(say.query('copy t from stdin'));
    await client.until('G');
    client.send(say.copyData('1\tone\n2\ttwo\n'), say.copyDone());
    expect(digestOfAnswer(await client.until('Z'))).toBe('C(COPY 2) ZI');
    expect(to.outcomes.at(-1)).toMatchObject({ rows: 2 });
    const answer = await client.query('copy t to stdout');
    expect(answer.filter((message) => message.type === 'd').map((message) => message.body.toString())).toEqual([
      '1\tone\n',
      '2\ttwo\n',
    ]);
    client.send(say.parse('', 'copy t from stdin'), say.bind('', ''), say.execute(''), say.sync());
    await client.until('G');
    client.send(say.copyData('3\tthree\n'), say.copyDone(), say.sync());
    expect(digestOfAnswer(await client.until('Z'))).toBe('C(COPY 1) ZI');
    client.send(say.query('copy t from stdin'));
    await client.until('G');
    client.send(say.copyData('not a number\n'), say.copyDone());
    expect(digestOfAnswer(await client.until('Z'))).toBe('E22P02 ZI');
    expect(digestOfAnswer(await client.query('select count(*) from t'))).toBe('T D[3] C(SELECT 1) ZI');
  });

  test('a FunctionCall is refused in its own form', async () => {
    const to = await gateway();
    const client = await wire(to);
    client.send(say.functionCall(1598));
    expect(digestOfAnswer(await client.until('Z'))).toBe('E42501 ZI');
    await client.query('begin');
    client.send(say.functionCall(1598));
    expect(digestOfAnswer(await client.until('Z'))).toBe('E42501 ZE');
  });

  test('a message of no meaning ends the session', async () => {
    const to = await gateway();
    const client = await wire(to);
    client.send(Buffer.from([121, 0, 0, 0, 4]));
    const said = await client.closed();
    expect(fieldsOf(said[0]!.body)).toMatchObject({ S: 'FATAL', C: '08P01' });
  });

  test('a statement of nine MiB is refused, and the session goes on', async () => {
    const to = await gateway();
    const client = await wire(to);
    const sql = `select 1 --${'x'.repeat(9 * 1024 * 1024)}`;
    expect(digestOfAnswer(await client.query(sql, 20_000))).toBe('E54000 ZI');
    client.send(say.parse('', sql), say.bind('', ''), say.execute(''), say.sync());
    expect(digestOfAnswer(await client.until('Z', 20_000))).toBe('E54000 ZI');
    expect(digestOfAnswer(await client.query('select 1'))).toBe('T D[1] C(SELECT 1) ZI');
  }, 30_000);

  test('a statement of 64 MiB ends the session before it is gathered', async () => {
    const to = await gateway();
    const client = await wire(to);
    const head = Buffer.from('Q0000');
    head.writeInt32BE(64 * 1024 * 1024 + 100, 1);
    client.send(head, Buffer.alloc(1024, 'x'));
    const said = await client.closed();
    expect(fieldsOf(said[0]!.body)).toMatchObject({ S: 'FATAL', C: '08P01' });
  });

  test('a statement too large for the loop is read elsewhere and runs', async () => {
    const to = await gateway();
    const client = await wire(to);
    const sql = `select count(*) from (values ${Array.from({ length: 5_000 }, (_, i) => `(${i})`).join(',')}) v(a)`;
    expect(digestOfAnswer(await client.query(sql, 20_000))).toBe('T D[5000] C(SELECT 1) ZI');
    client.send(say.parse('', sql), say.bind('', ''), say.execute(''), say.sync());
    expect(digestOfAnswer(await client.until('Z', 20_000))).toBe('1 2 D[5000] C(SELECT 1) ZI');
  }, 30_000);

  test('a full spool forwards nothing', async () => {
    let full = false;
    const to = await gateway({ spoolFull: () => full });
    const client = await wire(to);
    full = true;
    expect(digestOfAnswer(await client.query('select 987654321'))).toBe('E58030 ZI');
    expect(tap.sent().includes('987654321')).toBe(false);
    full = false;
    expect(digestOfAnswer(await client.query('select 1'))).toBe('T D[1] C(SELECT 1) ZI');
  });

  test('a long row passes in pieces and whole', async () => {
    const to = await gateway();
    const client = await wire(to);
    const answer = await client.query(`select repeat('x', 3000000), 'end'`, 20_000);
    expect(cellsOf(answer[1]!.body).map((cell) => cell!.length)).toEqual([3_000_000, 3]);
    expect(to.recorded.rows.length).toBe(answer[1]!.body.length + 5);
  });
});

const holdDeletes: GatewayOptions['decide'] = (statement, approval) =>
  approval === undefined && statement.facts.sql?.statements.some((facts) => facts.kind === 'delete')
    ? hold('Ask first.')
    : allow();

describe('holds', () => {
  const held = async (to: Gateway): Promise<void> => {
    while (to.holds.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  };

  test('a held statement says so at once, and runs once it is approved', async () => {
    const to = await gateway({ decide: holdDeletes });
    const client = await wire(to);
    await database.ask('create table doomed as select generate_series(1, 3) a');
    client.send(say.query('delete from doomed'), say.query('select 77'));
    const [notice] = await client.until('N');
    expect(fieldsOf(notice!.body)['M']).toContain('apr-test');
    expect(tap.sent().includes('delete from doomed')).toBe(false);
    await held(to);
    to.holds[0]!.approve();
    expect(digestOfAnswer(await client.until('Z'))).toBe('C(DELETE 3) ZI');
    expect(digestOfAnswer(await client.until('Z'))).toBe('T D[77] C(SELECT 1) ZI');
  });

  test('a denied hold is an error, also in a pipeline', async () => {
    const to = await gateway({ decide: holdDeletes });
    const client = await wire(to);
    client.send(say.parse('', 'delete from customers'), say.bind('', ''), say.execute(''), say.sync());
    await held(to);
    to.holds[0]!.deny();
    expect(digestOfAnswer(await client.until('Z'))).toBe('N E42501 ZI');
    expect((await database.ask('select count(*)::int n from customers'))[0]!['n']).toBe(3);
  });

  test('preparing what a rule holds is allowed; executing it waits', async () => {
    const to = await gateway({ decide: holdDeletes });
    const client = await wire(to);
    client.send(say.parse('d', 'delete from customers where id = $1'), say.describe('S', 'd'), say.sync());
    expect(digestOfAnswer(await client.until('Z'))).toBe('1 t n ZI');
    expect(to.judged.at(-1)!.statement.preparation).toBe(true);
    client.send(say.bind('', 'd', ['99']), say.execute(''), say.sync());
    await held(to);
    to.holds[0]!.approve();
    expect(digestOfAnswer(await client.until('Z'))).toBe('N 2 C(DELETE 0) ZI');
  });

  test('a statement over masked columns that is never described is judged once, and held once', async () => {
    const to = await gateway({
      decide: (statement, approval) =>
        approval === undefined && statement.facts.sql?.statements.some((facts) => facts.kind === 'select')
          ? hold('Ask first.')
          : allow(masks),
    });
    const client = await wire(to);
    client.send(
      say.parse('', 'select ssn from customers where id = $1'),
      say.bind('', '', ['1']),
      say.execute(''),
      say.sync(),
    );
    await held(to);
    to.holds[0]!.approve();
    expect(digestOfAnswer(await client.until('Z'))).toBe('N 1 2 D[[redacted]] C(SELECT 1) ZI');
    expect(to.holds.length).toBe(1);
    const runs = to.judged.filter(
      ({ statement }) => statement.text.startsWith('select ssn') && statement.preparation !== true,
    );
    // Asked, and decided again with the answer.
    expect(runs.map(({ verdict }) => verdict.kind)).toEqual(['hold', 'allow']);
    expect(to.outcomes.length).toBe(1);
  });

  test('a CancelRequest ends the wait', async () => {
    const to = await gateway({ decide: holdDeletes });
    for (const version of [3 << 16, (3 << 16) | 2]) {
      const client = await wire(to, {}, version);
      client.send(say.query('delete from customers'));
      await client.until('N');
      const other = await connectWire(to.port);
      other.send(say.cancel(client.processId, client.secret));
      expect(digestOfAnswer(await client.until('Z'))).toBe('E57014 ZI');
      await other.closed();
    }
  });

  test('a CancelRequest stops a running statement', async () => {
    const to = await gateway();
    const client = await wire(to);
    client.send(say.query('select pg_sleep(30)'));
    await new Promise((resolve) => setTimeout(resolve, 100));
    const other = await connectWire(to.port);
    other.send(say.cancel(client.processId, client.secret));
    expect(digestOfAnswer(await client.until('Z'))).toContain('E57014 ZI');
  });

  test('a wrong key stops nothing', async () => {
    const to = await gateway();
    const client = await wire(to);
    client.send(say.query('select pg_sleep(0.3)'));
    const other = await connectWire(to.port);
    other.send(say.cancel(client.processId, Buffer.alloc(4)));
    await other.closed();
    expect(digestOfAnswer(await client.until('Z'))).toBe('T D[] C(SELECT 1) ZI');
  });

  test('a transaction does not wait longer than the resource allows', async () => {
    const to = await gateway({
      decide: holdDeletes,
      resource: testResource({ port: tap.port }, { holdInTransactionMsMax: 150 }),
    });
    const client = await wire(to);
    await client.query('begin');
    client.send(say.query('delete from customers'));
    const answer = await client.until('Z');
    expect(digestOfAnswer(answer)).toBe('N E42501 ZE');
    expect(fieldsOf(answer[1]!.body)['D']).toContain('approval.expired');
  });

  test('a portal bound twice under its name is asked about, and the server still refuses it once approved', async () => {
    const to = await gateway({ decide: holdDeletes });
    const client = await wire(to);
    client.send(
      say.parse('a', 'select 1'),
      say.parse('b', 'delete from customers'),
      say.bind('p', 'a'),
      say.bind('p', 'b'),
      say.execute('p'),
      say.sync(),
    );
    await client.until('N');
    to.holds[0]!.approve();
    const answer = await client.until('Z');
    expect(digestOfAnswer(answer)).toContain('E42P03 ZI');
    expect((await database.ask('select count(*)::int n from customers'))[0]!['n']).toBe(3);
  });

  test('a name parsed twice in one pipeline with a denied text leaves neither', async () => {
    const to = await gateway({ decide: (statement) => (statement.text.includes('drop') ? deny('No.') : allow()) });
    const client = await wire(to);
    client.send(
      say.parse('s', 'select 1'),
      say.parse('s', 'drop table payments'),
      say.bind('', 's'),
      say.execute(''),
      say.sync(),
    );
    expect(digestOfAnswer(await client.until('Z'))).toBe('E42501 ZI');
    client.send(say.bind('', 's'), say.execute(''), say.sync());
    expect(digestOfAnswer(await client.until('Z'))).toBe('E26000 ZI');
  });

  test('a client that is gone ends its hold and leaves others alone', async () => {
    const to = await gateway({ decide: holdDeletes });
    const client = await wire(to);
    client.send(say.query('delete from customers'));
    await client.until('N');
    client.end();
    while (to.closed.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    to.holds[0]!.approve();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect((await database.ask('select count(*)::int n from customers'))[0]!['n']).toBe(3);
  });

  test('what waits behind a hold is bounded', async () => {
    const to = await gateway({ decide: holdDeletes });
    const client = await wire(to);
    client.send(say.query('delete from payments where false'));
    await client.until('N');
    const filler = say.query(`select '${'x'.repeat(60_000)}'`);
    for (let i = 0; i < 400; i++) client.socket.write(filler);
    await new Promise((resolve) => setTimeout(resolve, 300));
    // Most of 24 MB is still in the client's own buffer: nobody reads it here.
    expect(client.socket.writableLength).toBeGreaterThan(10_000_000);
    to.holds[0]!.approve();
    for (let i = 0; i < 401; i++) await client.until('Z', 10_000);
  }, 60_000);
});

describe('ends', () => {
  test('a kill ends both sides within a second and says why', async () => {
    const to = await gateway();
    const client = await wire(to);
    client.send(say.query('select pg_sleep(30) /* kill me */'));
    await new Promise((resolve) => setTimeout(resolve, 100));
    const began = Date.now();
    to.end('session.killed');
    const said = await client.closed();
    expect(fieldsOf(said.at(-1)!.body)).toMatchObject({ S: 'FATAL', C: '57P01' });
    for (;;) {
      const running = await database.ask(
        `select 1 from pg_stat_activity where query like '%kill me%' and query not like '%activity%' and state = 'active'`,
      );
      if (running.length === 0) break;
      if (Date.now() - began > 3_000) throw new Error('it still runs');
    }
    expect(Date.now() - began).toBeLessThan(1_500);
  });

  test('a session in which nothing happens ends when its resource says, and the trail knows why', async () => {
    const to = await gateway({ resource: testResource({ port: tap.port }, { idleMsMax: 300 }) });
    const client = await wire(to);
    await client.query('begin');
    const began = Date.now();
    const said = await client.closed();
    expect(Date.now() - began).toBeGreaterThan(250);
    expect(fieldsOf(said.at(-1)!.body)).toMatchObject({ S: 'FATAL', C: '57P05' });
    while (to.closed.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(to.closed).toEqual(['session.idle']);
  });

  test('a statement that runs, one that waits for a person, and a client that speaks are no silence', async () => {
    const to = await gateway({
      decide: holdDeletes,
      resource: testResource({ port: tap.port }, { idleMsMax: 300 }),
    });
    const client = await wire(to);
    expect(digestOfAnswer(await client.query('select pg_sleep(0.8)'))).toContain('ZI');
    for (let i = 0; i < 4; i++) {
      await new Promise((resolve) => setTimeout(resolve, 150));
      await client.query('select 1');
    }
    client.send(say.query('delete from payments where false'));
    await client.until('N');
    await new Promise((resolve) => setTimeout(resolve, 800));
    to.holds[0]!.approve();
    expect(digestOfAnswer(await client.until('Z'))).toContain('ZI');
  });

  test('a session ends at the age its resource says, also while a statement runs', async () => {
    const to = await gateway({ resource: testResource({ port: tap.port }, { sessionMsMax: 300 }) });
    const client = await wire(to);
    client.send(say.query('select pg_sleep(30) /* too long */'));
    const said = await client.closed();
    expect(fieldsOf(said.at(-1)!.body)).toMatchObject({ S: 'FATAL', C: '57P01' });
    while (to.closed.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(to.closed).toEqual(['session.too_long']);
    await expect
      .poll(() =>
        database.ask(
          `select 1 from pg_stat_activity where query like '%too long%' and query not like '%activity%' and state = 'active'`,
        ),
      )
      .toEqual([]);
  });

  test('a server that goes away is told', async () => {
    const to = await gateway();
    const client = await wire(to);
    const [row] = (await client.query('select pg_backend_pid()')).filter((message) => message.type === 'D');
    await database.ask(`select pg_terminate_backend(${cellsOf(row!.body)[0]})`);
    const said = await client.closed();
    expect(fieldsOf(said[0]!.body)['C']).toBe('57P01');
  });

  test('a pinned setting changed behind our back ends the session', async () => {
    const to = await gateway();
    const client = await wire(to);
    await database.ask(
      `create or replace function sneak() returns int language plpgsql as $$ begin perform set_config('standard_conforming_strings', 'off', false); return 1; end $$`,
    );
    client.send(say.query('select sneak()'));
    const said = await client.closed();
    expect(fieldsOf(said.at(-1)!.body)).toMatchObject({ S: 'FATAL', C: '08006' });
  });
});

describe('masks', () => {
  test('a masked column is masked in text and binary, whatever its alias', async () => {
    const to = await gateway({ decide: () => allow(masks) });
    const client = await wire(to);
    expect(digestOfAnswer(await client.query('select ssn as s, name from customers where id = 1'))).toBe(
      'T D[[redacted]|Ana] C(SELECT 1) ZI',
    );
    client.send(
      say.parse('', 'select ssn, card from customers where id = $1'),
      say.bind('', '', ['1'], [], [1]),
      say.execute(''),
      say.sync(),
    );
    expect(digestOfAnswer(await client.until('Z'))).toBe('1 2 D[[redacted]|************1111] C(SELECT 1) ZI');
    client.send(say.parse('p', 'select ssn from customers where id = $1'), say.describe('S', 'p'), say.sync());
    expect(digestOfAnswer(await client.until('Z'))).toBe('1 t T ZI');
    client.send(say.bind('', 'p', ['2']), say.execute(''), say.sync());
    expect(digestOfAnswer(await client.until('Z'))).toBe('2 D[[redacted]] C(SELECT 1) ZI');
  });

  test('detectors look at every text, without a description asked for', async () => {
    const to = await gateway({ decide: () => allow({ columns: [], detect: masks.detect }) });
    const client = await wire(to);
    client.send(
      say.parse('', 'select note from customers where id = 3'),
      say.bind('', ''),
      say.execute(''),
      say.sync(),
    );
    expect(digestOfAnswer(await client.until('Z'))).toBe('1 2 D[card ************1111 on file] C(SELECT 1) ZI');
  });

  test('what cannot be traced is refused before it runs', async () => {
    const to = await gateway({ decide: () => allow(masks) });
    const client = await wire(to);
    const before = await database.ask('select count(*)::int n from customers');
    expect(digestOfAnswer(await client.query(`update customers set note = note returning upper(ssn)`))).toBe(
      'E42501 ZI',
    );
    expect(await database.ask('select count(*)::int n from customers')).toEqual(before);
    expect(digestOfAnswer(await client.query('select count(ssn) from customers'))).toBe('T D[3] C(SELECT 1) ZI');
  });

  test('a partition is masked like its parent', async () => {
    const to = await gateway({ decide: () => allow(masks) });
    const client = await wire(to);
    expect(digestOfAnswer(await client.query('select ssn from people_low where id = 1'))).toBe(
      'T D[[redacted]] C(SELECT 1) ZI',
    );
  });

  test('a mask that comes with another bundle applies from the next statement', async () => {
    let current: MaskSet = { columns: [], detect: [] };
    const to = await gateway({ decide: () => allow(current) });
    const client = await wire(to);
    client.send(say.parse('p', 'select ssn from customers where id = 1'), say.sync());
    await client.until('Z');
    const run = async (): Promise<string> => {
      client.send(say.bind('', 'p'), say.execute(''), say.sync());
      return digestOfAnswer(await client.until('Z'));
    };
    expect(await run()).toBe('2 D[123-45-6789] C(SELECT 1) ZI');
    current = masks;
    to.bundleChanged();
    expect(await run()).toBe('2 D[[redacted]] C(SELECT 1) ZI');
  });
});

describe('drivers', () => {
  test('node-postgres works, with and without masks', async () => {
    for (const decide of [() => allow(), () => allow(masks)]) {
      const to = await gateway({ decide });
      const client = new pg.Client({
        host: '127.0.0.1',
        port: to.port,
        user: 'payments-db',
        password: TEST_TOKEN,
        database: 'postgres',
      });
      await client.connect();
      const { rows } = await client.query('select id, name from customers where id = $1', [1]);
      expect(rows).toEqual([{ id: 1, name: 'Ana' }]);
      expect(
        (await client.query({ name: 'n', text: 'select id from customers where id = $1', values: [2] })).rows,
      ).toEqual([{ id: 2 }]);
      expect(
        (await client.query({ name: 'n', text: 'select id from customers where id = $1', values: [3] })).rows,
      ).toEqual([{ id: 3 }]);
      await client.query('begin');
      await expect(client.query('select 1/0')).rejects.toMatchObject({ code: '22012' });
      await client.query('rollback');
      await client.end();
    }
  });

  test('porsager/postgres works, with and without masks', async () => {
    for (const decide of [() => allow(), () => allow(masks)]) {
      const to = await gateway({ decide });
      const sql = postgres({
        host: '127.0.0.1',
        port: to.port,
        user: 'payments-db',
        password: TEST_TOKEN,
        database: 'postgres',
        max: 2,
      });
      const answers = await Promise.all(
        Array.from({ length: 20 }, (_, i) => sql`select ${i}::int as i, name from customers where id = ${1 + (i % 3)}`),
      );
      expect(answers.map((rows) => rows[0]!['i'])).toEqual(Array.from({ length: 20 }, (_, i) => i));
      await sql.begin(async (tx) => {
        await tx`select 1`;
        await tx`select 2`;
      });
      const ids: number[] = [];
      for await (const rows of sql`select id from payments order by id`.cursor(30))
        ids.push(...rows.map((row) => row['id'] as number));
      expect(ids.length).toBe(100);
      await sql.end();
    }
  });
});
