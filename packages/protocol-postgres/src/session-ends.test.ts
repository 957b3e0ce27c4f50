import { cellsOf, digestOfAnswer, fieldsOf, say, testResource } from '@sallyport/testkit';
import { describe, expect, test } from 'vitest';
import { database, gateway, holdDeletes, tap, wire } from '../test/session.fixture.ts';

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
