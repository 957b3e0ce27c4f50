/**
 * What tests of decisions share: Ada's session with a resource that she may change, a bundle, and statements by their facts.
 * Refuses to read SQL: facts are written down.
 */
import type {
  Approval,
  Bundle,
  Effect,
  Grant,
  Policy,
  Resource,
  SessionInfo,
  SqlFacts,
  SqlStatementFacts,
  Statement,
} from '@sallyport/model';
import { parsePolicyDocument } from './document.ts';
import type { DecisionInput } from './engine.ts';

export const NOW = Date.parse('2026-01-07T12:00:00Z');
export const USAGE = { statements: 0, writes: 0, rows: 0, bytes: 0 };
export const ADA = { id: 'p-ada', name: 'ada', kind: 'person' } as const;
export const BOB = { id: 'p-bob', name: 'bob', kind: 'person' } as const;
export const BOT = { id: 'p-bot', name: 'bot', kind: 'ai_agent' } as const;

export const RESOURCE: Resource = {
  id: 'r-1',
  projectId: 'default',
  name: 'payments',
  kind: 'postgres',
  labels: { env: 'prod' },
  credential: { kind: 'none', username: '' },
  recording: 'statements',
  durability: 'standard',
  approval: 'wait',
  exceeded: 'deny',
  holdInTransactionMsMax: 0,
  offline: { sessionsMs: 0, newSessionsMs: 0 },
};

export const grant = (more: Partial<Grant> = {}): Grant => ({
  id: 'g-1',
  projectId: 'default',
  principal: ADA.id,
  resource: 'payments',
  effects: ['read', 'write', 'ddl'],
  roles: ['app'],
  kind: 'standing',
  ...more,
});

export const policy = (body: string, name = 'p'): Policy =>
  parsePolicyDocument(`kind: Policy\nname: ${name}\n${body}`, 'test.yaml', { id: name, projectId: 'default' });

export const bundle = (more: Partial<Bundle> = {}): Bundle => ({
  epoch: 1,
  revision: 7,
  projectId: 'default',
  createdAt: 0,
  resources: [RESOURCE],
  policies: [],
  grants: [grant()],
  groups: [{ name: 'dba', projectId: 'default', members: [BOB.id, 'p-eve'] }],
  keys: [],
  revocations: [],
  settings: { trailSealKey: '', trailSealKeyId: '', issuer: '', domain: '', heartbeatMs: 0 },
  ...more,
});

export const session = (more: Partial<SessionInfo> = {}): SessionInfo => ({
  id: 's-1',
  projectId: 'default',
  agentId: 'a-1',
  resourceId: 'r-1',
  resourceName: 'payments',
  protocol: 'postgres',
  principal: ADA,
  onBehalfOf: undefined,
  tokenId: 't-1',
  grantIds: ['*'],
  clientAddress: '127.0.0.1:5',
  database: 'shop',
  role: 'app',
  application: 'psql',
  openedAt: NOW - 60_000,
  ...more,
});

const statementFacts = (more: Partial<SqlStatementFacts>): SqlStatementFacts => ({
  kind: 'select',
  effects: ['read'],
  filtered: false,
  limit: undefined,
  relations: [],
  functions: [],
  opaque: [],
  columns: [],
  object: '',
  start: 0,
  end: 0,
  transaction: undefined,
  setting: undefined,
  ...more,
});
export const sql = (...statements: Partial<SqlStatementFacts>[]): SqlFacts => ({
  statements: statements.map(statementFacts),
  literalFree: true,
});

export const statement = (
  facts: SqlFacts | undefined,
  effects: readonly Effect[] = ['read'],
  more: Partial<Statement> = {},
): Statement => ({
  protocol: 'postgres',
  digest: 'd-1',
  text: '',
  parameters: [],
  effects,
  understood: true,
  facts: facts === undefined ? {} : { sql: facts },
  inTransaction: false,
  wroteInTransaction: false,
  ...more,
});

export const ask = (
  facts: SqlFacts | undefined,
  effects?: readonly Effect[],
  more: Partial<DecisionInput> = {},
): DecisionInput => ({
  session: session(),
  statement: statement(facts, effects),
  usage: { statements: 0, writes: 0, rows: 0, bytes: 0 },
  nowMs: NOW,
  ...more,
});

export const DELETE = sql({ kind: 'delete', effects: ['write'] });
export const HOLD_DELETES = policy(
  'rules:\n  - { name: bulk, when: \'sql.statements.exists(s, s.kind == "delete" && !s.filtered)\', verdict: hold, message: Bulk., approval: { groups: [dba], count: 1, expires: 5m } }',
);

/** A yes of Bob's to Ada's statement, for one minute. */
export const approval = (more: Partial<Approval> = {}): Approval => ({
  id: 'apr-1',
  digest: 'd-1',
  scope: 'once',
  agentId: 'a-1',
  resourceId: 'r-1',
  principalId: ADA.id,
  granted: true,
  by: [BOB],
  answeredAt: NOW,
  expiresAt: NOW + 60_000,
  ...more,
});
