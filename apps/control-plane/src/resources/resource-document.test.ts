import { parseResource, type Resource } from '@sallyport/model';
import { expect, test } from 'vitest';
import { ResourceDocument, specOf } from './resource-document.ts';

const document = { name: 'payments-db', type: 'postgres', postgres: { host: 'db.internal' } };

test('limits of a session are durations, and left out where there are none', () => {
  const limited = specOf(ResourceDocument.parse({ ...document, idleMsMax: '30m', sessionMsMax: '12h' }));
  expect(limited).toMatchObject({ idleMsMax: 1_800_000, sessionMsMax: 43_200_000 });
  const free = specOf(ResourceDocument.parse({ ...document, idleMsMax: null }));
  expect(Object.keys(free)).not.toEqual(expect.arrayContaining(['idleMsMax']));
  expect(Object.keys(free)).not.toEqual(expect.arrayContaining(['sessionMsMax']));
});

test('a limit that would end every session at once, or that no timer can wait for, is refused', () => {
  for (const value of ['0s', 999, '25d']) {
    expect(ResourceDocument.safeParse({ ...document, idleMsMax: value }).success).toBe(false);
    expect(ResourceDocument.safeParse({ ...document, sessionMsMax: value }).success).toBe(false);
  }
});

const HOST_KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIL31pHrCRCWh2f57RQ5UlfqXN9+1xjsQLjp5UCMBOTZ6';
const host = { name: 'web-1', type: 'ssh', ssh: { host: 'web.internal', logins: ['deploy'], hostKeys: [HOST_KEY] } };
const wrongOf = (value: object): string[] =>
  (ResourceDocument.safeParse(value).error?.issues ?? []).map(({ path }) => path.join('.'));

test('an SSH host has its block and no other, with what agents can read', () => {
  expect(wrongOf(host)).toEqual([]);
  const spec = specOf(ResourceDocument.parse(host));
  const resource = {
    ...spec,
    id: 'r',
    projectId: 'p',
    name: 'web-1',
    kind: 'ssh',
    labels: {},
    credential: { kind: 'none', username: '' },
  };
  expect(parseResource(JSON.parse(JSON.stringify(resource)), '').ssh).toMatchObject({ port: 22, shell: 'recorded' });
  expect(wrongOf({ ...host, postgres: { host: 'db' } })).toEqual(['postgres']);
  expect(wrongOf({ ...document, ssh: host.ssh })).toEqual(['ssh']);
  expect(wrongOf({ ...host, ssh: undefined })).toEqual(['ssh']);
});

test('a host that proves nothing, and names that are no names, are refused', () => {
  const wrong = (ssh: object): string[] => wrongOf({ ...host, ssh: { ...host.ssh, ...ssh } });
  expect(wrong({ hostKeys: [] })).toEqual(['ssh.hostKeys']);
  expect(wrong({ hostKeys: [], acceptNewHostKey: true })).toEqual([]);
  expect(wrong({ hostKeys: ['ssh-rsa AAAA'] })).toEqual(['ssh.hostKeys.0']);
  expect(wrong({ logins: [] })).toEqual(['ssh.logins']);
  expect(wrong({ algorithms: { cipher: ['aes128-cbc'] } })).toEqual(['ssh.algorithms.cipher.0']);
  expect(wrong({ algorithms: { cipher: ['aes128-ctr'], mac: ['hmac-sha2-256'] } })).toEqual([]);
  expect(wrong({ logins: ['-oProxyCommand=id'] })).toEqual(['ssh.logins.0']);
  expect(wrong({ env: ['LD_*PRELOAD'] })).toEqual(['ssh.env.0']);
});

const api = {
  name: 'payouts',
  type: 'http',
  http: { url: 'https://API.example.com:443/base/', inject: { as: 'bearer' } },
};
const cluster = { name: 'prod', type: 'kubernetes', kubernetes: { url: 'https://10.0.0.1:6443' } };
const agentReads = (value: object): Resource => {
  const read = ResourceDocument.parse(value);
  const resource = {
    id: 'r',
    projectId: 'p',
    name: read.name,
    kind: read.type,
    labels: {},
    credential: { kind: 'none', username: '' },
  };
  return parseResource(JSON.parse(JSON.stringify({ ...resource, ...specOf(read) })), '');
};

test('an HTTP service, a cluster and an MCP server have their block, with what agents can read', () => {
  expect(agentReads(api).http).toEqual({ url: 'https://api.example.com/base', inject: { as: 'bearer' } });
  expect(agentReads(cluster).kubernetes).toEqual({
    url: 'https://10.0.0.1:6443',
    inject: { as: 'bearer' },
    identity: { mode: 'impersonate' },
    execRecorded: true,
  });
  const mcp = {
    url: 'https://mcp.example.com/mcp',
    inject: { as: 'none' },
    tools: [{ name: 'get_*', effects: ['read'] }],
  };
  expect(agentReads({ name: 'tools', type: 'mcp', mcp }).mcp).toEqual(mcp);
  expect(wrongOf({ ...api, http: undefined })).toEqual(['http']);
  expect(wrongOf({ ...api, kubernetes: cluster.kubernetes })).toEqual(['kubernetes']);
});

test('a service that is the agent’s own host, or could be read as two, is refused unless it is meant', () => {
  const wrong = (url: string, more: object = {}): string[] => wrongOf({ ...api, http: { ...api.http, url, ...more } });
  for (const host of [
    'localhost',
    'db.localhost',
    '127.0.0.1',
    '127.1',
    '2130706433',
    '0x7f.1',
    '017700000001',
    '[::1]',
    '[::ffff:127.0.0.1]',
    '[fe80::1]',
    '169.254.169.254',
    '[fd00:ec2::254]',
    'metadata.google.internal',
    '100.100.100.200',
  ]) {
    expect(wrong(`https://${host}/`), host).toEqual(['http.url']);
    expect(wrong(`https://${host}/`, { private: true }), host).toEqual([]);
  }
  for (const url of [
    'https://0.0.0.0/',
    'https://[::]/',
    'https://224.0.0.1/',
    'https://255.255.255.255/',
    'ftp://x/',
    'https:x',
    'https://user:pass@x/',
    'https://@x/',
    'https://x/?q=1',
    'https://x/#a',
    'https://x:0/',
    'https://x/a/../b',
    'https://x/a//b',
    'https://x/a%2fb',
    'https://x/%2e%2e/b',
    'https://x\\@evil/',
    'https://',
    'api.example.com',
  ])
    expect(wrong(url, { private: true }), url).toEqual(['http.url']);
  // A credential in clear needs the same word; without one there is nothing to lose.
  expect(wrong('http://api.internal')).toEqual(['http.url']);
  expect(wrong('http://api.internal', { private: true })).toEqual([]);
  expect(wrong('http://api.internal', { inject: { as: 'none' } })).toEqual([]);
  for (const host of [
    'localhost',
    'localhost:80',
    '127.0.0.1:80',
    '[::1]:80',
    '169.254.169.254:80',
    'a:0',
    '*.a',
    'https://a',
  ])
    expect(wrong('https://x', { hosts: [host] }), host).toEqual(['http.hosts.0']);
  expect(wrong('https://x', { hosts: ['API.example.com:8443', '[2001:db8::1]:7', 'b.example.com'] })).toEqual([]);
});

test('how a credential is put into requests is checked as it is saved', () => {
  const wrong = (inject: object): string[] => wrongOf({ ...api, http: { ...api.http, inject } });
  expect(wrong({ as: 'header', name: 'X-Api-Key', prefix: 'Key ' })).toEqual([]);
  expect(wrong({ as: 'header', name: 'Transfer-Encoding' })).toEqual(['http.inject.name']);
  expect(wrong({ as: 'header', name: 'a\r\nb' })).toEqual(['http.inject.name']);
  expect(wrong({ as: 'header', name: 'x-key', prefix: 'a\r\nb: ' })).toEqual(['http.inject.prefix']);
  expect(wrong({ as: 'query', name: 'a&b' })).toEqual(['http.inject.name']);
  expect(wrong({ as: 'cookie', name: 'a=b;c' })).toEqual(['http.inject.name']);
  expect(wrong({ as: 'oauth', tokenUrl: 'http://login.example.com/token' })).toEqual(['http.inject.tokenUrl']);
  expect(wrong({ as: 'oauth', tokenUrl: 'https://169.254.169.254/token' })).toEqual(['http.inject.tokenUrl']);
  expect(wrong({ as: 'sigv4', region: 'eu-west-1' })).toEqual(['http.inject.service']);
  expect(wrong({ as: 'bearer', scope: 'x' })).toEqual(['http.inject.scope']);
  expect(wrong({ as: 'magic' })).toEqual(['http.inject.as']);
});

test('whom a cluster takes a session for is one way, and never above its rules', () => {
  const wrong = (kubernetes: object): string[] =>
    wrongOf({ ...cluster, kubernetes: { ...cluster.kubernetes, ...kubernetes } });
  expect(wrong({ identity: { mode: 'impersonate', groups: ['system:masters'] } })).toEqual([
    'kubernetes.identity.groups',
  ]);
  expect(wrong({ identity: { mode: 'stored', user: 'x' } })).toEqual(['kubernetes.identity.mode']);
  expect(wrong({ identity: { mode: 'service_account', namespace: 'ci' } })).toEqual([
    'kubernetes.identity.serviceAccount',
  ]);
  expect(wrong({ identity: { mode: 'impersonate', user: 'a\nb' } })).toEqual(['kubernetes.identity.user']);
  expect(wrong({ inject: { as: 'query', name: 'x' } })).toEqual(['kubernetes.inject.as']);
});

test('an OpenAPI document becomes routes as it is saved, and one that cannot be read whole is refused', () => {
  const openapi = `openapi: 3.1.0
servers: [{ url: https://api.example.com/base/v1 }]
paths:
  /customers/{id}:
    get: { operationId: getCustomer }
    delete: { operationId: deleteCustomer }
  /customers/search:
    post: { operationId: searchCustomers, x-sallyport-effects: [read] }
`;
  const routes = [{ method: 'GET', path: '/v1/customers/{id}', operation: 'mine' }];
  const read = agentReads({ ...api, http: { ...api.http, openapi, routes } }).http;
  expect(read?.routes).toEqual([
    { method: 'GET', path: '/v1/customers/{id}', operation: 'mine' },
    { method: 'DELETE', path: '/v1/customers/{id}', operation: 'deleteCustomer' },
    { method: 'POST', path: '/v1/customers/search', operation: 'searchCustomers', effects: ['read'] },
  ]);
  expect(read).not.toHaveProperty('openapi');
  const wrong = (document: unknown): string[] => wrongOf({ ...api, http: { ...api.http, openapi: document } });
  expect(wrong({ openapi: '3.1.0', paths: { '/a': { get: {} } } })).toEqual([]);
  for (const document of [
    '{',
    'a: &a [1]\nb: *a',
    'text',
    {},
    { paths: {} },
    { paths: { '/a': { $ref: 'other.yaml' } } },
  ])
    expect(wrong(document), JSON.stringify(document)).toEqual(['http.openapi']);
  const many = Object.fromEntries(
    Array.from({ length: 4_000 }, (_, i) => [`/${'x'.repeat(60)}/${i}`, { get: { operationId: `op${i}` } }]),
  );
  expect(wrong({ paths: many })).toEqual(['http.routes']);
});
