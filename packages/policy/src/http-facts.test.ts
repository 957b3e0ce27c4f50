import {
  type Bundle,
  fieldsOf,
  type HttpFacts,
  type KubernetesFacts,
  type Policy,
  parseResource,
  type SessionInfo,
  type Statement,
  type StatementFacts,
} from '@sallyport/model';
import { expect, test } from 'vitest';
import { parsePolicyDocument, renderPolicyDocument } from './document.ts';
import { loadBundlePolicies } from './engine.ts';

const BOT = { id: 'p-bot', name: 'bot', kind: 'ai_agent' } as const;
const RESOURCE = parseResource(
  {
    id: 'r-1',
    projectId: 'default',
    name: 'payouts',
    kind: 'http',
    labels: {},
    http: { url: 'https://api.example.com', inject: { as: 'bearer' } },
    credential: { kind: 'stored', username: '', reference: 'c-1' },
    recording: 'results',
    durability: 'standard',
    approval: 'wait',
    exceeded: 'deny',
    holdInTransactionMsMax: 0,
    offline: { sessionsMs: 0, newSessionsMs: 0 },
  },
  '',
);
const SESSION: SessionInfo = {
  id: 's-1',
  projectId: 'default',
  agentId: 'a-1',
  resourceId: 'r-1',
  resourceName: 'payouts',
  protocol: 'http',
  principal: BOT,
  onBehalfOf: undefined,
  tokenId: 't-1',
  grantIds: ['*'],
  clientAddress: '127.0.0.1:5',
  database: '',
  role: '',
  application: 'curl',
  openedAt: 0,
};
const policy = (body: string): Policy =>
  parsePolicyDocument(`kind: Policy\nname: p\n${body}`, 'p.yaml', { id: 'p', projectId: 'default' });
const engineOf = (...policies: readonly Policy[]) => {
  const bundle: Bundle = {
    epoch: 1,
    revision: 1,
    projectId: 'default',
    createdAt: 0,
    resources: [RESOURCE],
    policies,
    grants: [
      {
        id: 'g',
        projectId: 'default',
        principal: BOT.id,
        resource: 'payouts',
        effects: ['read', 'write', 'exec', 'admin'],
        roles: [],
        kind: 'standing',
      },
    ],
    groups: [],
    keys: [],
    revocations: [],
    settings: { trailSealKey: '', trailSealKeyId: '', issuer: '', domain: '', heartbeatMs: 0 },
  };
  return loadBundlePolicies(bundle);
};
const rule = (when: string, verdict = 'deny', more = ''): Policy =>
  policy(`rules:\n  - name: r\n    when: '${when}'\n    verdict: ${verdict}\n${more}`);
const request = (facts: StatementFacts): Statement => ({
  protocol: 'http',
  digest: 'd',
  text: '',
  parameters: [],
  effects: ['write'],
  understood: true,
  facts,
  inTransaction: false,
  wroteInTransaction: false,
});
const http = (more: Partial<HttpFacts> = {}): HttpFacts => ({
  method: 'POST',
  scheme: 'https',
  host: 'api.example.com',
  path: '/v1/payouts',
  route: '/v1/payouts',
  operation: 'createPayout',
  query: {},
  headers: {},
  contentType: 'application/json',
  size: 20,
  upgrade: '',
  ...more,
});
const body = (value: unknown) =>
  ({
    read: true,
    fields: fieldsOf(value)!,
    graphqlKind: '',
    graphqlName: '',
    graphqlFields: [],
    duplicateKeys: false,
    text: '',
  }) as const;
const k8s = (more: Partial<KubernetesFacts> = {}): KubernetesFacts => ({
  verb: 'patch',
  group: 'apps',
  version: 'v1',
  resource: 'deployments',
  subresource: '',
  namespace: 'shop',
  name: 'web',
  labelSelector: '',
  fieldSelector: '',
  dryRun: false,
  nonResource: false,
  path: '/apis/apps/v1/namespaces/shop/deployments/web',
  patchType: 'merge',
  object: 'read',
  fields: [],
  replicas: -1,
  images: [],
  privileged: false,
  hostPath: false,
  hostNetwork: false,
  serviceAccount: '',
  secret: false,
  rbac: false,
  execCommand: [],
  ...more,
});
const verdict = (about: Policy, facts: StatementFacts) =>
  engineOf(about).decide({
    session: SESSION,
    statement: request(facts),
    usage: { statements: 0, writes: 0, rows: 0, bytes: 0 },
    nowMs: 1,
  });

test('a rule speaks of a request, its operation and the fields of its body', () => {
  const large = rule(
    'http.operation == "createPayout" && body.fields.exists(f, f.path == "items[1].amount" && f.number > 1000)',
  );
  const items = (amount: unknown) => ({ http: http(), body: body({ items: [{ amount: 1 }, { amount }] }) });
  expect(verdict(large, items(1001)).kind).toBe('deny');
  expect(verdict(large, items('1001')).kind).toBe('deny');
  expect(verdict(large, items(999)).kind).toBe('allow');
  expect(
    verdict(large, { http: http({ operation: 'other' }), body: body({ items: [0, { amount: 9999 }] }) }).kind,
  ).toBe('allow');
  const forced = rule('"force" in http.query && "true" in http.query["force"]');
  expect(verdict(forced, { http: http({ query: { force: ['false', 'true'] } }) }).kind).toBe('deny');
  expect(verdict(forced, { http: http() }).kind).toBe('allow');
});

test('a request is judged as it is written and as services read it that know parameters of a path and semicolons', () => {
  const routed = {
    path: '/v1/export;x',
    route: '/v1/{any}',
    operation: 'any',
    plain: { route: '/v1/export', operation: 'export' },
  };
  const query = { a: ['1;force=true'] };
  const partedQuery = { a: ['1'], force: ['true'] };
  const kindOf = (about: Policy, more: Partial<HttpFacts>) => verdict(about, { http: http(more) }).kind;
  expect(kindOf(rule('http.path == "/v1/export"'), routed)).toBe('deny');
  expect(kindOf(rule('http.path == "/v1/export;x"'), routed)).toBe('deny');
  expect(kindOf(rule('http.operation == "export" && http.route == "/v1/export"'), routed)).toBe('deny');
  expect(kindOf(rule('http.operation == "any"'), routed)).toBe('deny');
  const both = rule('http.path == "/v1/export" && "force" in http.query');
  expect(kindOf(both, { ...routed, query, partedQuery })).toBe('deny');
  expect(kindOf(both, { path: '/v1/export', query, partedQuery })).toBe('deny');
  expect(kindOf(both, { ...routed, query })).toBe('allow');
  // What excepts one of the readings does not except the other.
  const excepted = rule('http.method == "POST"', 'deny', '    unless: http.path == "/v1/export"\n');
  expect(kindOf(excepted, { path: '/v1/export' })).toBe('allow');
  expect(kindOf(excepted, routed)).toBe('deny');
  expect(kindOf(rule('!("force" in http.query)'), { query, partedQuery })).toBe('deny');
});

test('a body nobody read matches a rule that hangs on it and holds or denies, and none that allows', () => {
  const when = 'http.path == "/v1/payouts" && body.fields.exists(f, f.number > 5)';
  const unread = { http: http(), body: { read: false } } as const;
  expect(verdict(rule(when), unread)).toMatchObject({ kind: 'deny', rule: 'p/r' });
  expect(verdict(rule(when, 'hold', '    approval: { groups: [] }\n'), unread)).toMatchObject({ kind: 'hold' });
  expect(verdict(rule(when, 'allow'), unread)).toMatchObject({ kind: 'allow', rule: 'grant' });
  // What is known already says no.
  expect(verdict(rule(when), { http: http({ path: '/upload' }), body: { read: false } }).kind).toBe('allow');
  // A negation is no way out.
  expect(verdict(rule('!body.duplicate_keys'), unread).kind).toBe('deny');
  expect(verdict(rule('body.text == ""'), unread).kind).toBe('deny');
  // Without a body there is nothing to ask of it.
  expect(verdict(rule(when), { http: http({ method: 'GET', size: 0 }) }).kind).toBe('allow');
  const explained = engineOf(rule(when)).explain({
    session: SESSION,
    statement: request(unread),
    usage: { statements: 0, writes: 0, rows: 0, bytes: 0 },
    nowMs: 1,
  });
  expect(explained.rules[0]?.outcome).toBe('not_computable');
});

test('an object that could not be read is not computable where a rule asks of it, and only there', () => {
  const zero = rule('k8s.resource == "deployments" && k8s.replicas == 0');
  expect(verdict(zero, { k8s: k8s({ replicas: 0 }) }).kind).toBe('deny');
  expect(verdict(zero, { k8s: k8s({ replicas: 3 }) }).kind).toBe('allow');
  expect(verdict(zero, { k8s: k8s({ object: 'unread' }) }).kind).toBe('deny');
  expect(verdict(zero, { k8s: k8s({ object: 'unread', resource: 'configmaps' }) }).kind).toBe('allow');
  expect(verdict(rule('k8s.verb == "delete"'), { k8s: k8s({ object: 'unread' }) }).kind).toBe('allow');
  for (const fact of [
    'object.size() > 0',
    'images.size() > 0',
    'privileged',
    'host_path',
    'host_network',
    'service_account != ""',
  ])
    expect(verdict(rule(`k8s.${fact}`), { k8s: k8s({ object: 'unread' }) }).kind, fact).toBe('deny');
});

test('names that every object of JavaScript has are no headers, parameters or fields', () => {
  for (const name of ['constructor', '__proto__', 'toString', 'hasOwnProperty']) {
    expect(verdict(rule(`"${name}" in http.headers || "${name}" in http.query`), { http: http() }).kind).toBe('allow');
    // A missing key is not computable, as everywhere.
    expect(verdict(rule(`http.headers["${name}"] == "x"`), { http: http() }).kind).toBe('deny');
  }
});

test('arguments of a tool are facts, and a changed description is one', () => {
  const facts = (tool: string, changed: boolean) => ({
    mcp: {
      method: 'tools/call',
      tool,
      resourceUri: '',
      prompt: '',
      arguments: fieldsOf({ path: '/etc/passwd' })!,
      changed,
    },
  });
  const shell = rule('mcp.changed || mcp.arguments.exists(a, a.value.startsWith("/etc/"))');
  expect(verdict(shell, facts('read_file', false)).kind).toBe('deny');
  expect(verdict(rule('mcp.changed'), facts('x', true)).kind).toBe('deny');
  expect(verdict(rule('mcp.changed'), facts('x', false)).kind).toBe('allow');
});

test('masks of JSON paths, headers and objects come with the verdict, the strictest of each, and others stay as they were', () => {
  const masks = `masks:
  - { json: ["customers[].ssn", "**.token"], with: partial }
  - { json: ["**.token"], headers: [x-user], kubernetes: ["secrets:data.*"], with: redact }
  - { detect: [email], with: partial }
`;
  const allowed = verdict(policy(masks), { http: http() });
  expect(allowed.kind === 'allow' && allowed.masks).toEqual({
    columns: [],
    detect: [{ detect: 'email', with: 'partial' }],
    json: [
      { path: 'customers[].ssn', with: 'partial' },
      { path: '**.token', with: 'redact' },
    ],
    headers: [{ header: 'x-user', with: 'redact' }],
    kubernetes: [{ place: 'secrets:data.*', with: 'redact' }],
  });
  const old = verdict(policy('masks:\n  - { detect: [email], with: partial }\n'), { http: http() });
  expect(old.kind === 'allow' && Object.keys(old.masks)).toEqual(['columns', 'detect']);
  expect(parsePolicyDocument(renderPolicyDocument(policy(masks)), 'again', { id: 'p', projectId: 'default' })).toEqual(
    policy(masks),
  );
});

test.each([
  ['json: ["a..b"]', 'masks[0].json[0]'],
  ['json: [""]', 'masks[0].json[0]'],
  ['json: ["a[0]"]', 'masks[0].json[0]'],
  ['headers: [X-User]', 'masks[0].headers[0]'],
  ['headers: [content-length]', 'masks[0].headers[0]'],
  ['kubernetes: ["secrets"]', 'masks[0].kubernetes[0]'],
  ['kubernetes: ["Secrets:data"]', 'masks[0].kubernetes[0]'],
])('a mask that cannot be read is refused when it is saved: %s', (mask, field) => {
  expect(() => policy(`masks:\n  - { ${mask}, with: redact }\n`)).toThrow(field);
});
