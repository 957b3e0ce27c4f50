/**
 * A gateway in front of a real server, for the tests of the session: one database and one tap for a file, sessions that are
 * closed after each test. Refuses to know what is tested.
 */
import type { MaskSet } from '@sallyport/model';
import { createParsePool, loadSqlParser } from '@sallyport/sql';
import {
  allow,
  connectWire,
  type DemoDatabase,
  type Gateway,
  type GatewayOptions,
  hold,
  passwordCredential,
  startDemoDatabase,
  startGateway,
  startTap,
  type Tap,
  TEST_TOKEN,
  testResource,
  type WireClient,
} from '@sallyport/testkit';
import { afterAll, afterEach, beforeAll } from 'vitest';
import { createPostgresAdapter } from '../src/index.ts';

export let database: DemoDatabase;
export let tap: Tap;
export const cleanUps: (() => unknown)[] = [];

beforeAll(async () => {
  await loadSqlParser();
  database = await startDemoDatabase();
  tap = await startTap(database.server);
}, 60_000);
afterAll(async () => {
  await tap.close();
  await database.stop();
});
afterEach(async () => {
  for (const undo of cleanUps.splice(0).reverse()) await undo();
});

export const pool = createParsePool();

export async function gateway(options: Partial<GatewayOptions> = {}): Promise<Gateway> {
  const made = await startGateway({
    adapter: createPostgresAdapter({ pool }),
    resource: testResource({ port: tap.port }),
    credential: passwordCredential('postgres', database.server.password),
    ...options,
  });
  cleanUps.push(() => made.close());
  return made;
}

export async function wire(
  to: Gateway,
  parameters: Record<string, string> = {},
  version?: number,
): Promise<WireClient> {
  const client = await connectWire(to.port);
  cleanUps.push(() => client.end());
  await client.signIn({ user: 'payments-db', database: 'postgres', ...parameters }, TEST_TOKEN, version);
  return client;
}

export const masks: MaskSet = {
  columns: [
    { schema: 'public', table: 'customers', column: 'ssn', with: 'redact' },
    { schema: 'public', table: 'people', column: 'ssn', with: 'redact' },
  ],
  detect: [{ detect: 'payment_card', with: 'partial' }],
};

export const holdDeletes: GatewayOptions['decide'] = (statement, approval) =>
  approval === undefined && statement.facts.sql?.statements.some((facts) => facts.kind === 'delete')
    ? hold('Ask first.')
    : allow();
