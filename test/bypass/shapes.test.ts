/**
 * Approved shapes: what differs in values alone passes, within its rows and its time; whatever is swapped in waits again,
 * and what goes beyond the bound is undone. Also the requester's reason, which no server may see.
 */
import { frames, type Wire } from '@sallyport/testkit';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { restClient } from '../../scripts/stack/rest.ts';
import { type Gateway, gatewayTo, settled } from '../wire/gateway.ts';

const dev = inject('dev');
const gateway: Gateway = gatewayTo(dev, inject('serverLog'));
const admin = restClient(dev.rest, dev.principals['admin']?.token ?? '');
const { bind, describe: describing, execute, parse, query, sync } = frames;

const POLICY = `kind: Policy
name: shapes
resources: { names: [payments-db] }
rules:
  - name: shaped
    when: sql.relations.exists(r, r.name == "shaped" || r.name == "shaped_view")
    verdict: hold
    approval: { groups: [dba], count: 1, expires: 5m, shape: { for: 30m, rows: 3 } }
  - name: reasoned
    when: sql.relations.exists(r, r.name == "reasoned")
    verdict: hold
    approval: { groups: [dba], count: 1, expires: 5m, require_reason: true }
`;

beforeAll(async () => {
  for (const sql of [
    'drop table if exists shaped, reasoned cascade',
    'drop schema if exists evil cascade',
    'create table shaped (id bigint primary key, note text not null)',
    'create table reasoned (id int)',
    "insert into shaped select i, 'n' || i from generate_series(1, 50) i",
    'create view shaped_view as select * from shaped',
    'create schema evil create table shaped (id int, note text)',
    "insert into evil.shaped values (1, 'evil')",
    'grant all on shaped, reasoned, shaped_view to public',
    'grant usage on schema evil to public',
    'grant all on evil.shaped to public',
  ])
    await gateway.truth(sql);
  await admin.call('POST', '/v1/apply', {
    documents: [{ file: 'shapes.yaml', text: POLICY }],
    dryRun: false,
    prune: false,
  });
  await new Promise((resolve) => setTimeout(resolve, 700));
});
afterAll(async () => {
  await admin.call('DELETE', '/v1/policies/shapes');
  await gateway.truth('drop table shaped, reasoned cascade');
  await gateway.truth('drop schema evil cascade');
  await gateway.close();
});

interface Shown {
  readonly shape: { readonly text: string } | null;
  readonly askedReason: string | null;
}

/** Sends what has to be held. @returns the request's id */
async function held(wire: Wire, ...send: Uint8Array[]): Promise<string> {
  const mark = wire.mark();
  await wire.send(...send);
  const seen = await wire.until((now) => now.held.length > 0 || now.ready !== '' || now.errors.length > 0, {
    mark,
    ms: 5_000,
  });
  expect(seen.held.length, JSON.stringify(seen)).toBe(1);
  await known(seen.held[0]!);
  return seen.held[0]!;
}
async function known(id: string): Promise<Shown> {
  for (let i = 0; i < 100; i++) {
    const shown = await (await gateway.rest('ben')).call<Shown>('GET', `/v1/approvals/${id}`).catch(() => undefined);
    if (shown !== undefined) return shown;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`nobody was asked about ${id}`);
}
const approve = async (id: string, body: object = { scope: 'shape' }): Promise<void> =>
  void (await (await gateway.rest('ana')).call('POST', `/v1/approvals/${id}/approve`, body));
/** Approves, and waits for the end of what was held. */
async function passed(wire: Wire, id: string, body?: object) {
  const mark = wire.mark();
  await approve(id, body);
  return await wire.until((seen) => seen.ready !== '', { mark, ms: 5_000 });
}
const deny = async (id: string): Promise<void> =>
  void (await (await gateway.rest('ana')).call('POST', `/v1/approvals/${id}/deny`, { reason: 'no' }));

/** Sends and waits for the end. */
async function ran(wire: Wire, ...send: Uint8Array[]) {
  const mark = wire.mark();
  await wire.send(...send);
  return await wire.until((now) => settled()(now) || now.errors.some((error) => error.fatal), { mark, ms: 5_000 });
}
const extended = (sql: string, values: readonly (string | null)[] = []): Uint8Array[] => [
  parse(sql),
  bind({ values }),
  describing('P', ''),
  execute(''),
  sync(),
];

/** A session in a transaction whose shape of an UPDATE is approved. */
async function approved(sql = "update shaped set note = 'a' where id = 1"): Promise<Wire> {
  const wire = await gateway.signedIn('payments-bot');
  await ran(wire, query('begin'));
  const id = await held(wire, query(sql));
  expect((await passed(wire, id)).errors).toEqual([]);
  return wire;
}

describe('a shape', () => {
  test('lets other values pass without a person, and nothing but values', async () => {
    const wire = await approved();
    expect(await ran(wire, query("update shaped set note = 'b' where id = 2"))).toMatchObject({
      tags: ['UPDATE 1'],
      held: [],
    });
    expect(await ran(wire, query("update shaped set note = 'it''s' where id = 999"))).toMatchObject({
      tags: ['UPDATE 0'],
    });
    await ran(wire, query('rollback'));
    wire.destroy();
  });

  test.each([
    ['another column', 'update shaped set id = 1 where id = 1'],
    ['another table', "update evil.shaped set note = 'b' where id = 2"],
    ['a view of it', "update shaped_view set note = 'b' where id = 2"],
    ['a wider condition', "update shaped set note = 'b' where id > 2"],
    ['one that is always true', "update shaped set note = 'b' where id = 2 or 1 = 1"],
    ['no condition', "update shaped set note = 'b'"],
    ['a comment', "update shaped set note = 'b' where id = 2 -- x"],
    ['a comment inside', "update shaped set note = 'b' where /* x */ id = 2"],
    ['an escape string', "update shaped set note = E'b' where id = 2"],
    ['a number of another type', "update shaped set note = 'b' where id = 2.0"],
    ['a number that is too long for an integer', "update shaped set note = 'b' where id = 99999999999"],
    ['a function in the place of a value', "update shaped set note = upper('b') where id = 2"],
    [
      'a subquery in the place of a value',
      'update shaped set note = (select card_number from customers limit 1) where id = 2',
    ],
    ['a second statement', "update shaped set note = 'b' where id = 2; delete from shaped"],
    ['rows that come back', "update shaped set note = 'b' where id = 2 returning *"],
    ['a cast', "update shaped set note = 'b'::text where id = 2"],
    ['a quoted name that is another', `update "SHAPED" set note = 'b' where id = 2`],
    ['a parameter in the place of a value', undefined],
  ])('%s waits again, or is refused', async (_what, sql) => {
    const wire = await approved();
    const mark = wire.mark();
    await wire.send(
      ...(sql === undefined ? extended('update shaped set note = $1 where id = 2', ['b']) : [query(sql)]),
    );
    const seen = await wire.until(settled(), { mark, ms: 5_000 });
    expect(seen.tags).toEqual([]);
    expect(seen.held.length + seen.errors.length, JSON.stringify(seen)).toBeGreaterThan(0);
    wire.destroy();
  });

  test('is for this session alone, unless all were meant', async () => {
    const wire = await approved();
    const other = await gateway.signedIn('payments-bot');
    await ran(other, query('begin'));
    const id = await held(other, query("update shaped set note = 'b' where id = 2"));
    await passed(other, id, { scope: 'shape', sessions: 'all' });
    const third = await gateway.signedIn('payments-bot');
    await ran(third, query('begin'));
    expect(await ran(third, query("update shaped set note = 'c' where id = 3"))).toMatchObject({ tags: ['UPDATE 1'] });
    const somebody = await gateway.signedIn('nightly-etl');
    await ran(somebody, query('begin'));
    await deny(await held(somebody, query("update shaped set note = 'c' where id = 3")));
    for (const each of [wire, other, third, somebody]) each.destroy();
  });

  test.each([
    ['a search path', 'set search_path = evil, public'],
    ['a search path of the transaction', 'set local search_path = evil, public'],
    ['set_config', "select set_config('search_path', 'evil, public', false)"],
    ['a temporary table', 'create temp table shaped (id bigint, note text)'],
    ['a definition', 'create table shaped_too (id int)'],
    ['DISCARD', 'discard plans'],
    ['RESET ALL', 'reset all'],
  ])('%s in between ends it for the session', async (_what, sql) => {
    const wire = await approved('delete from shaped where id = 900');
    const mark = wire.mark();
    await wire.send(query(sql));
    const seen = await wire.until(settled(), { mark, ms: 5_000 });
    // One of that name is itself held.
    if (seen.held.length > 0) {
      await known(seen.held[0]!);
      await approve(seen.held[0]!, {});
    }
    expect((await wire.until((now) => now.ready !== '', { mark, ms: 5_000 })).errors).toEqual([]);
    const id = await held(wire, query('delete from shaped where id = 901'));
    // And no shape can be approved in such a session.
    expect((await known(id)).shape).toBeNull();
    wire.destroy();
  });

  test.each([
    ['the style of dates', "set datestyle = 'SQL, DMY'"],
    ['a time zone', "set time zone 'Asia/Tokyo'"],
    ['a time zone of the transaction', "set local timezone = 'Asia/Tokyo'"],
    ['a style by set_config', "select set_config('IntervalStyle', 'sql_standard', true)"],
    ['what = NULL means', 'set transform_null_equals = on'],
  ])('%s makes another shape', async (_what, sql) => {
    const wire = await approved('delete from shaped where id = 905');
    expect((await ran(wire, query(sql))).errors).toEqual([]);
    const id = await held(wire, query('delete from shaped where id = 906'));
    expect((await passed(wire, id)).tags).toEqual(['DELETE 0']);
    // Which passes from then on.
    expect((await ran(wire, query('delete from shaped where id = 907'))).tags).toEqual(['DELETE 0']);
    wire.destroy();
  });

  test('the style of dates from sign-in on makes another shape, and other words for it do not', async () => {
    const first = await gateway.signedIn('payments-bot', { parameters: { DateStyle: 'ISO, MDY' } });
    await ran(first, query('begin'));
    const id = await held(first, query("delete from shaped where note = 'x' and id = 908"));
    await passed(first, id, { scope: 'shape', sessions: 'all' });
    const alike = await gateway.signedIn('payments-bot', {
      parameters: { DateStyle: 'iso, us', application_name: 'x' },
    });
    await ran(alike, query('begin'));
    expect((await ran(alike, query("delete from shaped where note = 'y' and id = 909"))).tags).toEqual(['DELETE 0']);
    const other = await gateway.signedIn('payments-bot', { parameters: { DateStyle: 'SQL, DMY' } });
    await ran(other, query('begin'));
    await deny(await held(other, query("delete from shaped where note = 'y' and id = 909")));
    for (const each of [first, alike, other]) each.destroy();
  });

  test('a search path from sign-in on makes another shape', async () => {
    const first = await approved('delete from shaped where id = 910');
    const other = await gateway.signedIn('payments-bot', { parameters: { search_path: 'evil' } });
    await ran(other, query('begin'));
    const id = await held(other, query('delete from shaped where id = 911'));
    await passed(other, id, { scope: 'shape', sessions: 'all' });
    const third = await gateway.signedIn('payments-bot');
    await ran(third, query('begin'));
    await deny(await held(third, query('delete from shaped where id = 912')));
    for (const each of [first, other, third]) each.destroy();
  });

  test('one that was taken back waits again', async () => {
    const wire = await gateway.signedIn('payments-bot');
    await ran(wire, query('begin'));
    const id = await held(wire, query('delete from shaped where id = 920'));
    await passed(wire, id);
    expect((await ran(wire, query('delete from shaped where id = 921'))).tags).toEqual(['DELETE 0']);
    await (await gateway.rest('ben')).call('POST', `/v1/approvals/${id}/revoke`, { reason: 'enough' });
    await new Promise((resolve) => setTimeout(resolve, 700));
    await held(wire, query('delete from shaped where id = 922'));
    wire.destroy();
  });
});

describe('its rows', () => {
  const count = (): Promise<string> => gateway.truth('select count(*) from shaped');

  test('a change of more in a transaction ends the session, and nothing is committed', async () => {
    const before = await count();
    const wire = await approved('delete from shaped where id < 0');
    const seen = await ran(wire, query('delete from shaped where id < 40'), query('commit'));
    expect(seen.errors).toMatchObject([{ fatal: true }]);
    expect(seen.tags).toEqual([]);
    await expect.poll(() => wire.isClosed()).toBe(true);
    await expect.poll(count).toBe(before);
  });

  test('in a pipeline with its Sync and a COMMIT behind it, too', async () => {
    const before = await count();
    const wire = await gateway.signedIn('payments-bot');
    const id = await held(wire, ...extended('delete from shaped where id < $1', ['0']));
    expect((await passed(wire, id)).tags).toEqual(['DELETE 0']);
    expect((await ran(wire, ...extended('delete from shaped where id < $1', ['2']))).tags).toEqual(['DELETE 1']);
    const seen = await ran(wire, ...extended('delete from shaped where id < $1', ['40']), query('commit'));
    expect(seen.errors).toMatchObject([{ fatal: true }]);
    expect(seen.tags).toEqual([]);
    await expect.poll(count).toBe(String(Number(before) - 1));
  });

  test('fetched in pieces, it is cut at the first piece', async () => {
    const before = await count();
    const wire = await gateway.signedIn('payments-bot');
    const sql = 'delete from shaped where id < $1 returning id';
    const id = await held(wire, ...extended(sql, ['0']));
    await passed(wire, id);
    const seen = await ran(wire, parse(sql), bind({ values: ['40'] }), execute('', 1), sync());
    expect(seen.errors).toMatchObject([{ fatal: true }]);
    await expect.poll(count).toBe(before);
    wire.destroy();
  });

  test('outside of a transaction a simple query commits by itself, so it has no shape', async () => {
    const wire = await gateway.signedIn('payments-bot');
    const id = await held(wire, query('delete from shaped where id = 930'));
    expect((await known(id)).shape).toBeNull();
    await expect(approve(id)).rejects.toMatchObject({ status: 409 });
    wire.destroy();
  });

  test('an answer is cut at the row beyond them, by every road', async () => {
    for (const road of ['simple', 'extended'] as const) {
      const ask = (from: number): Uint8Array[] =>
        road === 'simple'
          ? [query(`select id from shaped where id > ${from} order by id`)]
          : extended('select id from shaped where id > $1 order by id', [String(from)]);
      const wire = await gateway.signedIn('payments-bot');
      const id = await held(wire, ...ask(48));
      expect((await passed(wire, id)).rows.length).toBe(2);
      expect((await ran(wire, ...ask(47))).rows.length).toBe(3);
      const seen = await ran(wire, ...ask(10));
      expect(seen.errors).toMatchObject([{ fatal: true }]);
      expect(seen.rows.length).toBeLessThanOrEqual(3);
    }
  });
});

describe('a reason', () => {
  const sql = 'delete from reasoned where id = 1';

  test('is asked for by name, and is heard by the approver and not by the server', async () => {
    const from = gateway.logPosition();
    const wire = await gateway.signedIn('payments-bot');
    const refused = await ran(wire, query(sql));
    expect(refused.errors).toMatchObject([{ reason: 'approval.reason_required' }]);
    expect(refused.errors[0]!.message).toContain('SET sallyport.reason');
    expect(await ran(wire, query("SET sallyport.reason = 'ticket 4711'"))).toMatchObject({
      tags: ['SET'],
      errors: [],
      ready: 'I',
    });
    const id = await held(wire, query(sql));
    expect((await known(id)).askedReason).toBe('ticket 4711');
    await deny(id);
    await wire.until((seen) => seen.errors.length > 0, { ms: 3_000 });
    expect((await ran(wire, query('reset sallyport.reason'))).tags).toEqual(['SET']);
    expect((await ran(wire, query(sql))).errors).toMatchObject([{ reason: 'approval.reason_required' }]);
    const log = await gateway.serverRan(from);
    expect(log).not.toContain('4711');
    expect(log).not.toContain('sallyport.reason');
    wire.destroy();
  });

  test('by the extended protocol, prepared and run again', async () => {
    const from = gateway.logPosition();
    const wire = await gateway.signedIn('payments-bot');
    const say = "set sallyport.reason to 'ticket 4712'";
    expect(await ran(wire, ...extended(say))).toMatchObject({ tags: ['SET'], errors: [], ready: 'I' });
    await ran(wire, parse(say, 'why'), sync());
    await ran(wire, query('reset sallyport.reason'));
    expect((await ran(wire, bind({ statement: 'why' }), execute(''), sync())).tags).toEqual(['SET']);
    const id = await held(wire, query(sql));
    expect((await known(id)).askedReason).toBe('ticket 4712');
    const log = await gateway.serverRan(from);
    expect(log).not.toContain('4712');
    wire.destroy();
  });

  test('at sign-in', async () => {
    const wire = await gateway.signedIn('payments-bot', { parameters: { 'sallyport.reason': 'ticket 4713' } });
    const id = await held(wire, query(sql));
    expect((await known(id)).askedReason).toBe('ticket 4713');
    wire.destroy();
  });

  test('in a transaction, open or failed, the status told is the server’s own', async () => {
    const wire = await gateway.signedIn('payments-bot');
    await ran(wire, query('begin'));
    expect(await ran(wire, query("set sallyport.reason = 'x'"))).toMatchObject({ tags: ['SET'], ready: 'T' });
    await ran(wire, query('select 1/0'));
    expect(await ran(wire, query("set sallyport.reason = 'y'"))).toMatchObject({ ready: 'E' });
    wire.destroy();
  });

  test.each([
    ['with another statement', "set sallyport.reason = 'x'; delete from reasoned"],
    ['behind another statement', "select 1; set sallyport.reason = 'x'"],
    ['for the transaction', "set local sallyport.reason = 'x'"],
    ['by set_config', "select set_config('sallyport.reason', 'x', false)"],
    ['another setting of the gateway', "set sallyport.admin = 'on'"],
    ['too long', `set sallyport.reason = '${'x'.repeat(201)}'`],
  ])('%s it is refused and does not reach the server', async (_what, text) => {
    const from = gateway.logPosition();
    const wire = await gateway.signedIn('payments-bot');
    const seen = await ran(wire, query(text));
    expect(seen.errors.length, JSON.stringify(seen)).toBe(1);
    expect(seen.tags).toEqual([]);
    expect(await gateway.serverRan(from)).not.toContain('sallyport.');
    wire.destroy();
  });
});
