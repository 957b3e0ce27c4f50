/**
 * `node scripts/db-new.ts <name>`: makes the next migration's SQL from the difference between the schema as the
 * migrations leave it (migrations/schema.snapshot.prisma) and prisma/schema.prisma. Edit the SQL by hand afterwards.
 * Prisma's own engine as WebAssembly does the work (scripts/schema-engine.ts); nothing is fetched. It wants a server to talk to, so it is given an empty one for the moment.
 */
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { startEmbeddedPostgres } from '@sallyport/embedded-postgres';
import { openSchemaEngine } from './schema-engine.ts';

const prisma = path.join(import.meta.dirname, '../apps/control-plane/prisma');
const schema = path.join(prisma, 'schema.prisma');
const snapshot = path.join(prisma, 'migrations/schema.snapshot.prisma');

const name = process.argv[2];
if (name === undefined || !/^[a-z0-9_]+$/.test(name)) {
  console.error('Give the migration a name of lower-case letters, digits and _: node scripts/db-new.ts add_labels');
  process.exit(2);
}
const dir = mkdtempSync(path.join(tmpdir(), 'sallyport-db-new-'));
const server = await startEmbeddedPostgres({ dir });
const engine = await openSchemaEngine(schema, server.url());
const sql = await engine.diff(existsSync(snapshot) ? readFileSync(snapshot, 'utf8') : undefined);
engine.close();
await server.stop();
rmSync(dir, { recursive: true, force: true });
if (sql === undefined) {
  console.log('The schema has not changed.');
} else {
  const stamp = new Date().toISOString().replace(/\D/g, '').slice(0, 14);
  const folder = path.join(prisma, 'migrations', `${stamp}_${name}`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, 'migration.sql'), sql);
  copyFileSync(schema, snapshot);
  console.log(path.relative(process.cwd(), path.join(folder, 'migration.sql')));
}
process.exit(0);
