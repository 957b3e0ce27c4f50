import { createParsePool, loadSqlParser } from '@sallyport/sql';
import {
  allow,
  connectWire,
  digestOfAnswer,
  fieldsOf,
  passwordCredential,
  say,
  startDemoDatabase,
  startGateway,
  TEST_TOKEN,
  testResource,
} from '@sallyport/testkit';
import { LOOKUP, lookupValues } from './src/catalog.ts';
import { createPostgresAdapter } from './src/index.ts';

await loadSqlParser();
const db = await startDemoDatabase();
const masks = {
  columns: [{ schema: 'public', table: 'customers', column: 'ssn', with: 'redact' as const }],
  detect: [],
};
try {
  const c = await db.direct();
  const r = await c.query({ text: LOOKUP, values: lookupValues(masks.columns) as string[], rowMode: 'array' });
  console.log(r.rows.map((x) => x.join(' | ').replaceAll(/\s+/g, ' ')));
  await c.end();
} catch (e) {
  console.log(e);
}
const to = await startGateway({
  adapter: createPostgresAdapter({ pool: createParsePool() }),
  resource: testResource({ port: db.server.port }),
  credential: passwordCredential('postgres', db.server.password),
  decide: () => allow(masks),
});
const client = await connectWire(to.port);
await client.signIn({ user: 'payments-db', database: 'postgres' }, TEST_TOKEN);
for (const sql of process.argv.slice(2)) {
  const a = await client.query(sql);
  console.log(
    sql,
    '=>',
    digestOfAnswer(a),
    a.filter((m) => m.type === 'E').map((m) => fieldsOf(m.body)),
  );
}
client.end();
await to.close();
await db.stop();
process.exit(0);
