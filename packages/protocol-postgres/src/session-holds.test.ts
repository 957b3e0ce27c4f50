import {
  allow,
  connectWire,
  deny,
  digestOfAnswer,
  fieldsOf,
  type Gateway,
  type GatewayOptions,
  hold,
  say,
  testResource,
} from '@sallyport/testkit';
import { describe, expect, test } from 'vitest';
import { database, gateway, holdDeletes, masks, tap, wire } from '../test/session.fixture.ts';

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

  /** Everything that names or runs something waits for a person, under masks of columns. */
  const holdAll: GatewayOptions['decide'] = (statement, approval) =>
    approval === undefined && (statement.facts.sql?.statements.length ?? 0) > 0 ? hold('Ask first.') : allow(masks);

  test.each([
    'call nothing()',
    'do $$ begin end $$',
    `copy customers from program 'true'`,
    'copy customers to stdout',
    'create table away as select ssn from customers',
    'copy (select id from payments) to stdout with (format binary)',
    'declare c cursor for select * from pg_stats',
    'alter schema nowhere rename to away',
  ])('nobody is asked for what masks refuse whatever the answer: %s', async (text) => {
    const to = await gateway({ decide: holdAll });
    const client = await wire(to);
    // Twice: before anything of the masks was looked up on this connection, and after.
    for (let i = 0; i < 2; i++) {
      client.send(say.query(text));
      expect(fieldsOf((await client.until('E')).at(-1)!.body)['D']).toContain('mask.unvouched');
      await client.until('Z');
      client.send(say.parse('', text), say.bind('', ''), say.execute(''), say.sync());
      expect(digestOfAnswer(await client.until('Z'))).toBe('E42501 ZI');
    }
    expect(to.holds).toEqual([]);
    expect(to.judged.filter(({ verdict }) => verdict.kind === 'hold')).toEqual([]);
    expect(to.judged.at(-1)!.verdict).toMatchObject({ kind: 'deny', rule: 'gateway/mask', code: 'mask.unvouched' });
    expect(tap.sent().includes(text)).toBe(false);
  });

  test('what masks may show is asked about as ever, behind the look at what they reach', async () => {
    const to = await gateway({ decide: holdAll });
    const client = await wire(to);
    client.send(say.query('select ssn from customers where id = 1'));
    await client.until('N');
    await held(to);
    to.holds[0]!.approve();
    expect(digestOfAnswer(await client.until('Z'))).toBe('T D[[redacted]] C(SELECT 1) ZI');
    client.send(
      say.parse('', 'select name, ssn from customers where id = 1'),
      say.bind('', ''),
      say.execute(''),
      say.parse('', 'copy customers to stdout'),
      say.bind('', ''),
      say.execute(''),
      say.sync(),
    );
    while (to.holds.length === 1) await new Promise((resolve) => setTimeout(resolve, 5));
    to.holds[1]!.approve();
    expect(digestOfAnswer(await client.until('Z'))).toBe('N 1 2 D[Ana|[redacted]] C(SELECT 1) E42501 ZI');
    expect(to.holds.length).toBe(2);
    expect(to.judged.filter(({ verdict }) => verdict.kind === 'hold').length).toBe(2);
  });

  test('in a failed transaction the look at what masks reach is not made', async () => {
    const to = await gateway({
      decide: (statement, approval, info) =>
        statement.text.startsWith('copy') ? holdAll(statement, approval, info) : allow(masks),
    });
    const client = await wire(to);
    await client.query('begin');
    await client.query('select 1/0');
    client.send(say.query('copy customers to stdout'));
    await held(to);
    to.holds[0]!.approve();
    expect(digestOfAnswer(await client.until('Z'))).toBe('N E25P02 ZE');
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
