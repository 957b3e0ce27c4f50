/**
 * The demo's own HTTP service: customers and payments of the demo database as a small JSON API over TLS, behind one API key
 * that its clients never see. Refuses to know Sallyport.
 */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import pg from 'pg';
import { makeServerCertificate } from './certificates.ts';
import type { DemoDatabase } from './demo-database.ts';

export interface DemoApi {
  readonly url: string;
  /** PEM of the CA that its certificate chains to. */
  readonly ca: string;
  readonly apiKey: string;
  stop(): Promise<void>;
}

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

const BODY_BYTES_MAX = 64 * 1024;
const ROWS_MAX = 100;

/** @param dir kept folder: its key and certificate stay the same @param port 0 = any */
export async function startDemoApi(dir: string, database: DemoDatabase, port: number): Promise<DemoApi> {
  const certificate = await makeServerCertificate(path.join(dir, 'api-tls'), 'demo API');
  const keyFile = path.join(dir, 'api.key');
  if (!existsSync(keyFile)) writeFileSync(keyFile, randomBytes(24).toString('base64url'), { mode: 0o600 });
  const apiKey = readFileSync(keyFile, 'utf8').trim();
  const pool = new pg.Pool({ ...(await ownRole(database)), ssl: { ca: database.ca }, max: 4 });
  pool.on('error', () => undefined);
  const server = https.createServer({ cert: certificate.chain, key: certificate.key }, (request, response) => {
    void serve(request, pool, apiKey).then(
      (answer) => send(response, answer),
      () => send(response, { status: 500, body: { error: 'something went wrong' } }),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    ca: certificate.ca,
    apiKey,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await pool.end();
    },
  };
}

/** A role of its own, anew at each start: rotating what Sallyport's sessions use is nothing to it. */
async function ownRole(database: DemoDatabase): Promise<pg.ClientConfig> {
  const at = { host: database.server.host, port: database.server.port, database: database.database };
  const password = randomBytes(18).toString('base64url');
  const admin = new pg.Client({
    ...at,
    user: 'postgres',
    password: database.server.password,
    ssl: { ca: database.ca },
  });
  await admin.connect();
  try {
    const { rowCount } = await admin.query(`select from pg_roles where rolname = 'payments_api'`);
    if (rowCount === 0) await admin.query('create role payments_api');
    await admin.query(`alter role payments_api login password '${password}'`);
    await admin.query('grant select, insert on customers, payments to payments_api');
  } finally {
    await admin.end();
  }
  return { ...at, user: 'payments_api', password };
}

function send(response: ServerResponse, { status, body }: Answer): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(`${JSON.stringify(body)}\n`);
}

const isKey = (given: unknown, key: string): boolean =>
  typeof given === 'string' && given.length === key.length && timingSafeEqual(Buffer.from(given), Buffer.from(key));

async function serve(request: IncomingMessage, pool: pg.Pool, apiKey: string): Promise<Answer> {
  const body = await read(request);
  if (!isKey(request.headers['x-api-key'], apiKey)) return { status: 401, body: { error: 'an API key is needed' } };
  const url = new URL(request.url ?? '/', 'https://demo');
  const customer = /^\/v1\/customers\/(\d{1,9})$/.exec(url.pathname)?.[1];
  if (request.method === 'GET' && url.pathname === '/v1/customers') {
    const limit = Math.min(Number(url.searchParams.get('limit') ?? 10) || 10, ROWS_MAX);
    const { rows } = await pool.query(`${CUSTOMERS} order by id limit $1`, [limit]);
    return { status: 200, body: { customers: rows } };
  }
  if (request.method === 'GET' && customer !== undefined) {
    const { rows } = await pool.query<object>(`${CUSTOMERS} where id = $1`, [customer]);
    return rows[0] === undefined
      ? { status: 404, body: { error: 'no such customer' } }
      : { status: 200, body: rows[0] };
  }
  if (request.method === 'POST' && url.pathname === '/v1/payments') return pay(body, pool);
  return { status: 404, body: { error: 'nothing here' } };
}

const CUSTOMERS = 'select id::int, name, email, national_id, card_number, city from customers';

async function pay(body: string, pool: pg.Pool): Promise<Answer> {
  let wanted: { customer_id?: unknown; amount?: unknown; currency?: unknown };
  try {
    wanted = JSON.parse(body) as typeof wanted;
  } catch {
    return { status: 400, body: { error: 'JSON is expected' } };
  }
  const { customer_id: customer, amount, currency = 'EUR' } = wanted;
  if (typeof customer !== 'number' || typeof amount !== 'number' || typeof currency !== 'string')
    return { status: 400, body: { error: 'customer_id and amount are expected' } };
  const { rows } = await pool.query<{ id: number }>(
    `insert into payments select max(id) + 1, $1, $2, $3, 'pending', null, now() from payments returning id::int`,
    [customer, amount, currency.slice(0, 3)],
  );
  return { status: 201, body: { id: rows[0]?.id, customer_id: customer, amount, currency, status: 'pending' } };
}

async function read(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > BODY_BYTES_MAX) throw new Error('too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
