/** Every row of rows/kubernetes.ts against the shipped rules, through the reader, the dialect and the engine an agent runs. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { GatewayError } from '@sallyport/core';
import { type BodyFraming, type Header, NO_BODY, type RequestHead, readTarget } from '@sallyport/http';
import { type Bundle, NO_MASKS, type Resource, type SessionInfo, type Statement } from '@sallyport/model';
import { loadBundlePolicies, parsePolicyDocument } from '@sallyport/policy';
import { createKubernetesDialect } from '@sallyport/protocol-kubernetes';
import { testResource } from '@sallyport/testkit';
import { describe, expect, test } from 'vitest';
import { BANK, KUBERNETES, type KubeRow, MASKED } from './rows/kubernetes.ts';

type Dialect = ReturnType<typeof createKubernetesDialect>;
const STRICTNESS = { allow: 0, hold: 1, deny: 2, refused: 3 } as const;
const BOT = { id: 'p-bot', name: 'bot', kind: 'ai_agent' } as const;
const { postgres: _, ...base } = testResource({});
const RESOURCE: Resource = {
  ...base,
  name: 'prod',
  kind: 'kubernetes',
  kubernetes: {
    url: 'https://10.0.0.1:6443',
    identity: { mode: 'impersonate' },
    execRecorded: true,
    inject: { as: 'bearer' },
  },
};
const SESSION: SessionInfo = {
  id: 's-1',
  projectId: 'default',
  agentId: 'a-1',
  resourceId: RESOURCE.id,
  resourceName: 'prod',
  protocol: 'kubernetes',
  principal: BOT,
  onBehalfOf: undefined,
  tokenId: 't-1',
  grantIds: ['*'],
  clientAddress: '127.0.0.1:5',
  database: '',
  role: '',
  application: 'kubectl',
  openedAt: 0,
};
const policy = parsePolicyDocument(
  readFileSync(join(import.meta.dirname, '../../policies/kubernetes-baseline.yaml'), 'utf8'),
  'kubernetes-baseline.yaml',
  { id: 'p', projectId: 'default' },
);
/** As somebody writes them who knows kubectl's words alone. */
const bank = parsePolicyDocument(BANK, 'bank.yaml', { id: 'p-bank', projectId: 'default' });
const bundle: Bundle = {
  epoch: 1,
  revision: 1,
  projectId: 'default',
  createdAt: 0,
  resources: [RESOURCE],
  policies: [policy, bank],
  grants: [
    {
      id: 'g',
      projectId: 'default',
      principal: BOT.id,
      resource: 'prod',
      effects: ['read', 'write', 'exec', 'admin', 'forward'],
      roles: [],
      kind: 'standing',
    },
  ],
  groups: [],
  keys: [],
  revocations: [],
  settings: { domain: '', signIn: { link: false } } as unknown as Bundle['settings'],
};
const engine = loadBundlePolicies(bundle);
const sessionOf = ({ masked }: Pick<KubeRow, 'masked'>) =>
  ({
    road: {
      masks: () => (masked === true ? MASKED : NO_MASKS),
      info: SESSION,
      gate: { decide: () => ({ kind: 'allow' }) },
    },
    resource: RESOURCE,
    state: new Map(),
    nowMs: () => 0,
  }) as unknown as Parameters<Dialect['classify']>[2];

function statementOf(row: Omit<KubeRow, 'name' | 'expect'>, sends: BodyFraming = NO_BODY): Statement {
  const { line, type, body, headers = [] } = row;
  const [method = '', target = ''] = line.split(' ');
  const sent = body === undefined ? undefined : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
  const isExec = target.includes('/exec?');
  const request: RequestHead = {
    ...readTarget(target),
    method,
    scheme: 'https',
    authority: 'agent',
    headers: [
      ...(sent === undefined ? [] : [['content-type', type ?? 'application/json'] as Header]),
      ...(isExec ? [['sec-websocket-protocol', 'v5.channel.k8s.io'] as Header] : []),
      ...headers,
    ],
    version: '1.1',
    framing: sent === undefined ? sends : { kind: 'length', bytes: sent.length },
    expectContinue: false,
    upgrade: isExec ? 'websocket' : '',
  };
  const isRead = body !== 'unread';
  const given =
    sent === undefined ? undefined : { read: isRead, bytes: isRead ? sent : Buffer.alloc(0), size: sent.length };
  return createKubernetesDialect().classify(request, given, sessionOf(row));
}

function verdictOf(row: KubeRow): {
  readonly kind: keyof typeof STRICTNESS;
  readonly by: string;
} {
  try {
    const statement = statementOf(row);
    const verdict = engine.decide({
      session: SESSION,
      statement,
      usage: { statements: 0, writes: 0, rows: 0, bytes: 0 },
      nowMs: 0,
    });
    return { kind: verdict.kind, by: verdict.rule };
  } catch (error) {
    if (error instanceof GatewayError) return { kind: 'refused', by: error.code };
    throw error;
  }
}

describe('an approval is for this request and no other', () => {
  type Sent = Parameters<typeof statementOf>[0];
  const digest = (row: Sent, sends?: BodyFraming): string => statementOf(row, sends).digest;
  const PROXIED = '/api/v1/namespaces/shop/services/till/proxy/v1/refunds';
  const CREATED = '/api/v1/namespaces/shop/configmaps';
  const object = (value: string): object => ({ kind: 'ConfigMap', metadata: { name: 'a' }, data: { value } });

  test.each<[string, Sent, Sent]>([
    ['another object', { line: `POST ${CREATED}`, body: object('1') }, { line: `POST ${CREATED}`, body: object('2') }],
    ['another parameter', { line: `DELETE ${CREATED}/a` }, { line: `DELETE ${CREATED}/a?propagationPolicy=Orphan` }],
    [
      'another object that nobody read',
      { line: `POST ${CREATED}`, body: 'unread' },
      { line: `POST ${CREATED}`, body: 'unread' },
    ],
    [
      'another header to a program behind the API server',
      { line: `DELETE ${PROXIED}`, headers: [['x-tenant', '1']] },
      { line: `DELETE ${PROXIED}`, headers: [['x-tenant', '2']] },
    ],
    [
      'what overrides the method there',
      { line: `GET ${PROXIED}` },
      { line: `GET ${PROXIED}`, headers: [['x-http-method-override', 'DELETE']] },
    ],
  ])('%s is another', (_name, one, two) => {
    expect(digest(one)).not.toBe(digest(two));
  });

  test('what is sent to a program behind the API server is not read, so no two are alike', () => {
    for (const sends of [{ kind: 'length', bytes: 7 } as const, { kind: 'stream' } as const])
      expect(digest({ line: `POST ${PROXIED}` }, sends)).not.toBe(digest({ line: `POST ${PROXIED}` }, sends));
  });

  test.each<[string, Sent, Sent]>([
    ['a request without a body', { line: `DELETE ${CREATED}/a` }, { line: `DELETE ${CREATED}/a` }],
    [
      'one of the same object',
      { line: `POST ${CREATED}`, body: object('1') },
      { line: `POST ${CREATED}`, body: object('1') },
    ],
    [
      'one to a program',
      { line: `DELETE ${PROXIED}` },
      { line: `DELETE ${PROXIED}`, headers: [['kubectl-session', 'x']] },
    ],
  ])('%s is the one when it comes again', (_name, one, two) => {
    expect(digest(one)).toBe(digest(two));
  });
});

for (const [title, rows] of Object.entries(KUBERNETES)) {
  describe(title, () => {
    test.each(rows.map((row) => [`${row.name}: ${row.expect}`, row] as const))('%s', (_name, row) => {
      const { kind, by } = verdictOf(row);
      if (row.expect === 'allow') expect(`${kind} by ${by}`).toBe('allow by grant');
      else expect(STRICTNESS[kind], `${kind} by ${by}`).toBeGreaterThanOrEqual(STRICTNESS[row.expect]);
    });
  });
}
