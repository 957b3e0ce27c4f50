/** Every row of rows/kubernetes.ts against the shipped rules, through the reader, the dialect and the engine an agent runs. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { GatewayError } from '@sallyport/core';
import { type Header, NO_BODY, type RequestHead, readTarget } from '@sallyport/http';
import { type Bundle, NO_MASKS, type Resource, type SessionInfo } from '@sallyport/model';
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
const sessionOf = ({ masked }: KubeRow) =>
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

function verdictOf(row: KubeRow): {
  readonly kind: keyof typeof STRICTNESS;
  readonly by: string;
} {
  const { line, type, body, headers = [] } = row;
  const [method = '', target = ''] = line.split(' ');
  try {
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
      framing: sent === undefined ? NO_BODY : { kind: 'length', bytes: sent.length },
      expectContinue: false,
      upgrade: isExec ? 'websocket' : '',
    };
    const isRead = body !== 'unread';
    const given =
      sent === undefined ? undefined : { read: isRead, bytes: isRead ? sent : Buffer.alloc(0), size: sent.length };
    const statement = createKubernetesDialect().classify(request, given, sessionOf(row));
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

for (const [title, rows] of Object.entries(KUBERNETES)) {
  describe(title, () => {
    test.each(rows.map((row) => [`${row.name}: ${row.expect}`, row] as const))('%s', (_name, row) => {
      const { kind, by } = verdictOf(row);
      if (row.expect === 'allow') expect(`${kind} by ${by}`).toBe('allow by grant');
      else expect(STRICTNESS[kind], `${kind} by ${by}`).toBeGreaterThanOrEqual(STRICTNESS[row.expect]);
    });
  });
}
