/** Databases whose names are not in UTF-8: the server folds and cuts them by other rules than they are read by here. */

import { createPostgresAdapter } from '@sallyport/protocol-postgres';
import { createParsePool, loadSqlParser } from '@sallyport/sql';
import {
  allow,
  connectWire,
  type DemoDatabase,
  fieldsOf,
  type Gateway,
  passwordCredential,
  SECRET_IDS,
  say,
  startDemoDatabase,
  startGateway,
  TEST_TOKEN,
  testResource,
} from '@sallyport/testkit';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';

/** 40 characters: 80 bytes in UTF-8, of which PostgreSQL keeps 63, and 40 in LATIN1. */
const LONG = 'é'.repeat(40);
const DATABASES = { latin: LONG, utf: LONG.slice(0, 31) };

const pool = createParsePool();
let database: DemoDatabase;
let gateway: Gateway;
beforeAll(async () => {
  await loadSqlParser();
  database = await startDemoDatabase();
  await database.ask(`create database latin template template0 encoding 'LATIN1' locale 'C'`);
  await database.ask('create database utf');
  for (const name of Object.keys(DATABASES)) {
    const client = new pg.Client({ connectionString: database.server.url(name) });
    await client.connect();
    await client.query(`create table ${LONG} (ssn text)`);
    await client.query(`insert into ${LONG} values ('${SECRET_IDS[0]}')`);
    await client.end();
  }
  gateway = await startGateway({
    adapter: createPostgresAdapter({ pool }),
    resource: testResource({ port: database.server.port }),
    credential: passwordCredential('postgres', database.server.password),
    decide: () =>
      allow({
        columns: Object.values(DATABASES).map((table) => ({ schema: 'public', table, column: 'ssn', with: 'redact' })),
        detect: [],
      }),
  });
}, 60_000);
afterAll(async () => {
  await gateway.close();
  await database.stop();
});

test.each(Object.keys(DATABASES))('%s: a name beyond ASCII is the server’s or nobody’s', async (name) => {
  const client = await connectWire(gateway.port);
  try {
    await client.signIn({ user: 'payments-db', database: name }, TEST_TOKEN);
    const ask = async (sql: string): Promise<string> => {
      client.send(say.query(sql));
      const answer = await client.until('Z');
      const failed = answer.find(({ type }) => type === 'E');
      if (failed !== undefined) return fieldsOf(failed.body)['C']!;
      return Buffer.concat(answer.map(({ body }) => body)).toString('latin1');
    };
    expect(await ask(`select 'é' as told`)).toContain('told');
    expect(await ask(`select ssn || '' from ${LONG}`)).toBe('42501');
    expect(await ask(`select ssn || '' from U&"${LONG.replaceAll('é', '\\00e9')}"`)).toBe('42501');
  } finally {
    client.socket.destroy();
  }
});
