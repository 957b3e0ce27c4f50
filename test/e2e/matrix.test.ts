import { expect, inject, test } from 'vitest';
import { matrixClients } from './clients.ts';

const FLOOR = 5;
const dev = inject('dev');
const clients = matrixClients(dev);
const present = clients.filter((client) => client.missing() === undefined);

test('the client matrix is whole where packages can be installed', () => {
  const missing = clients.flatMap((client) => client.missing() ?? []);
  if (process.env['SALLYPORT_TEST_FLOOR'] === '1') expect(missing).toEqual([]);
  expect(clients.length).toBeGreaterThanOrEqual(FLOOR);
});

for (const client of clients.filter((c) => !present.includes(c)))
  test.skip(`${client.name}: ${client.missing()}`, () => undefined);

for (const client of present) {
  test(`${client.name} reads masked values`, async () => {
    const [answer] = await client.run('carla', [
      'select name, card_number, national_id, email from customers where id = 11',
    ]);
    expect(answer?.message).toBe('');
    const [name, card, id, email] = answer?.rows[0] ?? [];
    expect(name).toMatch(/^\w+ \w+$/);
    expect(card).toMatch(/^\*+\d{4}$/);
    expect(id).toMatch(/\*/);
    expect(email).not.toMatch(/^[a-z]+\.[a-z]+11@example\.com$/);
  });

  test(`${client.name} reads masked values with a bound parameter`, async () => {
    const answer = await client.bind('carla', 'select name, card_number from customers where id = $1', 12);
    expect(answer.message).toBe('');
    expect(answer.rows[0]?.[1]).toMatch(/^\*+\d{4}$/);
  });

  test(`${client.name} is told why a DROP is denied, and goes on`, async () => {
    const answers = await client.run('payments-bot', ['drop table payments', 'select 1 as one']);
    expect(answers[0]?.sqlstate).toBe('42501');
    expect(answers[1]?.rows).toEqual([['1']]);
  });

  test(`${client.name} reads many rows whole`, async () => {
    const [answer] = await client.run('carla', ['select id, name from customers order by id']);
    expect(answer?.rows.length).toBe(60_000);
    expect(answer?.rows[59_999]?.[0]).toBe('60000');
  });
}

// Prisma and porsager/postgres refuse a bare BEGIN outside their own transaction API; the others speak to one session.
for (const client of present.filter((c) => ['psql', 'node-postgres', 'psycopg'].includes(c.name))) {
  test(`${client.name} sees a failed transaction after a denial inside one`, async () => {
    const answers = await client.run('payments-bot', [
      'begin',
      'drop table payments',
      'select 1',
      'rollback',
      'select 2',
    ]);
    expect(answers.map((a) => a.sqlstate ?? 'ok')).toEqual(['ok', '42501', '25P02', 'ok', 'ok']);
  });
}
