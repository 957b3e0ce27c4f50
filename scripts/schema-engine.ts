/**
 * Prisma's schema engine as WebAssembly over the pg driver adapter: differences between schemas, and between a live
 * database and a schema. Refuses to apply anything: the control plane's own runner does (apps/control-plane/src/db).
 * Never call `devDiagnostic` of this engine: its "shadow" database would be the real one.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { PrismaPg } from '@prisma/adapter-pg';
import { bindMigrationAwareSqlAdapterFactory } from '@prisma/driver-adapter-utils';
import * as glue from '@prisma/schema-engine-wasm/schema_engine_bg';

const FILTERS = { externalTables: [], externalEnums: [] };
/** PostgreSQL's "char" (oid 18) is refused by the adapter though the engine selects it: it is reported as text (25). */
const CHAR_OID = 18;
const TEXT_OID = 25;

interface DiffAnswer {
  readonly exitCode: number;
  readonly stdout?: string | null;
}

/** The adapter's inner client, which its types do not show. */
interface PatchedConnection {
  readonly client: {
    query(...args: unknown[]): Promise<QueryAnswer | undefined>;
  };
}
interface QueryAnswer {
  readonly fields?: { readonly name: string; dataTypeID: number }[];
  rows: unknown[][];
}

export interface SchemaEngine {
  /** SQL from an earlier schema's text (absent = nothing) to the schema; undefined when they are alike. */
  diff(from: string | undefined): Promise<string | undefined>;
  /** SQL from the live database to the schema; undefined when they are alike. */
  drift(): Promise<string | undefined>;
  close(): void;
}

/** @param databaseUrl a server the engine may connect to; read only, and only by `drift` */
export async function openSchemaEngine(schemaPath: string, databaseUrl: string): Promise<SchemaEngine> {
  const resolved = createRequire(import.meta.url).resolve('@prisma/schema-engine-wasm');
  const wasm = readFileSync(path.join(path.dirname(resolved), 'schema_engine_bg.wasm'));
  const { instance } = await WebAssembly.instantiate(wasm, { './schema_engine_bg.js': glue });
  glue.__wbg_set_wasm(instance.exports);
  (instance.exports['__wbindgen_start'] as () => void)();
  const url = new URL(databaseUrl);
  const raw = new PrismaPg({
    host: url.hostname,
    port: Number(url.port),
    user: url.username,
    password: decodeURIComponent(url.password),
    database: url.pathname.slice(1),
  });
  const patch = (connection: PatchedConnection): PatchedConnection => {
    const query = connection.client.query.bind(connection.client);
    connection.client.query = async (...args) => {
      const answer = await query(...args);
      for (const field of answer?.fields ?? []) if (field.dataTypeID === CHAR_OID) field.dataTypeID = TEXT_OID;
      // PostgreSQL 18 lists NOT NULL among constraints, which this engine cannot read; columns say it already.
      const at = (answer?.fields ?? []).findIndex((field) => field.name === 'constraint_type');
      if (at >= 0 && answer !== undefined) answer.rows = answer.rows.filter((row) => row[at] !== 'n');
      return answer;
    };
    return connection;
  };
  const factory = {
    provider: raw.provider,
    adapterName: raw.adapterName,
    connect: async () => patch((await raw.connect()) as unknown as PatchedConnection),
    connectToShadowDb: () => Promise.reject(new Error('no shadow database: see the header')),
  };
  const content = readFileSync(schemaPath, 'utf8');
  const files = [{ path: schemaPath, content }];
  const engine = await glue.SchemaEngine.new(
    { datamodels: [[schemaPath, content]] },
    () => undefined,
    bindMigrationAwareSqlAdapterFactory(factory as never),
  );
  const run = async (from: unknown): Promise<string | undefined> => {
    const answer: DiffAnswer = await engine.diff({
      from: from as never,
      to: { tag: 'schemaDatamodel', files },
      script: true,
      exitCode: true,
      filters: FILTERS,
    });
    return answer.exitCode === 0 ? undefined : (answer.stdout ?? '');
  };
  return {
    diff: (from) =>
      run(
        from === undefined
          ? { tag: 'empty' }
          : { tag: 'schemaDatamodel', files: [{ path: 'schema.prisma', content: from }] },
      ),
    drift: () => run({ tag: 'schemaDatasource', files, configDir: path.dirname(schemaPath) }),
    close: () => engine.free(),
  };
}
