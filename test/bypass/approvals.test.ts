/** Approvals: for this statement with these parameters, by somebody else, once. Whatever is swapped in waits again. */
import { frames, type Wire } from '@sallyport/testkit';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { accessToken, restClient } from '../../scripts/stack/rest.ts';
import { type Gateway, gatewayTo, settled } from '../wire/gateway.ts';

const dev = inject('dev');
const gateway: Gateway = gatewayTo(dev, inject('serverLog'));
const admin = restClient(dev.rest, dev.principals['admin']?.token ?? '');
afterAll(() => gateway.close());

const { bind, execute, parse, query, sync } = frames;
/** Held by payments-prod/bulk-delete, and deletes nothing when it runs. */
const HARMLESS = (id: number): string => `delete from payments where id = ${900_000_000 + id}`;

/** Waits until the control plane has heard of the request. */
async function known(id: string): Promise<void> {
  for (let i = 0; i < 100; i++) {
    const heard = await (await gateway.rest('ben')).call('GET', `/v1/approvals/${id}`).then(
      () => true,
      () => false,
    );
    if (heard) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`nobody was asked about ${id}`);
}

/** Sends what will be held. @returns the request's id */
async function held(wire: Wire, ...send: Uint8Array[]): Promise<string> {
  const mark = wire.mark();
  await wire.send(...send);
  const seen = await wire.until((now) => now.held.length > 0 || now.ready !== '', { mark, ms: 5_000 });
  expect(seen.held.length, JSON.stringify(seen)).toBe(1);
  const id = seen.held[0]!;
  await known(id);
  return id;
}

const answer = async (who: string, id: string, what: 'approve' | 'deny'): Promise<number> => {
  try {
    await (await gateway.rest(who)).call('POST', `/v1/approvals/${id}/${what}`, { reason: 'because' });
    return 200;
  } catch (error) {
    return (error as { status?: number }).status ?? 0;
  }
};

describe('once, for this', () => {
  test('an approved statement runs once; the same one waits again under another request', async () => {
    const wire = await gateway.signedIn('payments-bot');
    const first = await held(wire, query(HARMLESS(1)));
    const mark = wire.mark();
    expect(await answer('ana', first, 'approve')).toBe(200);
    expect((await wire.until(settled(), { mark })).tags).toEqual(['DELETE 0']);
    const second = await held(wire, query(HARMLESS(1)));
    expect(second).not.toBe(first);
    expect(await answer('ben', first, 'approve')).toBe(409);
    expect(wire.seen(wire.mark()).tags).toEqual([]);
    wire.destroy();
  });

  test('what is queued behind the approved statement is judged by itself', async () => {
    const before = await gateway.lastFingerprint();
    const wire = await gateway.signedIn('payments-bot');
    const first = await held(
      wire,
      query(HARMLESS(2)),
      query('delete from payments where id = 1'),
      query('drop table ledger'),
    );
    const mark = wire.mark();
    expect(await answer('ana', first, 'approve')).toBe(200);
    const seen = await wire.until((now) => now.held.length > 0, { mark });
    expect(seen.tags).toEqual(['DELETE 0']);
    expect(seen.held.length).toBe(1);
    const next = wire.mark();
    await known(seen.held[0]!);
    expect(await answer('ana', seen.held[0]!, 'deny')).toBe(200);
    const rest = await wire.until((now) => now.ready.length >= 2, { mark: next });
    expect(rest.errors.map((error) => error.sqlstate)).toEqual(['42501', '42501']);
    wire.destroy();
    expect(await gateway.fingerprint()).toBe(before);
  });

  test('another parameter is another statement', async () => {
    const wire = await gateway.signedIn('payments-bot');
    const text = 'delete from payments where id = $1::bigint';
    const run = (value: string): Uint8Array[] => [bind({ statement: 's', values: [value] }), execute(), sync()];
    const first = await held(wire, parse(text, 's'), ...run('900000003'));
    const mark = wire.mark();
    expect(await answer('ana', first, 'approve')).toBe(200);
    expect((await wire.until(settled(), { mark })).tags).toEqual(['DELETE 0']);
    const second = await held(wire, ...run('1'));
    expect(second).not.toBe(first);
    wire.destroy();
    expect(await gateway.truth('select count(*) from payments where id = 1')).toBe('1');
  });

  test('the statement under the name is swapped while the first waits', async () => {
    const wire = await gateway.signedIn('payments-bot');
    const first = await held(
      wire,
      parse(HARMLESS(4), 's'),
      bind({ statement: 's' }),
      execute(),
      sync(),
      frames.close('S', 's'),
      parse('delete from payments where id = 2', 's'),
      bind({ statement: 's' }),
      execute(),
      sync(),
    );
    const mark = wire.mark();
    expect(await answer('ana', first, 'approve')).toBe(200);
    const seen = await wire.until((now) => now.held.length > 0 || now.ready.length >= 2, { mark });
    expect(seen.held.length).toBe(1);
    wire.destroy();
    expect(await gateway.truth('select count(*) from payments where id = 2')).toBe('1');
  });

  test('an approval of another session’s request lets nothing through here', async () => {
    const one = await gateway.signedIn('payments-bot');
    const other = await gateway.signedIn('payments-bot');
    const first = await held(one, query(HARMLESS(5)));
    const second = await held(other, query(HARMLESS(5)));
    const mark = other.mark();
    expect(await answer('ana', first, 'approve')).toBe(200);
    const seen = await other.until((now) => now.tags.length > 0, { mark, ms: 500 });
    expect(seen.tags).toEqual([]);
    expect(second).not.toBe(first);
    one.destroy();
    other.destroy();
  });

  test('approved after the client left: the same statement waits again', async () => {
    const gone = await gateway.signedIn('payments-bot');
    const first = await held(gone, query(HARMLESS(6)));
    gone.destroy();
    await new Promise((resolve) => setTimeout(resolve, 300));
    await answer('ana', first, 'approve');
    const again = await gateway.signedIn('payments-bot');
    expect(await held(again, query(HARMLESS(6)))).not.toBe(first);
    again.destroy();
  });

  test('a denied request cannot be approved afterwards', async () => {
    const wire = await gateway.signedIn('payments-bot');
    const id = await held(wire, query(HARMLESS(7)));
    const mark = wire.mark();
    expect(await answer('ana', id, 'deny')).toBe(200);
    expect((await wire.until(settled(), { mark })).errors[0]?.reason).toBe('approval.denied');
    expect(await answer('ben', id, 'approve')).toBe(409);
    wire.destroy();
  });
});

describe('by somebody else', () => {
  test('who asks does not answer; nor does who is in no asked group', async () => {
    const wire = await gateway.signedIn('ana');
    const id = await held(wire, query(HARMLESS(8)));
    expect(await answer('ana', id, 'approve')).toBe(403);
    expect([403, 404]).toContain(await answer('carla', id, 'approve'));
    expect([403, 404]).toContain(await answer('payments-bot', id, 'approve'));
    expect(await answer('admin', id, 'approve')).not.toBe(200);
    const mark = wire.mark();
    expect((await wire.until((seen) => seen.tags.length > 0, { mark, ms: 300 })).tags).toEqual([]);
    expect(await answer('ben', id, 'approve')).toBe(200);
    expect((await wire.until(settled(), { mark })).tags).toEqual(['DELETE 0']);
    wire.destroy();
  });

  test('a token that who asks made for another approver answers nothing of theirs', async () => {
    // Ana's token of the demo was made by the administrator, who asks here. Ana's own sign-in would do.
    await admin.call('PUT', '/v1/groups/payments-bots/members/admin');
    try {
      const wire = await expect
        .poll(() => gateway.signedIn('admin').catch(() => undefined), { timeout: 20_000 })
        .toBeDefined()
        .then(() => gateway.signedIn('admin'));
      const id = await held(wire, query(HARMLESS(10)));
      const mark = wire.mark();
      for (const who of ['ana', 'ben']) expect(await answer(who, id, 'approve')).toBe(403);
      expect((await wire.until((seen) => seen.tags.length > 0, { mark, ms: 300 })).tags).toEqual([]);
      wire.destroy();
    } finally {
      await admin.call('DELETE', '/v1/groups/payments-bots/members/admin');
    }
  });

  describe('two of two groups', () => {
    const name = 'two-people';
    beforeAll(async () => {
      const text = `kind: Group
name: second
---
kind: Policy
name: ${name}
resources: { names: [payments-db] }
rules:
  - name: update-of-ledger
    when: sql.statements.exists(s, s.kind == "update" && s.relations.exists(r, r.name == "ledger"))
    verdict: hold
    approval: { groups: [dba, second], count: 2, expires: 5m }
`;
      await admin.call('POST', '/v1/apply', { documents: [{ file: 'two.yaml', text }], dryRun: false, prune: false });
      await admin.call('PUT', '/v1/groups/second/members/ana');
      await new Promise((resolve) => setTimeout(resolve, 500));
    });
    afterAll(async () => {
      await admin.call('DELETE', `/v1/policies/${name}`);
      await admin.call('DELETE', '/v1/groups/second');
    });

    test('one person in both groups counts once', async () => {
      const before = await gateway.lastFingerprint();
      const wire = await gateway.signedIn('payments-bot');
      const id = await held(wire, query("update ledger set note = 'n3' where id = 3"));
      const mark = wire.mark();
      expect(await answer('ana', id, 'approve')).toBe(200);
      expect(await answer('ana', id, 'approve')).not.toBe(200);
      expect((await wire.until((seen) => seen.tags.length > 0, { mark, ms: 500 })).tags).toEqual([]);
      expect(await answer('ben', id, 'approve')).toBe(200);
      expect((await wire.until(settled(), { mark })).tags).toEqual(['UPDATE 1']);
      wire.destroy();
      expect(await gateway.fingerprint()).toBe(before);
    });
  });
});

describe('judged again', () => {
  const name = 'denied-meanwhile';
  test('a policy that denies meanwhile wins over the approval', async () => {
    const wire = await gateway.signedIn('payments-bot');
    const id = await held(wire, query('delete from payments where id = 4'));
    const text = `kind: Policy
name: ${name}
resources: { names: [payments-db] }
rules:
  - name: no-deletes
    when: sql.statements.exists(s, s.kind == "delete")
    verdict: deny
`;
    try {
      await admin.call('POST', '/v1/apply', { documents: [{ file: 'd.yaml', text }], dryRun: false, prune: false });
      await new Promise((resolve) => setTimeout(resolve, 500));
      const mark = wire.mark();
      await answer('ana', id, 'approve');
      const seen = await wire.until(settled(), { mark, ms: 5_000 });
      expect(seen.errors[0]?.rule).toBe(`${name}/no-deletes`);
    } finally {
      await admin.call('DELETE', `/v1/policies/${name}`);
      await new Promise((resolve) => setTimeout(resolve, 500));
      wire.destroy();
    }
    expect(await gateway.truth('select count(*) from payments where id = 4')).toBe('1');
  });
});

describe('while it waits', () => {
  test('cancelled by the client and approved afterwards: nothing runs', async () => {
    const wire = await gateway.signedIn('payments-bot');
    const key = wire.answers().find((message) => message.type === 'K')!.body;
    const id = await held(wire, query('delete from payments where id = 5'));
    const mark = wire.mark();
    const cancel = await gateway.wire();
    await cancel.send(frames.cancelRequest(key.readInt32BE(0), key.subarray(4)));
    const seen = await wire.until(settled(), { mark });
    expect(seen.errors[0]?.sqlstate).toBe('57014');
    await answer('ana', id, 'approve');
    const next = wire.mark();
    await wire.send(query('select 1'));
    expect((await wire.until(settled(), { mark: next })).rows).toEqual([['1']]);
    cancel.destroy();
    wire.destroy();
    expect(await gateway.truth('select count(*) from payments where id = 5')).toBe('1');
  });

  test('who leaves the group meanwhile runs nothing', async () => {
    const wire = await gateway.signedIn('nightly-etl');
    const id = await held(wire, query('delete from payments where id = 6'));
    await admin.call('DELETE', '/v1/groups/payments-bots/members/nightly-etl');
    try {
      await new Promise((resolve) => setTimeout(resolve, 500));
      const mark = wire.mark();
      await answer('ana', id, 'approve');
      const seen = await wire.until(settled(), { mark, ms: 3_000 });
      expect(seen.tags).toEqual([]);
      expect(wire.isClosed() || seen.errors[0]?.sqlstate === '42501').toBe(true);
    } finally {
      await admin.call('PUT', '/v1/groups/payments-bots/members/nightly-etl');
    }
    wire.destroy();
    expect(await gateway.truth('select count(*) from payments where id = 6')).toBe('1');
  });
});

test('who made the token by which somebody asked does not answer', async () => {
  await admin.call('PUT', '/v1/groups/dba/members/admin');
  try {
    const made = await admin.call<{ token: string }>('POST', '/v1/principals/ben/tokens', { name: `by-${Date.now()}` });
    const wire = await gateway.wire();
    const seen = await wire.signIn({
      user: 'payments-db',
      secret: await accessToken(dev.rest, made.token, 'payments-db'),
      database: dev.demo.database,
    });
    expect(seen.ready).toBe('I');
    const id = await held(wire, query(HARMLESS(40)));
    await expect(admin.call('POST', `/v1/approvals/${id}/approve`, {})).rejects.toMatchObject({
      code: 'approval.not_yours',
    });
    expect(await answer('ana', id, 'approve')).toBe(200);
    wire.destroy();
  } finally {
    await admin.call('DELETE', '/v1/groups/dba/members/admin');
  }
});

describe('tickets', () => {
  const name = `ticket-${Date.now()}`;
  beforeAll(async () => {
    const { postgres, type } = await admin.call<Record<string, unknown>>('GET', '/v1/resources/payments-db');
    await admin.call('POST', '/v1/resources', {
      name,
      type,
      labels: { env: 'prod' },
      credential: 'payments-app',
      postgres: { ...(postgres as object), databases: [dev.demo.database, 'postgres'] },
      approval: 'ticket',
    });
    for (const group of ['payments-bots', 'dba'])
      await admin.call('POST', '/v1/grants', {
        name: `${name}-${group}`,
        group,
        resource: name,
        effects: ['read', 'write'],
      });
  });
  afterAll(async () => {
    for (const group of ['payments-bots', 'dba'])
      await admin.call('DELETE', `/v1/grants/${name}-${group}`).catch(() => undefined);
    await admin.call('DELETE', `/v1/resources/${name}`).catch(() => undefined);
  });

  async function opened(
    who: string,
    more: { database?: string; parameters?: Record<string, string> } = {},
  ): Promise<Wire> {
    for (let i = 0; ; i++) {
      const wire = await gateway.wire();
      const seen = await wire.signIn({
        user: name,
        secret: await gateway.token(who, name),
        database: dev.demo.database,
        ...more,
      });
      if (seen.ready === 'I') return wire;
      wire.destroy();
      if (i > 40) throw new Error(JSON.stringify(seen.errors));
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  const run = async (wire: Wire, sql: string) => {
    const mark = wire.mark();
    await wire.send(query(sql));
    return wire.until(settled(), { mark });
  };
  /** The id in DETAIL of a denial that asks for a ticket. */
  const ticketOf = (wire: Wire): string => {
    const error = wire
      .answers()
      .filter((message) => message.type === 'E')
      .at(-1)!;
    return /"requestId":"([^"]+)"/.exec(error.body.toString('utf8'))![1]!;
  };

  /** The ticket of what was refused last, approved and at the agent. */
  const approvedTicket = async (wire: Wire): Promise<string> => {
    const id = ticketOf(wire);
    await known(id);
    expect(await answer('ana', id, 'approve')).toBe(200);
    await new Promise((resolve) => setTimeout(resolve, 500));
    return id;
  };

  test('a ticket passes this statement of this principal, once', async () => {
    const bot = await opened('payments-bot');
    expect((await run(bot, HARMLESS(20))).errors[0]?.reason).toBe('approval.required');
    const id = ticketOf(bot);
    await known(id);
    expect((await run(bot, HARMLESS(20))).errors[0]?.reason).toBe('approval.required');
    expect(await answer('ana', id, 'approve')).toBe(200);
    await new Promise((resolve) => setTimeout(resolve, 500));
    // Somebody else's, and another statement, wait for tickets of their own.
    const other = await opened('ben');
    expect((await run(other, HARMLESS(20))).errors[0]?.reason).toBe('approval.required');
    expect((await run(bot, HARMLESS(21))).errors[0]?.reason).toBe('approval.required');
    // From another session of the same principal it passes; once.
    const later = await opened('payments-bot');
    expect((await run(later, HARMLESS(20))).tags).toEqual(['DELETE 0']);
    expect((await run(later, HARMLESS(20))).errors[0]?.reason).toBe('approval.required');
    expect((await run(bot, HARMLESS(20))).errors[0]?.reason).toBe('approval.required');
    for (const wire of [bot, other, later]) wire.destroy();
  });

  test('a ticket is for the database and the search path that the approver was shown', async () => {
    // Means another table elsewhere, and is the same text.
    const sql = 'delete from payments where id = 900000023';
    const bot = await opened('payments-bot');
    await run(bot, sql);
    const id = await approvedTicket(bot);
    const elsewhere = [
      await opened('payments-bot', { database: 'postgres' }),
      await opened('payments-bot', { parameters: { search_path: 'information_schema, public' } }),
      await opened('payments-bot'),
    ];
    await run(elsewhere[2]!, 'set search_path = information_schema, public');
    for (const wire of elsewhere) {
      expect((await run(wire, sql)).errors[0]?.reason).toBe('approval.required');
      expect(ticketOf(wire)).not.toBe(id);
    }
    const later = await opened('payments-bot');
    expect((await run(later, sql)).tags).toEqual(['DELETE 0']);
    for (const wire of [bot, later, ...elsewhere]) wire.destroy();
  });

  test('a ticket whose approver turned out to be the requester passes nothing', async () => {
    const who = `second-${Date.now()}`;
    await admin.call('POST', '/v1/principals', { name: who, kind: 'person', roles: ['approver'] });
    await admin.call('PUT', `/v1/groups/dba/members/${who}`);
    const { token } = await admin.call<{ token: string }>('POST', `/v1/principals/${who}/tokens`, { name: 'test' });
    const ben = await opened('ben');
    await run(ben, HARMLESS(24));
    const id = ticketOf(ben);
    await known(id);
    await restClient(dev.rest, token).call('POST', `/v1/approvals/${id}/approve`, {});
    await admin.call('PATCH', '/v1/principals/ben', { sameAs: who });
    try {
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      const later = await opened('ben');
      expect((await run(later, HARMLESS(24))).errors[0]?.reason).toBe('approval.required');
      expect(ticketOf(later)).not.toBe(id);
      later.destroy();
    } finally {
      await admin.call('PATCH', '/v1/principals/ben', { sameAs: null });
      await admin.call('DELETE', `/v1/principals/${who}`);
    }
    ben.destroy();
  });

  test('a ticket is for the settings that its statement was asked under', async () => {
    const sql = "delete from payments where id = 900000024 and paid_at < '01/02/2026'";
    const bot = await opened('payments-bot');
    await run(bot, sql);
    const id = await approvedTicket(bot);
    const before: readonly (readonly string[])[] = [
      ["set datestyle = 'SQL, DMY'"],
      ["set intervalstyle = 'sql_standard'"],
      ["set time zone 'Asia/Tokyo'"],
      ["select set_config('DateStyle', 'SQL, DMY', false)"],
      ['begin', "set local datestyle = 'SQL, DMY'"],
      ["begin; set local timezone = 'Asia/Tokyo'"],
      ['set transform_null_equals = on'],
      ["set lc_numeric = 'C'"],
      ['set array_nulls = off'],
      ['set xmloption = document'],
      ['set row_security = off'],
    ];
    for (const statements of before) {
      const wire = await opened('payments-bot');
      for (const each of statements) expect((await run(wire, each)).errors, each).toEqual([]);
      expect((await run(wire, sql)).errors[0]?.reason, statements.join('; ')).toBe('approval.required');
      expect(ticketOf(wire), statements.join('; ')).not.toBe(id);
      wire.destroy();
    }
    const begun: readonly Record<string, string>[] = [
      { DateStyle: 'SQL, DMY' },
      { TimeZone: 'Asia/Tokyo' },
      { IntervalStyle: 'sql_standard' },
      { extra_float_digits: '-5' },
    ];
    for (const parameters of begun) {
      const wire = await opened('payments-bot', { parameters });
      expect((await run(wire, sql)).errors[0]?.reason, JSON.stringify(parameters)).toBe('approval.required');
      expect(ticketOf(wire), JSON.stringify(parameters)).not.toBe(id);
      wire.destroy();
    }
    // What changes nothing of it: other words for the same, what a transaction that is over had, limits and names.
    const later = await opened('payments-bot', {
      parameters: { DateStyle: 'iso, mdy', application_name: 'again', statement_timeout: '60000' },
    });
    for (const each of [
      "set application_name = 'x'",
      "set statement_timeout = '30s'",
      'set session characteristics as transaction isolation level repeatable read',
      "begin; set local datestyle = 'SQL, DMY'",
      'commit',
    ])
      expect((await run(later, each)).errors, each).toEqual([]);
    expect((await run(later, sql)).tags).toEqual(['DELETE 0']);
    for (const wire of [bot, later]) wire.destroy();
  });

  test('what was undone moved nothing, and a ticket asked then is for no session that did it', async () => {
    const sql = 'delete from payments where id = 900000025';
    const bot = await opened('payments-bot');
    for (const each of ['begin', 'set search_path = information_schema, public', 'rollback']) await run(bot, each);
    expect((await run(bot, sql)).errors[0]?.reason).toBe('approval.required');
    const id = await approvedTicket(bot);
    const moved = [
      ['set search_path = information_schema, public'],
      ['begin', 'set search_path = information_schema, public', 'commit'],
      ['begin', 'set search_path = information_schema, public'],
    ];
    for (const statements of moved) {
      const wire = await opened('payments-bot');
      for (const each of statements) expect((await run(wire, each)).errors, each).toEqual([]);
      expect((await run(wire, sql)).errors[0]?.reason, statements.join('; ')).toBe('approval.required');
      expect(ticketOf(wire), statements.join('; ')).not.toBe(id);
      wire.destroy();
    }
    bot.destroy();
  });

  test('a ticket for what was prepared is for the settings it was prepared under', async () => {
    const sql = "delete from payments where id = 900000026 and paid_at < '01/02/2026'";
    const dmy = "set datestyle = 'SQL, DMY'";
    const iso = "set datestyle = 'ISO, MDY'";
    const prepared = async (...order: readonly (string | Uint8Array[])[]): Promise<Wire> => {
      const wire = await opened('payments-bot');
      for (const each of order) {
        const mark = wire.mark();
        await wire.send(...(typeof each === 'string' ? [query(each)] : each));
        expect((await wire.until(settled(), { mark })).errors).toEqual([]);
      }
      return wire;
    };
    const parsed = [parse(sql, 's'), sync()];
    const ran = async (wire: Wire) => {
      const mark = wire.mark();
      await wire.send(bind({ statement: 's' }), execute(), sync());
      return wire.until(settled(), { mark });
    };
    const one = await prepared(dmy, iso, parsed);
    const two = await prepared(dmy, parsed, iso);
    expect((await ran(one)).errors[0]?.reason).toBe('approval.required');
    const next = await approvedTicket(one);
    expect((await ran(two)).errors[0]?.reason).toBe('approval.required');
    expect(ticketOf(two)).not.toBe(next);
    expect((await ran(one)).tags).toEqual(['DELETE 0']);
    for (const wire of [one, two]) wire.destroy();
  });

  test('a ticket used by two sessions at once passes one of them', async () => {
    const one = await opened('payments-bot');
    const two = await opened('payments-bot');
    await run(one, HARMLESS(22));
    await approvedTicket(one);
    const both = await Promise.all([run(one, HARMLESS(22)), run(two, HARMLESS(22))]);
    expect(both.flatMap((seen) => seen.tags)).toEqual(['DELETE 0']);
    one.destroy();
    two.destroy();
  });
});
