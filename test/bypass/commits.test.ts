/**
 * Hold before commit: each way a write could be committed without its COMMIT being answered, phrased as what a person would
 * see, and what the server was asked to run. Rows never leave.
 */
import { frames, type Seen, type Wire } from '@sallyport/testkit';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest';
import { restClient } from '../../scripts/stack/rest.ts';
import { gatewayTo, settled } from '../wire/gateway.ts';

const dev = inject('dev');
const gateway = gatewayTo(dev, inject('serverLog'));
const admin = restClient(dev.rest, dev.principals['admin']?.token ?? '');
const { bind, copyData, copyDone, describe: describing, execute, parse, query, sync } = frames;

const rule = (more: string): string => `kind: Policy
name: commits
resources: { names: [payments-db] }
rules:
  - name: writes
    when: sql.relations.exists(r, r.name == "committed" && r.access != "read")
    verdict: hold
    approval: { groups: [dba], at: commit, expires: 1m, transaction: { open: 5m, statements: 5 } }
${more}`;
const CODE = `  - name: code
    when: sql.statements.exists(s, s.kind == "call" || s.kind == "do")
    verdict: hold
    approval: { groups: [dba], at: commit, expires: 1m }
`;
const apply = async (text: string): Promise<void> => {
  await admin.call('POST', '/v1/apply', { documents: [{ file: 'commits.yaml', text }], dryRun: false, prune: false });
  await new Promise((resolve) => setTimeout(resolve, 700));
};

beforeAll(async () => {
  for (const sql of [
    'drop table if exists committed, other_table cascade',
    'create table committed (id int primary key, note text)',
    'create table other_table (id int)',
    `create or replace procedure commits_inside() language plpgsql as $$begin delete from committed; commit; end$$`,
    `create or replace function deletes_all() returns int language sql as 'delete from committed returning 1'`,
    'grant all on committed, other_table to public',
  ])
    await gateway.truth(sql);
  await apply(rule(CODE));
});
beforeEach(async () => {
  await gateway.truth('delete from committed');
  await gateway.truth("insert into committed select i, 'n' || i from generate_series(1, 10) i");
});
afterAll(async () => {
  await admin.call('DELETE', '/v1/policies/commits');
  await gateway.truth('drop table committed, other_table cascade');
  await gateway.truth('drop procedure commits_inside');
  await gateway.truth('drop function deletes_all');
  await gateway.close();
});

const left = (): Promise<string> => gateway.truth('select count(*) from committed');
const DELETE = 'delete from committed where id <= 4';

/** Sends and waits for so many ends, or for a hold. */
async function ran(wire: Wire, frame: readonly Uint8Array[], readies = 1): Promise<Seen> {
  const mark = wire.mark();
  await wire.send(...frame);
  return await wire.until((seen) => settled(readies)(seen) || seen.errors.some(({ fatal }) => fatal), {
    mark,
    ms: 10_000,
  });
}
async function open(...texts: string[]): Promise<Wire> {
  const wire = await gateway.signedIn('payments-bot');
  for (const text of texts) expect((await ran(wire, [query(text)])).errors, text).toEqual([]);
  return wire;
}
interface Shown {
  readonly statement: string;
  readonly effects: readonly string[];
  readonly work: {
    readonly rows: number;
    readonly rowsRolledBack: number;
    readonly uncounted: number;
    readonly note: string;
    readonly statements: readonly { readonly text: string; readonly rows: number; readonly sample: unknown }[];
  } | null;
}
async function shown(id: string): Promise<Shown> {
  return await expect
    .poll(async () => (await gateway.rest('ana')).call<Shown>('GET', `/v1/approvals/${id}`).catch(() => undefined))
    .toBeDefined()
    .then(async () => (await gateway.rest('ana')).call<Shown>('GET', `/v1/approvals/${id}`));
}
async function answered(wire: Wire, id: string, how: 'approve' | 'deny'): Promise<Seen> {
  await shown(id);
  const mark = wire.mark();
  const body = how === 'approve' ? {} : { reason: 'no' };
  await (await gateway.rest('ana')).call('POST', `/v1/approvals/${id}/${how}`, body);
  return await wire.until((seen) => seen.ready !== '', { mark, ms: 10_000 });
}
const prepared = (text: string): Uint8Array[] => [parse(text), bind(), execute()];

describe('held', () => {
  test.each([
    ['COMMIT', [query('commit')]],
    ['END', [query('end')]],
    ['COMMIT WORK in comments', [query('/* end */ COMMIT WORK -- rollback')]],
    ['a COMMIT with empty statements', [query(';;commit;;')]],
    ['a prepared COMMIT', [...prepared('commit'), sync()]],
    ['a COMMIT and, before its answer, another', [query('commit'), query('commit'), ...prepared('commit'), sync()]],
  ])('%s waits, and what it would commit is not there', async (_what, frame) => {
    const wire = await open('begin', DELETE);
    const seen = await ran(wire, frame);
    expect(seen.held.length, JSON.stringify(seen)).toBe(1);
    expect(await left()).toBe('10');
    const item = await shown(seen.held[0]!);
    expect(item.work).toMatchObject({ rows: 4, rowsRolledBack: 0, uncounted: 0 });
    expect(item.work!.note).toContain('triggers');
    expect(item.effects).toEqual(['write']);
    const end = await answered(wire, seen.held[0]!, 'deny');
    expect(end.ready[0]).toBe('I');
    expect(end.errors[0]).toMatchObject({ sqlstate: '42501', reason: 'approval.denied' });
    expect(await left()).toBe('10');
    wire.destroy();
  });

  test('a COMMIT that is approved commits what was shown, and its answer is for no other', async () => {
    const wire = await open(
      'begin',
      'savepoint s',
      'delete from committed where id > 0',
      'rollback to s',
      `${DELETE} returning id`,
    );
    const first = await ran(wire, [query('commit')]);
    const item = await shown(first.held[0]!);
    expect(item.work).toMatchObject({ rows: 14, rowsRolledBack: 10 });
    expect(item.work!.statements[1]).toMatchObject({
      rows: 4,
      sample: { columns: ['id'], rows: [['1'], ['2'], ['3'], ['4']] },
    });
    expect((await answered(wire, first.held[0]!, 'approve')).tags).toEqual(['COMMIT']);
    expect(await left()).toBe('6');
    await ran(wire, [query('begin')]);
    await ran(wire, [query('delete from committed where id > 8')]);
    const second = await ran(wire, [query('commit')]);
    expect(second.held.length).toBe(1);
    expect(second.held[0]).not.toBe(first.held[0]);
    await answered(wire, second.held[0]!, 'deny');
    expect(await left()).toBe('6');
    wire.destroy();
  });

  test.each([
    ['in a pipeline of its own', [...prepared('begin'), ...prepared(DELETE), ...prepared('commit'), sync()]],
    ['loaded by COPY', 'copy'],
    [
      'hidden in WITH',
      [query('begin'), query(`with d as (${DELETE} returning 1) select count(*) from d`), query('commit')],
    ],
    ['with rows that come back', [query('begin'), query(`${DELETE} returning note`), query('commit')]],
    [
      'under a setting of the transaction',
      [query('begin'), query("set local lock_timeout = '5s'"), query(DELETE), query('commit')],
    ],
    [
      'behind a read-write switch',
      [query('begin read only'), query('set local transaction_read_only = off'), query(DELETE), query('commit')],
    ],
  ] as const)('a write %s', async (_what, frame) => {
    const wire = await open();
    let seen: Seen;
    if (frame === 'copy') {
      await ran(wire, [query('begin')]);
      const mark = wire.mark();
      await wire.send(query('copy committed from stdin'));
      await wire.until((now) => now.types.includes('G'), { mark });
      await wire.send(copyData(Buffer.from('50\tx\n')), copyDone());
      await wire.until((now) => now.ready !== '', { mark });
      seen = await ran(wire, [query('commit')]);
    } else seen = await ran(wire, frame, 9);
    expect(seen.held.length, JSON.stringify(seen)).toBe(1);
    expect(await left()).toBe('10');
    await answered(wire, seen.held[0]!, 'deny');
    expect(await left()).toBe('10');
    wire.destroy();
  });

  test('a transaction that was open before the rule came is held for what it writes from then on', async () => {
    await admin.call('DELETE', '/v1/policies/commits');
    await new Promise((resolve) => setTimeout(resolve, 700));
    const wire = await open('begin', 'delete from committed where id = 1');
    await apply(rule(CODE));
    expect((await ran(wire, [query('delete from committed where id = 2')])).errors).toEqual([]);
    const seen = await ran(wire, [query('commit')]);
    expect(seen.held.length).toBe(1);
    await answered(wire, seen.held[0]!, 'deny');
    expect(await left()).toBe('10');
    wire.destroy();
  });

  test('a transaction is held still where its rule was taken away meanwhile', async () => {
    const wire = await open('begin', DELETE);
    await admin.call('DELETE', '/v1/policies/commits');
    await new Promise((resolve) => setTimeout(resolve, 700));
    const seen = await ran(wire, [query('commit')]);
    expect(seen.held.length).toBe(1);
    await answered(wire, seen.held[0]!, 'deny');
    expect(await left()).toBe('10');
    await apply(rule(CODE));
    wire.destroy();
  });
});

describe('refused, with what to do', () => {
  test.each([
    ['a write by itself', [query(DELETE)]],
    ['a write behind others in one message', [query(`select 1; ${DELETE}`)]],
    ['a whole transaction in one message', [query(`begin; ${DELETE}; commit`)]],
    ['a transaction and the next in one message', [query(`begin; ${DELETE}; commit; begin`)]],
    ['a prepared write by itself', [...prepared(DELETE), sync()]],
    ['writes of one pipeline without BEGIN', [...prepared(DELETE), ...prepared('select 1'), sync()]],
    [
      'a write behind the end of a transaction in its pipeline',
      [...prepared('begin'), ...prepared('commit'), ...prepared(DELETE), sync()],
    ],
    ['a write in WITH', [query(`with d as (${DELETE} returning 1) select count(*) from d`)]],
    ['EXECUTE', [query(`prepare p as ${DELETE}; execute p`)]],
    ['EXPLAIN ANALYZE', [query(`explain analyze ${DELETE}`)]],
    ['COPY', [query('copy committed from stdin')]],
    ['a definition', [query('truncate committed')]],
    ['CALL of a procedure that commits', [query('call commits_inside()')]],
    ['DO that commits', [query('do $$begin delete from committed; commit; end$$')]],
    ['DO in a transaction', [query('begin; do $$begin delete from committed; end$$')]],
  ])('%s', async (_what, frame) => {
    const wire = await open();
    const seen = await ran(wire, frame);
    expect(seen.errors.at(-1), JSON.stringify(seen)).toMatchObject({ sqlstate: '42501' });
    expect(seen.errors.at(-1)!.rule).toMatch(/^(commits|gateway|grant)/);
    expect(seen.held).toEqual([]);
    expect(await left()).toBe('10');
    wire.destroy();
  });

  test('a BEGIN that an earlier pipeline skipped is no transaction', async () => {
    const wire = await open();
    const seen = await ran(
      wire,
      [...prepared('select 1/0'), ...prepared('begin'), sync(), ...prepared(DELETE), sync()],
      2,
    );
    expect(seen.errors.map(({ sqlstate }) => sqlstate)).toEqual(['22012', '42501']);
    expect(await left()).toBe('10');
    wire.destroy();
  });

  test.each([
    ['a COMMIT among others', 'select 1; commit'],
    ['a COMMIT and what comes next', 'commit; begin'],
    ['a savepoint and a COMMIT', 'savepoint s; commit'],
    ['COMMIT AND CHAIN', 'commit and chain'],
    ['PREPARE TRANSACTION', "prepare transaction 'later'"],
    ['CALL', 'call commits_inside()'],
    ['DO', 'do $$begin commit; end$$'],
  ])('in a held transaction: %s', async (_what, text) => {
    const wire = await open('begin', DELETE);
    const from = gateway.logPosition();
    expect((await ran(wire, [query(text)])).errors[0]).toMatchObject({ sqlstate: '42501' });
    await ran(wire, [query('commit')]);
    expect(await left()).toBe('10');
    expect(await gateway.serverRan(from)).not.toContain(`statement: ${text}`);
    wire.destroy();
  });

  test('more statements than the rule allows, and none of them stays', async () => {
    const wire = await open('begin');
    for (let i = 1; i <= 5; i++) await ran(wire, [query(`delete from committed where id = ${i}`)]);
    expect((await ran(wire, [query(DELETE)])).errors[0]).toMatchObject({ reason: 'approval.transaction_limit' });
    expect((await ran(wire, [query('commit')])).tags).toEqual(['ROLLBACK']);
    expect(await left()).toBe('10');
    wire.destroy();
  });
});

test('an approver is never the requester, and a COMMIT answered twice counts once', async () => {
  const wire = await open('begin', DELETE);
  const seen = await ran(wire, [...prepared('commit'), describing('S'), sync()]);
  const id = seen.held[0]!;
  await shown(id);
  const own = await (await gateway.rest('payments-bot')).call('POST', `/v1/approvals/${id}/approve`, {}).then(
    () => 'approved',
    () => 'refused',
  );
  expect(own).toBe('refused');
  expect(await left()).toBe('10');
  await answered(wire, id, 'approve');
  const again = await (await gateway.rest('ben')).call('POST', `/v1/approvals/${id}/deny`, { reason: 'x' }).then(
    () => 'denied',
    () => 'refused',
  );
  expect(again).toBe('refused');
  expect(await left()).toBe('6');
  wire.destroy();
});

describe('wrapped, where the resource says so', () => {
  const wrap = async (wrapAutocommit: boolean): Promise<void> => {
    await admin.call('PATCH', '/v1/resources/payments-db', { wrapAutocommit });
    await new Promise((resolve) => setTimeout(resolve, 700));
  };
  beforeAll(() => wrap(true));
  afterAll(() => wrap(false));

  test.each([
    ['a write by itself', [query(DELETE)]],
    ['a write behind others in one message', [query(`select 1; ${DELETE}`)]],
    ['a prepared write by itself', [...prepared(DELETE), sync()]],
    ['a write in WITH', [query(`with d as (${DELETE} returning 1) select count(*) from d`)]],
    ['a write, and a COMMIT before its answer', [query(DELETE), query('commit')]],
    ['a pipeline, and a COMMIT before its answer', [...prepared(DELETE), sync(), query('commit')]],
    [
      'a write behind the end of a transaction in its pipeline',
      [...prepared('begin'), ...prepared('commit'), ...prepared(DELETE), sync()],
    ],
  ])('%s is held, and undone once it is denied', async (_what, frame) => {
    const wire = await open();
    const seen = await ran(wire, frame);
    expect(seen.held.length, JSON.stringify(seen)).toBe(1);
    expect(seen.tags.filter((tag) => tag.startsWith('DELETE') && frame.length < 3)).toEqual([]);
    expect(await left()).toBe('10');
    const end = await answered(wire, seen.held[0]!, 'deny');
    expect(end.errors[0]).toMatchObject({ sqlstate: '42501', reason: 'approval.denied' });
    expect(end.ready[0]).toBe('I');
    expect(await left()).toBe('10');
    wire.destroy();
  });

  test('a write by itself that is approved is committed, and told as if it had been by itself', async () => {
    const wire = await open();
    const seen = await ran(wire, [query(DELETE)]);
    const end = await answered(wire, seen.held[0]!, 'approve');
    expect(end).toMatchObject({ tags: ['DELETE 4'], ready: 'I', errors: [] });
    expect(await left()).toBe('6');
    wire.destroy();
  });

  test.each([
    ['a whole transaction in one message', [query(`begin; ${DELETE}; commit`)]],
    ['COPY', [query('copy committed from stdin')]],
    ['a pipeline without its Sync', [...prepared(DELETE), query('select 1')]],
    ['CALL', [query('call commits_inside()')]],
  ])('%s is refused still', async (_what, frame) => {
    const wire = await open();
    const seen = await ran(wire, frame);
    expect(seen.errors.at(-1), JSON.stringify(seen)).toMatchObject({ sqlstate: '42501' });
    expect(seen.ready.at(-1)).toBe('I');
    expect(await left()).toBe('10');
    wire.destroy();
  });
});
