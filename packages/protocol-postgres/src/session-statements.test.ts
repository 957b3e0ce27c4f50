import type { SqlStatementFacts } from '@sallyport/model';
import {
  allow,
  cellsOf,
  connectWire,
  deny,
  digestOfAnswer,
  fieldsOf,
  type GatewayOptions,
  say,
  type WireClient,
} from '@sallyport/testkit';
import { describe, expect, test } from 'vitest';
import { cleanUps, database, gateway, masks, tap, wire } from '../test/session.fixture.ts';

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
