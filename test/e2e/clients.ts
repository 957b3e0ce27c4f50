/** The client matrix: real psql, node-postgres, porsager/postgres, Prisma and psycopg through a real agent. */
import { execFile, execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import postgres from 'postgres';
import type { DevFile } from '../../scripts/stack/dev-file.ts';
import { accessToken } from '../../scripts/stack/rest.ts';
import { apiToken, connectionFor } from '../../scripts/stack/sql-client.ts';
import type { ClientAnswer, MatrixClient } from './client.ts';

const RESOURCE = 'payments-db';
function cell(value: unknown): string | null {
  if (value === null || value === undefined) return null;
  if (value instanceof Date) return value.toISOString();
  return typeof value === 'object' ? JSON.stringify(value) : String(value as string | number | bigint | boolean);
}
const ok = (rows: readonly (readonly unknown[])[]): ClientAnswer => ({
  rows: rows.map((row) => row.map(cell)),
  sqlstate: undefined,
  message: '',
});
const failed = (error: unknown): ClientAnswer => {
  const { code, message, detail, meta } = error as {
    code?: string;
    message: string;
    detail?: string;
    meta?: { driverAdapterError?: { cause?: { originalCode?: string; originalMessage?: string } } };
  };
  const cause = meta?.driverAdapterError?.cause;
  return {
    rows: [],
    sqlstate: cause?.originalCode ?? code ?? '',
    message: `${cause?.originalMessage ?? message} ${detail ?? ''}`.trim(),
  };
};
const tokenFor = async (dev: DevFile, principal: string): Promise<string> =>
  accessToken(dev.rest, await apiToken(dev, principal), RESOURCE);

function nodePostgres(dev: DevFile): MatrixClient {
  const withClient = async <T>(principal: string, use: (client: pg.Client) => Promise<T>): Promise<T> => {
    const client = new pg.Client(await connectionFor(dev, principal));
    await client.connect();
    try {
      return await use(client);
    } finally {
      await client.end();
    }
  };
  const ask = (client: pg.Client, config: pg.QueryConfig): Promise<ClientAnswer> =>
    client
      .query({ ...config, rowMode: 'array' } as pg.QueryArrayConfig)
      .then((result) => ok(result.rows as unknown[][]), failed);
  return {
    name: 'node-postgres',
    missing: () => undefined,
    run: (principal, statements) =>
      withClient(principal, async (client) => {
        const answers: ClientAnswer[] = [];
        for (const text of statements) answers.push(await ask(client, { text }));
        return answers;
      }),
    bind: (principal, text, value) =>
      withClient(principal, (client) => ask(client, { name: 'prepared', text, values: [value] })),
  };
}

function porsager(dev: DevFile): MatrixClient {
  const withSql = async <T>(principal: string, use: (sql: postgres.Sql) => Promise<T>): Promise<T> => {
    const sql = postgres({
      host: dev.agent.host,
      port: dev.agent.postgres,
      user: RESOURCE,
      pass: await tokenFor(dev, principal),
      database: dev.demo.database,
      ssl: { ca: readFileSync(dev.ca, 'utf8'), servername: 'localhost' },
      max: 1,
      onnotice: () => undefined,
    });
    try {
      return await use(sql);
    } finally {
      await sql.end({ timeout: 2 });
    }
  };
  return {
    name: 'porsager/postgres',
    missing: () => undefined,
    run: (principal, statements) =>
      withSql(principal, async (sql) => {
        const answers: ClientAnswer[] = [];
        for (const text of statements)
          answers.push(
            await sql
              .unsafe(text)
              .values()
              .then((rows) => ok(rows as unknown as unknown[][]), failed),
          );
        return answers;
      }),
    bind: (principal, text, value) =>
      withSql(principal, (sql) =>
        sql
          .unsafe(text, [value], { prepare: true })
          .values()
          .then((rows) => ok(rows as unknown as unknown[][]), failed),
      ),
  };
}

function psql(dev: DevFile): MatrixClient {
  const program = '/usr/bin/psql';
  const run = async (principal: string, script: string): Promise<string> => {
    const env = { PATH: process.env['PATH'] ?? '', PGPASSWORD: await tokenFor(dev, principal), LC_ALL: 'C.UTF-8' };
    const conninfo = `host=127.0.0.1 port=${dev.agent.postgres} user=${RESOURCE} dbname=${dev.demo.database} sslmode=verify-full sslrootcert=${dev.ca}`;
    return new Promise((resolve, reject) => {
      const child = execFile(
        program,
        [conninfo, '-X', '-q', '-A', '-t', '-F', '\u001f', '-v', 'VERBOSITY=verbose'],
        { env, maxBuffer: 64 << 20 },
        (error, out, err) =>
          error !== null && out === '' && err !== '' && !err.includes('ERROR') ? reject(new Error(err)) : resolve(out),
      );
      child.stdin?.end(script);
    });
  };
  const MARK = '\u001e';
  const parse = (chunk: string): ClientAnswer => {
    const [body = '', state = '', message = ''] = chunk.split('\u001d');
    if (state.trim() !== '' && state.trim() !== '00000')
      return { rows: [], sqlstate: state.trim(), message: message.trim() };
    const lines = body.split('\n').filter((line) => line !== '');
    return { rows: lines.map((line) => line.split('\u001f')), sqlstate: undefined, message: '' };
  };
  const after = `\\echo -n '\u001d' :SQLSTATE '\u001d' :LAST_ERROR_MESSAGE '${MARK}'\n`;
  return {
    name: 'psql',
    missing: () => (existsSync(program) ? undefined : 'psql is not installed'),
    run: async (principal, statements) => {
      const out = await run(principal, statements.map((statement) => `${statement};\n${after}`).join(''));
      return out.split(MARK).slice(0, statements.length).map(parse);
    },
    // psql 15 has no \\bind: its way to a parameter is a variable it writes into the text.
    bind: async (principal, statement, value) => {
      const out = await run(principal, `\\set value ${value}\n${statement.replace('$1', ':value')};\n${after}`);
      return parse(out.split(MARK)[0] ?? '');
    },
  };
}

function psycopg(dev: DevFile): MatrixClient {
  const script = path.join(import.meta.dirname, 'psycopg-client.py');
  const run = async (
    principal: string,
    statements: readonly { sql: string; value?: number }[],
  ): Promise<readonly ClientAnswer[]> => {
    const env = { PATH: '/usr/bin:/bin', PGPASSWORD: await tokenFor(dev, principal) };
    const input = JSON.stringify({
      host: '127.0.0.1',
      port: dev.agent.postgres,
      user: RESOURCE,
      dbname: dev.demo.database,
      ca: dev.ca,
      statements,
    });
    return new Promise((resolve, reject) => {
      const child = execFile('/usr/bin/python3', [script], { env, maxBuffer: 64 << 20 }, (error, out, err) =>
        error === null ? resolve(JSON.parse(out) as ClientAnswer[]) : reject(new Error(err)),
      );
      child.stdin?.end(input);
    });
  };
  return {
    name: 'psycopg',
    missing: () => {
      try {
        execFileSync('/usr/bin/python3', ['-c', 'import psycopg'], { stdio: 'ignore' });
        return undefined;
      } catch {
        return 'python3-psycopg is not installed';
      }
    },
    run: (principal, statements) =>
      run(
        principal,
        statements.map((sql) => ({ sql })),
      ),
    bind: async (principal, statement, value) =>
      (await run(principal, [{ sql: statement.replace('$1', '%s'), value }]))[0]!,
  };
}

function prisma(dev: DevFile): MatrixClient {
  // Prisma's own engine and query plan over its PostgreSQL adapter; any generated client serves for raw statements.
  const withClient = async <T>(principal: string, use: (client: PrismaRaw) => Promise<T>): Promise<T> => {
    const { PrismaPg } = await import('@prisma/adapter-pg');
    const { PrismaClient } = (await import('./generated/prisma/client.ts')) as {
      PrismaClient: new (options: { adapter: unknown }) => PrismaRaw;
    };
    const config = await connectionFor(dev, principal);
    const client = new PrismaClient({ adapter: new PrismaPg({ ...config, max: 1 } as pg.PoolConfig) });
    try {
      return await use(client);
    } finally {
      await client.$disconnect();
    }
  };
  const shown = (rows: unknown): ClientAnswer =>
    ok((Array.isArray(rows) ? rows : []).map((row) => Object.values(row as object)));
  return {
    name: 'Prisma',
    missing: () => undefined,
    run: (principal, statements) =>
      withClient(principal, async (client) => {
        const answers: ClientAnswer[] = [];
        for (const text of statements) answers.push(await client.$queryRawUnsafe(text).then(shown, failed));
        return answers;
      }),
    bind: (principal, _statement, value) =>
      withClient(principal, (client) =>
        client.customer
          .findMany({ where: { id: BigInt(value) }, select: { name: true, card_number: true } })
          .then(shown, failed),
      ),
  };
}

interface PrismaRaw {
  $queryRawUnsafe(sql: string): Promise<unknown>;
  $disconnect(): Promise<void>;
  readonly customer: { findMany(query: unknown): Promise<unknown> };
}

export const matrixClients = (dev: DevFile): readonly MatrixClient[] => [
  psql(dev),
  nodePostgres(dev),
  porsager(dev),
  prisma(dev),
  psycopg(dev),
];
