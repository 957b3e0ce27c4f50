import { describeConformance } from '@sallyport/protocol-kit/conformance';
import { createParsePool, loadSqlParser } from '@sallyport/sql';
import {
  connectWire,
  type DemoDatabase,
  fieldsOf,
  type Message,
  passwordCredential,
  say,
  startDemoDatabase,
  startGateway,
  startTap,
  type Tap,
  TEST_TOKEN,
  testResource,
  wireFrame,
} from '@sallyport/testkit';
import { afterAll, beforeAll } from 'vitest';
import { createPostgresAdapter } from './index.ts';

let database: DemoDatabase;
let tap: Tap;
const pool = createParsePool();

beforeAll(async () => {
  await loadSqlParser();
  database = await startDemoDatabase();
  tap = await startTap(database.server);
}, 60_000);
afterAll(async () => {
  await tap.close();
  await database.stop();
});

const rowsOf = (messages: readonly Message[]): Buffer =>
  Buffer.concat(messages.filter((message) => message.type === 'D').map((message) => wireFrame('D', message.body)));

describeConformance('PostgreSQL', {
  reads: (marker) => `select '${marker}', generate_series(1, 3)`,
  lasts: (marker) => `select '${marker}', pg_sleep(30)`,
  unknown: (marker) => `select '${marker}' from from`,
  start: async (options) => {
    const gateway = await startGateway({
      adapter: createPostgresAdapter({ pool }),
      resource: testResource({ port: tap.port }),
      credential: passwordCredential('postgres', database.server.password),
      ...options,
    });
    return {
      judged: gateway.judged,
      held: () => gateway.holds,
      recordedRows: () => gateway.recorded.rows,
      end: (code) => gateway.end(code),
      close: () => gateway.close(),
      upstreamSaw: (marker) => tap.sent().includes(marker),
      running: async (marker) =>
        (
          await database.ask(
            `select 1 from pg_stat_activity where state = 'active' and pid <> pg_backend_pid() and query like '%${marker}%'`,
          )
        ).length,
      connect: async () => {
        const client = await connectWire(gateway.port);
        await client.signIn({ user: 'payments-db', database: 'postgres' }, TEST_TOKEN);
        return {
          ask: async (statement) => {
            const messages = await client.query(statement);
            const told = messages
              .filter((message) => message.type === 'E' || message.type === 'N')
              .map((message) => fieldsOf(message.body));
            return {
              ok: !messages.some((message) => message.type === 'E'),
              text: told.map((fields) => `${fields['M']} ${fields['D'] ?? ''}`).join('\n'),
              rows: rowsOf(messages),
            };
          },
          push: (statement) => {
            client.send(say.query(statement));
            return client.socket.writableLength;
          },
          closed: async () => void (await client.closed()),
          destroy: () => client.end(),
        };
      },
    };
  },
});
