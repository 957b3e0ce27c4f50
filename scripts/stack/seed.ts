/**
 * Fills a fresh control plane with the demo: principals, groups, grants, credential, resource, policies. Safe to repeat.
 * Refuses to reach into the database: everything goes through the REST API, as an admin would.
 */
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { ROOT } from './build.ts';
import type { DemoApi } from './demo-api.ts';
import type { DemoDatabase } from './demo-database.ts';
import type { DemoPrincipal } from './dev-file.ts';
import { type Rest, RestError } from './rest.ts';

interface PrincipalPlan {
  readonly name: string;
  readonly kind: 'person' | 'service' | 'ai_agent';
  readonly displayName: string;
  readonly roles: readonly string[];
  readonly groups: readonly string[];
}

const PRINCIPALS: readonly PrincipalPlan[] = [
  {
    name: 'ana',
    kind: 'person',
    displayName: 'Ana, database administrator',
    roles: ['member', 'approver'],
    groups: ['dba', 'ops'],
  },
  {
    name: 'ben',
    kind: 'person',
    displayName: 'Ben, database administrator',
    roles: ['member', 'approver'],
    groups: ['dba'],
  },
  { name: 'carla', kind: 'person', displayName: 'Carla, analyst', roles: ['member'], groups: ['analysts'] },
  {
    name: 'payments-bot',
    kind: 'ai_agent',
    displayName: 'Payments assistant',
    roles: ['member'],
    groups: ['payments-bots'],
  },
  { name: 'nightly-etl', kind: 'service', displayName: 'Nightly export', roles: ['member'], groups: ['payments-bots'] },
];
const TOKEN_DAYS = 30;

async function ensure(rest: Rest, path: string, name: string, body: unknown): Promise<void> {
  try {
    await rest.call('GET', `${path}/${name}`);
  } catch (error) {
    if (!(error instanceof RestError) || error.status !== 404) throw error;
    await rest.call('POST', path, body);
  }
}

/** YAML documents of a folder, as `POST /v1/apply` takes them. */
export const documentsIn = (dir: string): { file: string; text: string }[] =>
  globSync('*.yaml', { cwd: path.join(ROOT, dir) })
    .sort()
    .map((file) => ({ file: `${dir}/${file}`, text: readFileSync(path.join(ROOT, dir, file), 'utf8') }));

function resourceDocument(database: DemoDatabase): string {
  const ca = database.ca.trim().replaceAll('\n', '\n      ');
  return `kind: Resource
name: payments-db
type: postgres
description: Customers and payments of the demo.
labels: { env: prod, team: payments }
credential: payments-app
postgres:
  host: 127.0.0.1
  port: ${database.server.port}
  databases: [${database.database}]
  tls: verify-full
  auth: [scram-sha-256, scram-sha-256-plus]
  ca: |
      ${ca}
recording: results
approval: wait
exceeded: deny
holdInTransactionMsMax: 30s
offline: { sessions: 24h, newSessions: 24h }
`;
}

function apiDocument(api: DemoApi): string {
  const ca = api.ca.trim().replaceAll('\n', '\n      ');
  return `kind: Resource
name: payments-api
type: http
description: Customers and payments of the demo over HTTPS.
labels: { env: prod, team: payments }
credential: payments-api-key
http:
  url: ${api.url}
  private: true
  ca: |
      ${ca}
  inject: { as: header, name: x-api-key }
  routes:
    - { method: GET, path: /v1/customers, operation: listCustomers }
    - { method: GET, path: "/v1/customers/{id}", operation: getCustomer }
    - { method: POST, path: /v1/payments, operation: createPayment }
recording: results
`;
}

async function seedCredential(rest: Rest, database: DemoDatabase): Promise<void> {
  await ensure(rest, '/v1/credentials', 'payments-app', {
    name: 'payments-app',
    kind: 'stored',
    username: database.username,
  });
  // Sallyport may have rotated it since: then nobody else knows the right one.
  const { hasSecret } = await rest.call<{ hasSecret: boolean }>('GET', '/v1/credentials/payments-app');
  if (!hasSecret) await rest.call('PUT', '/v1/credentials/payments-app/secret', { secret: database.password });
}

/** What an earlier start wrote and what still works: a person's token runs out, and a wiped control plane knows none. */
async function stillGood(rest: Rest, known: DemoPrincipal | undefined): Promise<boolean> {
  if (known?.token === undefined) return known?.clientSecret !== undefined;
  try {
    await rest.as(known.token).call('GET', '/v1/whoami');
    return true;
  } catch (error) {
    if (!(error instanceof RestError) || error.status !== 401) throw error;
    return false;
  }
}

async function credentialsOf(rest: Rest, plan: PrincipalPlan): Promise<DemoPrincipal> {
  const person = plan.kind === 'person';
  const base = { name: plan.name, kind: plan.kind, groups: [...plan.groups] };
  if (person) {
    const body = { name: 'demo', expiresInSeconds: TOKEN_DAYS * 86_400 };
    return { ...base, ...(await rest.call<{ token: string }>('POST', `/v1/principals/${plan.name}/tokens`, body)) };
  }
  const made = await rest.call<{ clientId: string; clientSecret: string }>(
    'POST',
    `/v1/principals/${plan.name}/secrets`,
    {},
  );
  return { ...base, clientId: made.clientId, clientSecret: made.clientSecret };
}

/**
 * @param rest as the admin
 * @param known what an earlier start wrote, so that a second start keeps tokens that still work
 * @returns each demo principal with what a script needs to get a token
 */
export async function seed(
  rest: Rest,
  database: DemoDatabase,
  api: DemoApi,
  known: Readonly<Record<string, DemoPrincipal>>,
): Promise<Record<string, DemoPrincipal>> {
  await seedCredential(rest, database);
  await ensure(rest, '/v1/credentials', 'payments-api-key', {
    name: 'payments-api-key',
    kind: 'stored',
    username: '',
    secret: api.apiKey,
  });
  await rest.call('POST', '/v1/apply', {
    documents: [
      ...documentsIn('scripts/demo'),
      ...documentsIn('policies'),
      { file: 'payments-db.yaml', text: resourceDocument(database) },
      { file: 'payments-api.yaml', text: apiDocument(api) },
    ],
    dryRun: false,
    prune: false,
  });
  const principals: Record<string, DemoPrincipal> = {};
  for (const plan of PRINCIPALS) {
    const { groups, ...body } = plan;
    await ensure(rest, '/v1/principals', plan.name, body);
    for (const group of groups) await rest.call('PUT', `/v1/groups/${group}/members/${plan.name}`);
    const kept = known[plan.name];
    principals[plan.name] =
      kept !== undefined && (await stillGood(rest, kept)) ? kept : await credentialsOf(rest, plan);
  }
  return principals;
}
