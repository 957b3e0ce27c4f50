import type { HttpFacts, KubernetesFacts, McpFacts } from '@sallyport/model';
import { expect, test } from 'vitest';
import { reachedBy } from './reached.ts';

const http = (path: string, route = ''): HttpFacts => ({
  method: 'GET',
  scheme: 'https',
  host: 'x',
  path,
  route,
  operation: '',
  query: {},
  headers: {},
  contentType: '',
  size: 0,
  upgrade: '',
});

test('what a request reaches is told by its route, or by its path without the names of things', () => {
  const of = (path: string, route?: string) => reachedBy({ http: http(path, route) })[0];
  expect(of('/v1/customers/42', '/v1/customers/{id}')).toBe('GET /v1/customers/{id}');
  expect(of('/v1/customers/42/orders/7')).toBe('GET /v1/customers/{}/orders/{}');
  expect(of('/v1/keys/0190b3a4-0000-7000-8000-000000000001')).toBe('GET /v1/keys/{}');
  expect(of('/v1/charges/ch_3MmlLrLkdIwHu7ix0snN0B15')).toBe('GET /v1/charges/{}');
  expect(of('/v1/organizations/members')).toBe('GET /v1/organizations/members');
});

test('calls to a cluster and messages to a server of tools are told in words', () => {
  const k8s = {
    verb: 'create',
    group: 'apps',
    resource: 'deployments',
    subresource: 'scale',
    namespace: 'shop',
    nonResource: false,
    path: '',
  } as KubernetesFacts;
  expect(reachedBy({ k8s })).toEqual(['create deployments.apps/scale shop']);
  expect(reachedBy({ k8s: { ...k8s, nonResource: true, verb: 'get', path: '/version' } })).toEqual(['get /version']);
  const mcp = { method: 'tools/call', tool: 'run_query', resourceUri: '', prompt: '' } as McpFacts;
  expect(reachedBy({ mcp })).toEqual(['call run_query']);
  expect(reachedBy({ mcp: { ...mcp, method: 'tools/list', tool: '' } })).toEqual(['tools/list']);
});
