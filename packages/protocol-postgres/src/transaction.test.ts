import type { Approval, HeldTransaction, Statement, Verdict } from '@sallyport/model';
import { createParsePool, loadSqlParser } from '@sallyport/sql';
import {
  allow,
  connectWire,
  type DemoDatabase,
  digestOfAnswer,
  fieldsOf,
  type Gateway,
  type GatewayOptions,
  hold,
  passwordCredential,
  say,
  startDemoDatabase,
  startGateway,
  TEST_TOKEN,
  testResource,
  type WireClient,
} from '@sallyport/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createPostgresAdapter } from './index.ts';

let database: DemoDatabase;
const cleanUps: (() => unknown)[] = [];
beforeAll(async () => {
  await loadSqlParser();
  database = await startDemoDatabase();
}, 60_000);
afterAll(() => database.stop());
beforeEach(async () => {
  await database.ask('drop table if exists held, parents, free cascade');
  await database.ask('create table held (id int primary key, note text)');
  await database.ask("insert into held select i, 'n' || i from generate_series(1, 10) i");
  await database.ask('create table parents (id int primary key)');
  await database.ask('create table free (id int references parents deferrable initially deferred)');
});
afterEach(async () => {
  for (const undo of cleanUps.splice(0).reverse()) await undo();
});
const pool = createParsePool();

/** As packages/policy decides for one rule with `at: commit` about the table `held`. */
function decide(statement: Statement, approval: Approval | undefined): Verdict {
  const { commits } = statement;
  if (commits !== undefined) return approval === undefined ? hold() : allow();
  const about = statement.facts.sql?.statements.some(({ relations }) => relations.some(({ name }) => name === 'held'));
  if (about !== true || statement.effects.every((effect) => effect === 'read')) return allow();
  if (statement.preparation === true) return allow();
  if (statement.commit !== 'apart') return { kind: 'deny', rule: 'test/held', code: 'approval.transaction_required' };
  if ((statement.heldBefore ?? 0) >= 20) return { kind: 'deny', rule: 'test/held', code: 'approval.transaction_limit' };
  const spec = { groups: ['dba'], count: 1, expiresMs: 60_000, commit: { openMsMax, statementsMax: 20 } };
  return { ...(allow() as Verdict & { kind: 'allow' }), untilCommit: [{ rule: 'test/held', approval: spec }] };
}
let openMsMax = 60_000;

async function gateway(options: Partial<GatewayOptions> = {}): Promise<Gateway> {
  const made = await startGateway({
    adapter: createPostgresAdapter({ pool }),
    resource: testResource({ port: database.server.port }, { holdInTransactionMsMax: 20_000 }),
    credential: passwordCredential('postgres', database.server.password),
    holdsCommits: true,
    decide,
    ...options,
  });
  cleanUps.push(() => made.close());
  return made;
}
async function wire(to: Gateway): Promise<WireClient> {
  const client = await connectWire(to.port);
  cleanUps.push(() => client.end());
  await client.signIn({ user: 'payments-db', database: 'postgres' }, TEST_TOKEN);
  return client;
}
const rows = async (sql = 'select count(*)::int n from held'): Promise<number> =>
  (await database.ask(sql))[0]!['n'] as number;
const answer = async (client: WireClient): Promise<string> => digestOfAnswer(await client.until('Z'));
const run = async (client: WireClient, ...texts: string[]): Promise<void> => {
  for (const text of texts) expect(digestOfAnswer(await client.query(text)), text).not.toMatch(/E\d/);
};
/** Sends, and waits until a COMMIT is held. */
async function heldBy(to: Gateway, client: WireClient, ...frames: Buffer[]): Promise<HeldTransaction> {
  const before = to.holds.length;
  client.send(...frames);
  await client.until('N');
  expect(to.holds.length).toBe(before + 1);
  return to.holds.at(-1)!.statement.commits!;
}
const prepared = (text: string, name = ''): Buffer[] => [say.parse(name, text), say.bind('', name), say.execute('')];

describe('a COMMIT that waits', () => {
  test('shows what the server counted, and commits once it is approved', async () => {
    const to = await gateway();
    const client = await wire(to);
    await run(client, 'begin', 'update held set note = upper(note) where id <= 3', 'delete from held where id > 8');
    const { work, effects } = await heldBy(to, client, say.query('commit'));
    expect(work).toMatchObject({ count: 2, rows: 5, rowsRolledBack: 0, uncounted: 0 });
    expect(work.statements.map(({ text, rows: changed }) => [text, changed])).toEqual([
      ['update held set note = upper(note) where id <= 3', 3],
      ['delete from held where id > 8', 2],
    ]);
    expect(effects).toEqual(['write']);
    expect(await rows()).toBe(10);
    to.holds[0]!.approve();
    expect(await answer(client)).toBe('C(COMMIT) ZI');
    expect(await rows()).toBe(8);
  });

  test.each(['commit', 'end', 'COMMIT WORK', 'end transaction', '/* ok */ commit -- now', 'commit;;'])(
    '%s is rolled back once it is denied, and the status is the server’s own',
    async (text) => {
      const to = await gateway();
      const client = await wire(to);
      await run(client, 'begin', 'delete from held');
      await heldBy(to, client, say.query(text));
      to.holds[0]!.deny();
      const said = await client.until('Z');
      expect(digestOfAnswer(said)).toBe('E42501 ZI');
      expect(fieldsOf(said[0]!.body)['D']).toContain('approval.denied');
      expect(await rows()).toBe(10);
      expect(
        await rows(
          "select count(*)::int n from pg_locks l join pg_class c on c.oid = l.relation where relname = 'held'",
        ),
      ).toBe(0);
      await run(client, 'select 1');
    },
  );

  test('is held by the extended protocol too, prepared before or in the same pipeline', async () => {
    const to = await gateway();
    const client = await wire(to);
    client.send(say.parse('c', 'commit'), say.sync());
    await client.until('Z');
    client.send(
      ...prepared('begin'),
      ...prepared('delete from held where id = 1'),
      say.bind('', 'c'),
      say.execute(''),
      say.sync(),
    );
    await client.until('N');
    expect(to.holds[0]!.statement.commits!.work.rows).toBe(1);
    to.holds[0]!.approve();
    expect(await answer(client)).toBe('2 C(COMMIT) ZI');
    expect(await rows()).toBe(9);
    await heldBy(
      to,
      client,
      ...prepared('begin'),
      ...prepared('delete from held where id = 2'),
      ...prepared('commit'),
      say.sync(),
    );
    to.holds[1]!.deny();
    expect(await answer(client)).toBe('E42501 ZI');
    expect(await rows()).toBe(9);
    await run(client, 'select 1');
  });

  test('is held in one pipeline where masks make the gateway look before it lets anything run', async () => {
    const masks = {
      columns: [{ schema: 'public', table: 'people', column: 'ssn', with: 'redact' as const }],
      detect: [],
    };
    const to = await gateway({
      decide: (statement, approval) => {
        const verdict = decide(statement, approval);
        return verdict.kind === 'allow' ? { ...verdict, masks } : verdict;
      },
    });
    const client = await wire(to);
    const frames = [
      ...prepared('begin'),
      ...prepared('delete from held where id = 1'),
      ...prepared('commit'),
      say.sync(),
    ];
    for (const id of [1, 2]) {
      await heldBy(to, client, ...frames);
      expect(to.holds.at(-1)!.statement.commits!.work.rows, String(id)).toBe(1);
      to.holds.at(-1)!.deny();
      expect(await answer(client)).toBe('E42501 ZI');
    }
    expect(await rows()).toBe(10);
  });

  test('is asked about anew where more was written after a yes', async () => {
    const to = await gateway();
    const client = await wire(to);
    await run(client, 'begin', 'delete from held where id = 1');
    await heldBy(to, client, say.parse('c', 'commit'), say.bind('late', 'c'), say.flush());
    to.holds[0]!.approve();
    client.send(...prepared('delete from held where id = 2'), say.execute('late'), say.sync());
    await client.until('N');
    expect(to.holds[1]!.statement.commits!.work.rows).toBe(2);
    expect(to.holds[1]!.statement.digest).not.toBe(to.holds[0]!.statement.digest);
    to.holds[1]!.deny();
    expect(await answer(client)).toContain('E42501 ZI');
    expect(await rows()).toBe(10);
  });

  test('does not pass while its answer is waited for, whatever is sent behind it', async () => {
    const to = await gateway();
    const client = await wire(to);
    await run(client, 'begin', 'delete from held');
    await heldBy(to, client, say.query('commit'), say.query('commit'), ...prepared('commit'), say.sync());
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(await rows()).toBe(10);
    to.holds[0]!.deny();
    expect(await answer(client)).toBe('E42501 ZI');
    expect(await rows()).toBe(10);
  });

  test('of a failed transaction is a ROLLBACK, and nobody is asked', async () => {
    const to = await gateway();
    const client = await wire(to);
    await run(client, 'begin', 'delete from held');
    await client.query('select 1/0');
    expect(digestOfAnswer(await client.query('commit'))).toBe('C(ROLLBACK) ZI');
    expect(to.holds).toEqual([]);
  });

  test('of nothing that is held is not asked about', async () => {
    const to = await gateway();
    const client = await wire(to);
    await run(client, 'begin', 'insert into parents values (1)', 'select * from held', 'commit');
    await run(client, 'begin', 'delete from held', 'rollback', 'begin', 'select 1', 'commit');
    expect(to.holds).toEqual([]);
    expect(await rows()).toBe(10);
  });

  test('fails as the server says where a deferred constraint does', async () => {
    const to = await gateway();
    const client = await wire(to);
    await run(client, 'begin', 'delete from held where id = 1', 'insert into free values (404)');
    await heldBy(to, client, say.query('commit'));
    to.holds[0]!.approve();
    expect(await answer(client)).toBe('E23503 ZI');
    expect(await rows()).toBe(10);
  });

  test('is cancelled by the client, and rolled back', async () => {
    const to = await gateway();
    const client = await wire(to);
    await run(client, 'begin', 'delete from held');
    await heldBy(to, client, say.query('commit'));
    const other = await connectWire(to.port);
    other.send(say.cancel(client.processId, client.secret));
    expect(await answer(client)).toBe('E57014 ZI');
    expect(await rows()).toBe(10);
  });

  test('is rolled back where nobody answers in time, the client leaves or the session is ended', async () => {
    const to = await gateway({
      resource: testResource({ port: database.server.port }, { holdInTransactionMsMax: 100 }),
    });
    const client = await wire(to);
    await run(client, 'begin', 'delete from held');
    await heldBy(to, client, say.query('commit'));
    const said = await client.until('Z');
    expect(digestOfAnswer(said)).toBe('E42501 ZI');
    expect(fieldsOf(said[0]!.body)['D']).toContain('approval.expired');
    for (const leave of [(at: WireClient): void => at.end(), (): void => to.end('session.killed')]) {
      const next = await wire(to);
      await run(next, 'begin', 'delete from held');
      await heldBy(to, next, say.query('commit'));
      leave(next);
      await expect
        .poll(() => rows("select count(*)::int n from pg_stat_activity where state like 'idle in trans%'"))
        .toBe(0);
      to.holds.at(-1)!.approve();
      expect(await rows()).toBe(10);
    }
  });

  test('comes too late where the transaction is open for longer than it may', async () => {
    openMsMax = 150;
    cleanUps.push(() => {
      openMsMax = 60_000;
    });
    const to = await gateway();
    const client = await wire(to);
    await run(client, 'begin', 'delete from held');
    const said = await client.closed();
    expect(digestOfAnswer(said)).toBe('E25P04');
    expect(await rows()).toBe(10);
  });
});

describe('no COMMIT to hold', () => {
  test.each([
    ['a write by itself', 'delete from held'],
    ['several in one message', 'select 1; delete from held'],
    ['a whole transaction in one message', 'begin; delete from held; commit'],
    ['another transaction behind it', 'begin; delete from held; commit; begin'],
    ['a write in WITH', 'with gone as (delete from held returning *) select count(*) from gone'],
    ['COPY', 'copy held from stdin'],
    ['a commit that was prepared', "commit prepared 'x'"],
  ])('%s is refused before it runs', async (_what, text) => {
    const to = await gateway({
      decide: (statement, approval) =>
        text.startsWith('commit')
          ? { kind: 'deny', rule: 'test', code: 'approval.transaction_required' }
          : decide(statement, approval),
    });
    const client = await wire(to);
    expect(digestOfAnswer(await client.query(text))).toBe('E42501 ZI');
    expect(await rows()).toBe(10);
  });

  test('an extended write without BEGIN is refused, also behind a transaction that ended in its pipeline', async () => {
    const to = await gateway();
    const client = await wire(to);
    client.send(...prepared('delete from held'), say.sync());
    expect(await answer(client)).toBe('E42501 ZI');
    client.send(...prepared('begin'), ...prepared('rollback'), ...prepared('delete from held'), say.sync());
    expect(await answer(client)).toContain('E42501 ZI');
    expect(await rows()).toBe(10);
  });

  test('a BEGIN that fails unseen in an earlier pipeline is no transaction', async () => {
    const to = await gateway();
    const client = await wire(to);
    client.send(
      ...prepared('select 1/0'),
      ...prepared('begin'),
      say.sync(),
      ...prepared('delete from held'),
      say.sync(),
    );
    await client.until('Z');
    expect(await answer(client)).toBe('1 E42501 ZI');
    client.send(
      ...prepared('begin'),
      say.sync(),
      ...prepared('rollback'),
      say.sync(),
      ...prepared('delete from held'),
      say.sync(),
    );
    await client.until('Z');
    await client.until('Z');
    expect(await answer(client)).toBe('1 E42501 ZI');
    expect(await rows()).toBe(10);
  });

  test.each([
    ['a COMMIT among others', 'select 1; commit'],
    ['a COMMIT and what comes next', 'commit; begin'],
    ['AND CHAIN', 'commit and chain'],
    ['two phases', "prepare transaction 'x'"],
    ['a savepoint and a COMMIT', 'savepoint s; rollback to s; commit'],
    ['CALL', 'call nothing()'],
    ['DO', 'do $$begin commit; end$$'],
  ])('%s is refused in a transaction that is held', async (_what, text) => {
    const to = await gateway();
    const client = await wire(to);
    await run(client, 'begin', 'delete from held');
    expect(digestOfAnswer(await client.query(text))).toMatch(/^E42501 Z[EI]$/);
    await client.query('commit');
    expect(await rows()).toBe(10);
  });

  test('a failed transaction that a savepoint brings back is held still', async () => {
    const to = await gateway();
    const client = await wire(to);
    await run(client, 'begin', 'delete from held', 'savepoint s');
    await client.query('select 1/0');
    expect(digestOfAnswer(await client.query('rollback to s; commit'))).toBe('E42501 ZE');
    await run(client, 'rollback to s');
    await client.query('select 1/0');
    await heldBy(to, client, ...prepared('rollback to s'), ...prepared('commit'), say.sync());
    to.holds[0]!.deny();
    await answer(client);
    expect(await rows()).toBe(10);
  });
});

describe('a write by itself, where the resource wraps it', () => {
  const wrapping = (): Promise<Gateway> =>
    gateway({
      resource: testResource({ port: database.server.port }, { holdInTransactionMsMax: 20_000, wrapAutocommit: true }),
    });

  test('runs, waits, and is committed or undone as if it had committed by itself', async () => {
    const to = await wrapping();
    const client = await wire(to);
    const { work } = await heldBy(to, client, say.query('delete from held where id <= 2 returning id'));
    expect(work).toMatchObject({ rows: 2, statements: [{ sample: { rows: [['1'], ['2']] } }] });
    expect(await rows()).toBe(10);
    to.holds[0]!.approve();
    expect(await answer(client)).toBe('C(DELETE 2) ZI');
    expect(await rows()).toBe(8);
    await heldBy(to, client, say.query('select 1; delete from held where id = 3; delete from held where id = 4'));
    expect(to.holds[1]!.statement.commits!.work.rows).toBe(2);
    to.holds[1]!.deny();
    expect(await answer(client)).toBe('E42501 ZI');
    expect(await rows()).toBe(8);
    await run(client, 'select 1', 'begin', 'delete from held where id = 5');
    await heldBy(to, client, say.query('commit'));
    to.holds[2]!.approve();
    expect(await answer(client)).toBe('C(COMMIT) ZI');
    expect(await rows()).toBe(7);
  });

  test('does so by the extended protocol, whose Sync waits', async () => {
    const to = await wrapping();
    const client = await wire(to);
    client.send(say.parse('d', 'delete from held where id = $1'), say.sync());
    await client.until('Z');
    client.send(say.bind('', 'd', ['1']), say.execute(''), say.bind('', 'd', ['2']), say.execute(''), say.sync());
    const before = digestOfAnswer(await client.until('N'));
    expect(before).toBe('2 C(DELETE 1) 2 C(DELETE 1) N');
    expect(to.holds[0]!.statement.commits!.work.rows).toBe(2);
    expect(await rows()).toBe(10);
    to.holds[0]!.approve();
    expect(await answer(client)).toBe('ZI');
    expect(await rows()).toBe(8);
    await heldBy(to, client, say.bind('', 'd', ['3']), say.execute(''), say.sync());
    to.holds[1]!.deny();
    expect(await answer(client)).toBe('E42501 ZI');
    expect(await rows()).toBe(8);
    await run(client, 'select 1');
  });

  test('leaves no transaction where it fails, or where the COMMIT does', async () => {
    const to = await wrapping();
    const client = await wire(to);
    expect(digestOfAnswer(await client.query("insert into held values (1, 'twice')"))).toBe('E23505 ZI');
    client.send(...prepared("insert into held values (1, 'twice')"), say.sync());
    expect(await answer(client)).toBe('1 2 E23505 ZI');
    await run(client, 'select 1');
    client.send(...prepared('delete from held where id = 2'), ...prepared('select 1/0'), say.sync());
    expect(await answer(client)).toContain('E22012 ZI');
    expect(await rows()).toBe(10);
    const late = 'insert into free values (404); delete from held where id = 1';
    await heldBy(to, client, say.query(late));
    to.holds.at(-1)!.approve();
    expect(await answer(client)).toBe('E23503 ZI');
    await heldBy(
      to,
      client,
      ...prepared('insert into free values (404)'),
      ...prepared('delete from held where id = 1'),
      say.sync(),
    );
    to.holds.at(-1)!.approve();
    expect(await answer(client)).toBe('E23503 ZI');
    expect(await rows()).toBe(10);
    await run(client, 'select 1');
  });

  test('is refused still where it hides its COMMIT, or brings its data later', async () => {
    const to = await wrapping();
    const client = await wire(to);
    for (const text of [
      'begin; delete from held; commit',
      'copy held from stdin',
      'do $$begin delete from held; end$$; delete from held',
    ])
      expect(digestOfAnswer(await client.query(text)), text).toMatch(/E42501 ZI$/);
    client.send(...prepared('delete from held where id = 1'), say.query('select 1'));
    expect(await answer(client)).toMatch(/E42501 ZI$/);
    expect(await rows()).toBe(10);
    expect(to.holds).toEqual([]);
  });

  test('is cancelled by its client, and by its end', async () => {
    const to = await wrapping();
    const client = await wire(to);
    await heldBy(to, client, say.query('delete from held'));
    const other = await connectWire(to.port);
    other.send(say.cancel(client.processId, client.secret));
    expect(await answer(client)).toBe('E57014 ZI');
    await heldBy(to, client, ...prepared('delete from held'), say.sync());
    client.end();
    await expect
      .poll(() => rows("select count(*)::int n from pg_stat_activity where state like 'idle in trans%'"))
      .toBe(0);
    expect(await rows()).toBe(10);
  });
});

describe('counts', () => {
  const counted = async (...texts: string[]): Promise<HeldTransaction['work']> => {
    const to = await gateway();
    const client = await wire(to);
    await run(client, 'begin', ...texts);
    const { work } = await heldBy(to, client, say.query('commit'));
    to.holds.at(-1)!.deny();
    await client.until('Z');
    return work;
  };

  test('say what ROLLBACK TO undid', async () => {
    const work = await counted(
      'delete from held where id = 1',
      'savepoint a',
      'delete from held where id <= 4',
      'savepoint b',
      'delete from held where id = 5',
      'rollback to a',
      'delete from held where id = 9',
      'release a',
      'delete from held where id = 10',
    );
    expect(work).toMatchObject({ count: 5, rows: 7, rowsRolledBack: 4 });
    expect(work.statements.map(({ rolledBack }) => rolledBack)).toEqual([false, true, true, false, false]);
  });

  test('are of each statement of a message, of EXECUTE and of a cursor’s row', async () => {
    const work = await counted(
      'delete from held where id = 1; delete from held where id in (2, 3)',
      'prepare p as delete from held where id = $1',
      'execute p(4)',
      'declare c cursor for select * from held for update',
      'fetch 1 from c',
      'delete from held where current of c',
    );
    expect(work).toMatchObject({ rows: 5 });
    expect(work.statements.filter(({ counted: all }) => all).map(({ rows: changed }) => changed)).toEqual([1, 2, 1, 1]);
  });

  test('name what no tag counts', async () => {
    const work = await counted(
      'with gone as (delete from held where id < 4 returning id) select count(*) from gone',
      'with gone as (delete from held where id = 4 returning id) delete from held where id = 5',
      'truncate held',
      'alter table held add column more int',
      'explain analyze delete from held',
    );
    expect(work).toMatchObject({ count: 5, uncounted: 5 });
  });

  test('are of COPY, and the rows of RETURNING are shown as the client saw them', async () => {
    const masks = { columns: [], detect: [{ detect: 'payment_card' as const, with: 'partial' as const }] };
    const to = await gateway({
      decide: (statement, approval) => {
        const verdict = decide(statement, approval);
        return verdict.kind === 'allow' ? { ...verdict, masks } : verdict;
      },
    });
    const client = await wire(to);
    await run(client, 'begin');
    client.send(say.query('copy held from stdin'));
    await client.until('G');
    client.send(say.copyData(Buffer.from('100\tx\n101\ty\n')), say.copyDone());
    await client.until('Z');
    await client.query("insert into held values (200, '4111 1111 1111 1111'), (201, null) returning id, note");
    client.send(
      say.parse('', 'insert into held values (300, $1) returning *'),
      say.bind('', '', ['a']),
      say.describe('P', ''),
      say.execute(''),
      say.sync(),
    );
    await client.until('Z');
    const { work } = await heldBy(to, client, say.query('commit'));
    to.holds[0]!.deny();
    await client.until('Z');
    expect(work.statements.map(({ rows: changed }) => changed)).toEqual([2, 2, 1]);
    expect(work.statements[1]!.sample).toEqual({
      columns: ['id', 'note'],
      rows: [
        ['200', expect.stringMatching(/^\*[* ]+1111$/)],
        ['201', undefined],
      ],
    });
    expect(work.statements[2]).toMatchObject({ parameters: ['a'], sample: { rows: [['300', 'a']] } });
  });

  test('are not of rows that were not fetched', async () => {
    const to = await gateway();
    const client = await wire(to);
    await run(client, 'begin');
    client.send(
      say.parse('', 'delete from held returning id'),
      say.bind('some', ''),
      say.execute('some', 2),
      say.sync(),
    );
    expect(await answer(client)).toContain('s ZT');
    const { work } = await heldBy(to, client, say.query('commit'));
    expect(work).toMatchObject({ count: 1, uncounted: 1 });
    to.holds[0]!.deny();
    await client.until('Z');
  });

  test('end at the statements a transaction may have', async () => {
    const to = await gateway();
    const client = await wire(to);
    await run(client, 'begin');
    for (let i = 0; i < 20; i++) await run(client, `delete from held where id = ${i}`);
    expect(digestOfAnswer(await client.query('delete from held where id = 1'))).toBe('E42501 ZE');
    await run(client, 'rollback');
  });
});
