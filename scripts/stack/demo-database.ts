/**
 * The demo's own PostgreSQL: believable customers and payments, none of them real. Numbers pass their check digits, so
 * that detectors are shown honest work: SSNs have valid areas, cards pass Luhn, e-mails end in example.com.
 * Refuses to know Sallyport.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '@sallyport/embedded-postgres';
import pg from 'pg';
import { makeServerCertificate } from './certificates.ts';

export interface DemoDatabase {
  readonly server: EmbeddedPostgres;
  readonly database: string;
  readonly username: string;
  readonly password: string;
  /** PEM of the CA that its certificate chains to. */
  readonly ca: string;
}

export const DEMO_ROWS = { customers: 60_000, payments: 240_000 } as const;

const SCHEMA = `
create function pg_temp.luhn(prefix text) returns text language sql immutable as $$
  select prefix || ((10 - sum(case when i % 2 = 1 then (d * 2) / 10 + (d * 2) % 10 else d end) % 10) % 10)::text
  from (select i, substr(reverse(prefix), i::int, 1)::int as d from generate_series(1, length(prefix)) as i) as digits
$$;
create table customers (
  id bigint primary key, name text not null, email text not null unique, national_id text not null,
  card_number text not null, city text not null, created_at timestamptz not null
);
create table payments (
  id bigint primary key, customer_id bigint not null references customers, amount numeric(12,2) not null,
  currency text not null, status text not null, note text, paid_at timestamptz not null
);
insert into customers
select id, first || ' ' || last,
  lower(first) || '.' || lower(last) || id || '@example.com',
  lpad((1 + (id * 7919) % 665)::text, 3, '0') || '-' || lpad((1 + (id * 104729) % 99)::text, 2, '0') || '-' || lpad((1 + (id * 1299709) % 9999)::text, 4, '0'),
  pg_temp.luhn('4' || lpad(((id * 982451653) % 100000000000000)::text, 14, '0')),
  (array['Lisbon','Oslo','Turin','Ghent','Porto','Graz','Lyon','Malmö','Cork','Basel'])[1 + id % 10],
  timestamptz '2025-01-01' + (id % 600) * interval '1 day'
from (
  select id,
    (array['Ada','Bruno','Clara','Dario','Elin','Farid','Greta','Hugo','Ines','Jonas','Kaja','Luca','Mira','Nils','Olga','Pedro'])[1 + id % 16] as first,
    (array['Almeida','Berg','Costa','Dahl','Eriksen','Ferri','Garcia','Horvat','Ivanov','Jansen','Keller','Lopes','Moreau','Novak'])[1 + (id / 16) % 14] as last
  from generate_series(1, ${DEMO_ROWS.customers}::bigint) as id
) as people;
insert into payments
select id, 1 + (id * 31) % ${DEMO_ROWS.customers}, ((id * 7919) % 500000) / 100.0 + 1,
  (array['EUR','EUR','EUR','USD','NOK'])[1 + id % 5], (array['settled','settled','settled','pending','refunded'])[1 + (id / 5) % 5],
  case when id % 1000 = 0 then 'card ' || pg_temp.luhn('4' || lpad(((id * 982451653) % 100000000000000)::text, 14, '0')) || ' declined once' end,
  timestamptz '2026-01-01' + (id % 300) * interval '1 day'
from generate_series(1, ${DEMO_ROWS.payments}::bigint) as id;
create index on payments (customer_id);
create view open_payments as select p.id, p.amount, c.name from payments p join customers c on c.id = p.customer_id where p.status = 'pending';
analyze;
`;

async function runAs(config: pg.ClientConfig, statements: readonly string[]): Promise<void> {
  const client = new pg.Client({ ...config, ssl: { rejectUnauthorized: false } });
  await client.connect();
  try {
    for (const statement of statements) await client.query(statement);
  } finally {
    await client.end();
  }
}

async function createDatabase(server: EmbeddedPostgres, password: string): Promise<void> {
  await runAs({ connectionString: server.url() }, [
    `create role payments_app login password '${password}'`,
    'create database payments owner payments_app',
  ]);
  const { host, port } = server;
  await runAs({ host, port, user: 'payments_app', password, database: 'payments' }, [SCHEMA]);
}

/** Starts it, and fills it the first time. @param dir kept folder; @param port 0 = any; @param settings further ones of the server; @param binDir of another server's programs */
export async function startDemoDatabase(
  dir: string,
  port: number,
  settings: Readonly<Record<string, string>> = {},
  binDir?: string,
): Promise<DemoDatabase> {
  // PostgreSQL's own user must be able to pass through to the folder below.
  mkdirSync(dir, { recursive: true, mode: 0o711 });
  const certificates = await makeServerCertificate(path.join(dir, 'tls'), 'demo PostgreSQL');
  const server = await startEmbeddedPostgres({
    dir: path.join(dir, 'server'),
    ...(port === 0 ? {} : { port }),
    ...(binDir === undefined ? {} : { binDir }),
    tls: { cert: certificates.chain, key: certificates.key },
    settings: { fsync: 'off', shared_buffers: '256MB', max_connections: '300', jit: 'off', ...settings },
    hba: 'hostssl all all 127.0.0.1/32 scram-sha-256\nhost all postgres 127.0.0.1/32 scram-sha-256\n',
  });
  const passwordFile = path.join(dir, 'payments_app.password');
  const filled = existsSync(passwordFile);
  const password = filled ? readFileSync(passwordFile, 'utf8') : randomBytes(18).toString('base64url');
  if (!filled) {
    try {
      await createDatabase(server, password);
    } catch (error) {
      await server.stop();
      throw error;
    }
    writeFileSync(passwordFile, password, { mode: 0o600 });
  }
  return { server, database: 'payments', username: 'payments_app', password, ca: certificates.ca };
}
