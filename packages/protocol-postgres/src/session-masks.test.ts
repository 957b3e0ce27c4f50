import type { MaskSet } from '@sallyport/model';
import { allow, digestOfAnswer, say, TEST_TOKEN } from '@sallyport/testkit';
import pg from 'pg';
import postgres from 'postgres';
import { describe, expect, test } from 'vitest';
import { database, gateway, masks, wire } from '../test/session.fixture.ts';

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
