import { parseResource } from '@sallyport/model';
import { expect, test } from 'vitest';
import { readHttpStatement } from './explain-http.ts';

const resource = (kind: 'http' | 'kubernetes' | 'mcp', target: object) =>
  parseResource(
    {
      id: 'r',
      projectId: 'p',
      name: 'x',
      kind,
      labels: {},
      [kind]: { url: 'https://api.example.com:8443/base', inject: { as: 'none' }, ...target },
      credential: { kind: 'none', username: '' },
      recording: 'results',
      durability: 'standard',
      approval: 'wait',
      exceeded: 'deny',
      holdInTransactionMsMax: 0,
      offline: { sessionsMs: 0, newSessionsMs: 0 },
    },
    '',
  );
const API = resource('http', {
  graphql: ['/graphql'],
  methods: ['GET', 'POST'],
  routes: [{ method: 'POST', path: '/v1/customers/{id}/search', operation: 'search', effects: ['read'] }],
});
const CLUSTER = resource('kubernetes', { identity: { mode: 'stored' }, execRecorded: true });
const TOOLS = resource('mcp', { tools: [{ name: 'get_*', effects: ['read'] }] });

test('a request is read as agents read it: route, effects, query, headers without secrets, and body', () => {
  const text = `POST /v1/customers/42/search?q=a%20b&q=c
Content-Type: application/json
Authorization: Bearer canary
X-Api-Key: canary

{ "filter": { "name": "Ada" } }`;
  const { understood, effects, facts } = readHttpStatement(text, API);
  expect([understood, effects]).toEqual([true, ['read']]);
  expect(facts.http).toMatchObject({
    method: 'POST',
    scheme: 'https',
    path: '/v1/customers/42/search',
    route: '/v1/customers/{id}/search',
    operation: 'search',
    headers: { 'content-type': 'application/json' },
    contentType: 'application/json',
  });
  expect(facts.http?.query['q']).toEqual(['a b', 'c']);
  expect(facts.body).toMatchObject({ read: true, fields: [{ path: 'filter.name', value: 'Ada' }] });
  expect(JSON.stringify(facts)).not.toContain('canary');
  // As the trail shows it: no headers, a body below.
  expect(readHttpStatement('POST /v1/x\n\n{"a":1,"a":2}', API).facts.body).toEqual({ read: false });
  const mutation = readHttpStatement('POST /graphql\n\n{"query":"mutation { drop(id: 1) }"}', API);
  expect(mutation.facts.body).toMatchObject({ graphqlKind: 'mutation', graphqlFields: ['drop'] });
  expect(readHttpStatement('GET /v1/x', API)).toMatchObject({ effects: ['read'], facts: { http: { size: 0 } } });
  expect(readHttpStatement('GET /ws\nupgrade: websocket', API).effects).toEqual(['write']);
});

test.each([
  '',
  'hello',
  'get /v1/x',
  'GET v1/x',
  'GET /a/../b',
  'GET /a%2fb',
  'GET /a//b',
  'DELETE /v1/x',
  'CONNECT a:443',
  'POST /v1/x\nX-HTTP-Method-Override: DELETE',
  'POST /v1/x\nX_HTTP_Method_Override: DELETE',
  'POST /v1/x\nX_Original_URL: /admin',
])('what an agent refuses is not understood: %s', (text) => {
  expect(readHttpStatement(text, API).understood).toBe(false);
});

test.each([
  ['kubectl delete ns shop', { verb: 'delete', group: '', resource: 'namespaces', name: 'shop' }, ['write']],
  ['delete namespaces/shop', { verb: 'delete', resource: 'namespaces', name: 'shop' }, ['write']],
  ['kubectl get secrets -n shop', { verb: 'list', resource: 'secrets', namespace: 'shop', secret: true }, ['read']],
  ['get deploy web -n shop', { verb: 'get', group: 'apps', resource: 'deployments', name: 'web' }, ['read']],
  ['create rolebindings.rbac.authorization.k8s.io/x -n shop', { rbac: true }, ['admin']],
  ['delete pods/web -n shop --dry-run=server', { dryRun: true }, ['write']],
  ['GET /version', { nonResource: true, verb: 'get', path: '/version' }, ['read']],
  ['portforward pods/web -n shop', { subresource: 'portforward' }, ['forward']],
] as const)('a call to a cluster in words: %s', (text, facts, effects) => {
  const reading = readHttpStatement(text, CLUSTER);
  expect(reading.understood).toBe(true);
  expect(reading.facts.k8s).toMatchObject(facts);
  expect(reading.effects).toEqual(effects);
});

test('the object sent and the command of an exec are read', () => {
  const scale = readHttpStatement('patch deployments.apps/web/scale -n shop\n{"spec":{"replicas":0}}', CLUSTER);
  expect(scale.facts.k8s).toMatchObject({ subresource: 'scale', replicas: 0, object: 'read' });
  const pod = readHttpStatement(
    'create pods -n shop\n{"spec":{"containers":[{"image":"x","securityContext":{"privileged":true}}]}}',
    CLUSTER,
  );
  expect(pod.facts.k8s).toMatchObject({ privileged: true, images: ['x'] });
  const exec = readHttpStatement(`kubectl exec -it web -n shop -- sh -c 'cat /etc/shadow'`, CLUSTER);
  expect(exec.facts.k8s).toMatchObject({ subresource: 'exec', execCommand: ['sh', '-c', 'cat /etc/shadow'] });
  expect(exec.facts.shell?.pathsRead).toContain('/etc/shadow');
});

test.each([
  '',
  'kubectl',
  'kubectl apply -f x',
  'delete',
  'delete ns shop other',
  'get pods --as=admin',
  'patch cm/x\n{',
  'get Pods',
])('a call in words that are not known is not understood: %s', (text) => {
  expect(readHttpStatement(text, CLUSTER).understood).toBe(false);
});

test('a message to an MCP server has its tool, its arguments, and what the resource says it does', () => {
  const call = readHttpStatement('tools/call run_query {"sql":"drop table t"}', TOOLS);
  expect(call).toMatchObject({ understood: true, effects: ['exec'] });
  expect(call.facts.mcp).toMatchObject({ tool: 'run_query', arguments: [{ path: 'sql', value: 'drop table t' }] });
  expect(readHttpStatement('tools/call get_rows', TOOLS).effects).toEqual(['read']);
  expect(readHttpStatement('resources/read file:///x', TOOLS).facts.mcp).toMatchObject({ resourceUri: 'file:///x' });
  expect(readHttpStatement('tools/call x {', TOOLS).understood).toBe(false);
});
