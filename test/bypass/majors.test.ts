/**
 * Rows that only an older server misreads, on real ones, through the relay to somebody who may read and nothing else. Past
 * the gateway the server takes each: otherwise the row would show nothing.
 */
import { createPostgresAdapter } from '@sallyport/protocol-postgres';
import { createParsePool, loadSqlParser } from '@sallyport/sql';
import {
  allow,
  connectWire,
  type DemoDatabase,
  deny,
  digestOfAnswer,
  type Gateway,
  passwordCredential,
  say,
  startDemoDatabase,
  startGateway,
  TEST_TOKEN,
  testResource,
} from '@sallyport/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isHere, SUPPORTED_SERVERS } from '../servers/servers.ts';
import { MAJORS } from './rows/majors.ts';

const pool = createParsePool();
beforeAll(loadSqlParser);
afterAll(() => pool.close());

for (const server of SUPPORTED_SERVERS) {
  const { major, binDir } = server;
  const rows = MAJORS.filter((row) => major <= row.until && major >= (row.since ?? 0));
  describe.skipIf(!isHere(server))(`PostgreSQL ${major}`, () => {
    let database: DemoDatabase;
    let gateway: Gateway;
    beforeAll(async () => {
      database = await startDemoDatabase(binDir === undefined ? {} : { binDir });
      await database.ask('create table ledger as select generate_series(1, 5) as id');
      gateway = await startGateway({
        adapter: createPostgresAdapter({ pool }),
        resource: testResource({ port: database.server.port }),
        credential: passwordCredential('postgres', database.server.password),
        decide: ({ effects }) =>
          effects.every((effect) => effect === 'read')
            ? allow({
                columns: [{ schema: 'public', table: 'system_user', column: 'system_user', with: 'redact' }],
                detect: [],
              })
            : deny('Reads alone.'),
      });
    }, 60_000);
    afterAll(async () => {
      await gateway?.close();
      await database?.stop();
    });

    for (const row of rows) {
      test(`${row.name}: denied`, async () => {
        if (row.setup !== undefined) await database.ask(row.setup);
        const client = await connectWire(gateway.port);
        try {
          await client.signIn({ user: 'payments-db', database: 'postgres' }, TEST_TOKEN);
          expect(digestOfAnswer(await client.query(row.sql))).toBe('E42501 ZI');
          client.send(say.parse('', row.sql), say.bind('', ''), say.execute(''), say.sync());
          expect(digestOfAnswer(await client.until('Z'))).toBe('E42501 ZI');
        } finally {
          client.end();
        }
        expect(await database.ask('select count(*)::int as n from ledger')).toEqual([{ n: 5 }]);
        const past = await database.ask(`begin; ${row.sql}; rollback`).then(
          () => 'ran',
          (error: { code?: string }) => error.code,
        );
        expect(past).toBe(row.past ?? 'ran');
      });
    }
  });
}
