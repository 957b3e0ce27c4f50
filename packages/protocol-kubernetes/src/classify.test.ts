/** Requests as statements: the API server's own reading, objects and patches, and what is refused before it is judged. */
import { GatewayError } from '@sallyport/core';
import { type Header, NO_BODY, type RequestHead } from '@sallyport/http';
import type { KubernetesFacts, Statement } from '@sallyport/model';
import { describe, expect, test } from 'vitest';
import { classify } from './classify.ts';

function head(line: string, headers: readonly Header[] = []): RequestHead {
  const [method = '', target = ''] = line.split(' ');
  const [path = '', query = ''] = target.split('?');
  return {
    method,
    scheme: 'https',
    authority: 'cluster',
    target,
    path,
    query,
    headers,
    version: '1.1',
    framing: NO_BODY,
    expectContinue: false,
    upgrade: '',
  };
}
const JSON_TYPE: Header = ['content-type', 'application/json'];

function statementOf(
  line: string,
  body?: unknown,
  type = 'application/json',
  letIn: readonly string[] = [],
): Statement {
  const bytes = Buffer.from(typeof body === 'string' ? body : JSON.stringify(body ?? null));
  const sent = body === undefined ? undefined : { read: true, bytes, size: bytes.length };
  return classify(head(line, body === undefined ? [] : [['content-type', type]]), sent, letIn).statement;
}
const factsOf = (...given: Parameters<typeof statementOf>): KubernetesFacts => statementOf(...given).facts.k8s!;
const codeOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    if (error instanceof GatewayError) return error.code;
    throw error;
  }
  return '';
};

describe('a request line', () => {
  test.each([
    ['GET /api/v1/pods', 'list', '', 'pods', '', '', ''],
    ['GET /api/v1/namespaces/shop/pods?watch=true', 'watch', '', 'pods', '', 'shop', ''],
    ['GET /api/v1/namespaces/shop/pods?watch=0', 'list', '', 'pods', '', 'shop', ''],
    ['GET /api/v1/watch/namespaces/shop/secrets', 'watch', '', 'secrets', '', 'shop', ''],
    ['HEAD /api/v1/namespaces/shop/pods/web', 'get', '', 'pods', '', 'shop', 'web'],
    ['GET /api/v1/namespaces/shop/pods/web/log?follow=true', 'get', '', 'pods', 'log', 'shop', 'web'],
    ['GET /api/v1/namespaces/shop', 'get', '', 'namespaces', '', 'shop', 'shop'],
    ['DELETE /api/v1/namespaces/shop', 'delete', '', 'namespaces', '', 'shop', 'shop'],
    ['PUT /api/v1/namespaces/shop/finalize', 'update', '', 'namespaces', 'finalize', 'shop', 'shop'],
    ['DELETE /apis/apps/v1/namespaces/shop/deployments', 'deletecollection', 'apps', 'deployments', '', 'shop', ''],
    ['GET /apis/metrics.k8s.io/v1beta1/nodes/n1', 'get', 'metrics.k8s.io', 'nodes', '', '', 'n1'],
    [
      'GET /api/v1/namespaces/shop/services/https:web:443/proxy/a/b',
      'get',
      '',
      'services',
      'proxy',
      'shop',
      'https:web:443',
    ],
    ['GET /api/v1/secrets?fieldSelector=metadata.name%3Dtls', 'list', '', 'secrets', '', '', 'tls'],
  ])('%s is %s', (line, verb, group, resource, subresource, namespace, name) => {
    expect(factsOf(line)).toMatchObject({ verb, group, resource, subresource, namespace, name, nonResource: false });
  });

  test.each([
    'GET /api//v1/secrets',
    'GET /api/v1/namespaces/../secrets',
    'GET /api/v1/./secrets',
    'GET /api/v1/secrets/',
    'GET /api/v1/secrets%2fx',
    'GET /api/v1/proxy/namespaces/a/pods/b',
    'GET /api/v1/watch',
    'GET /api/v1/namespaces/a/pods/b/exec/c',
    'GET /api/v1/pods?watch=false&watch=true',
    'GET /api/v1/pods?labelSelector=a&labelSelector=b',
    'GET /api/v1/pods?watch=true;x=1',
    'GET /api/v1/pods?limit=%zz',
    'TRACE /api/v1/pods',
  ])('%s is refused: it could be read in another way', (line) => {
    expect(codeOf(() => statementOf(line))).toBe('kubernetes.path');
  });

  test.each([
    ['GET /api/v1/secrets', ['read']],
    ['GET /version', ['read']],
    ['GET /openapi/v3/apis/apps/v1?hash=AB', ['read']],
    ['GET /debug/pprof/heap', ['admin']],
    ['POST /livez', ['admin']],
    ['POST /api/v1/namespaces/a/pods', ['write']],
    ['DELETE /api/v1/pods', ['write']],
    ['POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews', ['read']],
    ['POST /apis/authentication.k8s.io/v1/selfsubjectreviews', ['read']],
    ['PUT /apis/rbac.authorization.k8s.io/v1/clusterroles/x', ['admin']],
    ['PUT /apis/certificates.k8s.io/v1/certificatesigningrequests/x/approval', ['admin']],
    ['POST /api/v1/namespaces/a/serviceaccounts/b/token', ['admin']],
    ['GET /api/v1/nodes/n1/proxy/pods', ['exec']],
    ['POST /api/v1/namespaces/a/pods/b/portforward', ['forward']],
    ['PATCH /api/v1/namespaces/a/pods/b/ephemeralcontainers', ['exec']],
    ['GET /api/v1/namespaces/a/pods/b/attach?stdin=true', ['exec']],
  ])('%s does %j', (line, effects) => {
    expect(statementOf(line).effects).toEqual(effects);
  });

  test('a client that says whom it wants to be is refused', () => {
    for (const name of ['impersonate-user', 'impersonate-extra-scopes', 'x-remote-user'])
      expect(codeOf(() => classify(head('GET /api/v1/pods', [[name, 'root']]), undefined))).toBe(
        'kubernetes.impersonation',
      );
  });
});

describe('what is sent', () => {
  const deployment = (pod: object, spec: object = {}): object => ({
    kind: 'Deployment',
    metadata: { name: 'web' },
    spec: { replicas: 3, ...spec, template: { spec: pod } },
  });
  const POST = 'POST /apis/apps/v1/namespaces/a/deployments';
  const PATCH = 'PATCH /apis/apps/v1/namespaces/a/deployments/web';

  test('replicas, images and the service account are read wherever a pod stands', () => {
    const pod = {
      serviceAccountName: 'boss',
      initContainers: [{ image: 'a' }],
      containers: [{ image: 'b' }, { image: 'b' }],
    };
    expect(factsOf(POST, deployment(pod))).toMatchObject({
      object: 'read',
      name: 'web',
      replicas: 3,
      images: ['a', 'b'],
      serviceAccount: 'boss',
      privileged: false,
    });
    const cron = { spec: { jobTemplate: { spec: { template: { spec: pod } } } } };
    expect(factsOf('POST /apis/batch/v1/namespaces/a/cronjobs', cron).images).toEqual(['a', 'b']);
  });

  test.each([
    [{ securityContext: { privileged: true } }],
    [{ securityContext: { capabilities: { add: ['CAP_SYS_ADMIN'] } } }],
    [{ securityContext: { procMount: 'Unmasked' } }],
    [{ securityContext: { seccompProfile: { type: 'Unconfined' } } }],
    [{ securityContext: { windowsOptions: { hostProcess: true } } }],
  ])('a container with %j is privileged', (container) => {
    expect(factsOf(POST, deployment({ containers: [container] })).privileged).toBe(true);
  });

  test('the host’s paths and namespaces are seen', () => {
    expect(factsOf(POST, deployment({ volumes: [{ hostPath: { path: '/' } }] })).hostPath).toBe(true);
    expect(factsOf(POST, deployment({ hostPID: true })).hostNetwork).toBe(true);
  });

  test.each([
    ['application/json-patch+json', [{ op: 'replace', path: '/spec/replicas', value: 0 }], 'json'],
    ['application/json-patch+json', [{ op: 'add', path: '/spec', value: { replicas: 0 } }], 'json'],
    ['application/merge-patch+json', { spec: { replicas: 0 } }, 'merge'],
    ['application/strategic-merge-patch+json', { spec: { replicas: 0 } }, 'strategic'],
    ['application/apply-patch+yaml', 'spec:\n  replicas: 0\n', 'apply'],
    ['application/apply-patch+yaml', '{"spec":{"replicas":0}}', 'apply'],
  ])('scaling to zero by %s %j is seen', (type, body, patchType) => {
    expect(factsOf(PATCH, body, type)).toMatchObject({ verb: 'patch', patchType, replicas: 0 });
  });

  test('a JSON Patch that makes a container privileged is seen', () => {
    const at = '/spec/template/spec/containers/0/securityContext';
    const patch = [{ op: 'add', path: at, value: { privileged: true } }];
    expect(factsOf(PATCH, patch, 'application/json-patch+json').privileged).toBe(true);
    const deep = [{ op: 'add', path: `${at}/privileged`, value: true }];
    expect(factsOf(PATCH, deep, 'application/json-patch+json').privileged).toBe(true);
  });

  test.each([
    [
      'a copy of what is stored',
      [{ op: 'copy', from: '/data/a', path: '/metadata/annotations/a' }],
      'application/json-patch+json',
    ],
    [
      'a move of what is stored',
      [{ op: 'move', from: '/data/a', path: '/metadata/labels/a' }],
      'application/json-patch+json',
    ],
    ['a key that stands twice', '{"spec":{"replicas":3,"replicas":0}}', 'application/merge-patch+json'],
    [
      'a key that stands twice by an escape',
      '{"spec":{"replicas":3,"replic\\u0061s":0}}',
      'application/merge-patch+json',
    ],
    ['what is cut', '{"spec":{', 'application/merge-patch+json'],
    ['an alias', 'a: &x 1\nb: *x\n', 'application/apply-patch+yaml'],
    ['two documents', 'a: 1\n---\nb: 1\n', 'application/apply-patch+yaml'],
    ['a tag', 'a: !!binary aGk=\n', 'application/apply-patch+yaml'],
    ['a key that stands twice in YAML', 'a:\n  b: 1\n  "b": 2\n', 'application/apply-patch+yaml'],
    ['a key that stands twice in YAML, once a number', '{ a: { 1: 2, "1": 3 } }', 'application/apply-patch+yaml'],
  ])('%s is refused', (_what, body, type) => {
    expect(codeOf(() => statementOf(PATCH, body, type))).toBe('kubernetes.object');
  });

  // One client's text is read while all others of the agent wait.
  test.each([
    ['keys', Array.from({ length: 20_000 }, (_, i) => `k${i}: 1`).join('\n')],
    ['keys that may just be read', Array.from({ length: 9_000 }, (_, i) => `k${i}: 1`).join('\n')],
    ['keys of a flow', `a: {${'b, '.repeat(80_000)}}`],
    ['aliases', `a: &a 1\n${Array.from({ length: 7_000 }, (_, i) => `k${i}: *a`).join('\n')}`],
    ['tags', `a: ${'!!str '.repeat(30_000)}b`],
    ['mistakes', '"a"'.repeat(60_000)],
    ['levels', '? '.repeat(30_000)],
  ])('YAML of many %s is read, or refused, at once', { timeout: 120_000 }, (_what, text) => {
    const before = process.threadCpuUsage();
    codeOf(() => statementOf(PATCH, text, 'application/apply-patch+yaml'));
    const { user } = process.threadCpuUsage(before);
    expect(user / 1_000).toBeLessThan(2_000);
  });

  test('bytes that are no UTF-8 are refused', () => {
    const bytes = Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]);
    expect(codeOf(() => classify(head(POST, [JSON_TYPE]), { read: true, bytes, size: 7 }))).toBe('kubernetes.object');
  });

  test.each(['application/cbor', 'text/plain'])('%s is refused', (type) => {
    expect(codeOf(() => statementOf(POST, 'k8s', type))).toBe('kubernetes.media_type');
  });

  test('protobuf that cannot be read is refused, or said to be unread where the resource lets it in', () => {
    const type = 'application/vnd.kubernetes.protobuf';
    expect(codeOf(() => statementOf(POST, 'k8s', type))).toBe('kubernetes.protobuf');
    expect(factsOf(POST, 'k8s', type, ['protobuf'])).toMatchObject({ object: 'unread', replicas: -1 });
  });

  test('YAML is sent on as the JSON that was judged, read as the server reads it', () => {
    const bytes = Buffer.from('spec:\n  replicas: 010\n  paused: yes\n  at: 2020-01-01\n  for: 1:30\n');
    const type: Header = ['content-type', 'application/apply-patch+yaml'];
    const { body, statement } = classify(head(PATCH, [type]), { read: true, bytes, size: bytes.length });
    expect(JSON.parse(Buffer.from(body!).toString())).toEqual({
      spec: { replicas: 8, paused: true, at: '2020-01-01', for: '1:30' },
    });
    expect(statement.facts.k8s?.replicas).toBe(8);
  });

  test('a sign that ends a line in YAML alone is sent as an escape', () => {
    const args = ['rm\u0085-rf', 'a\u2028b\u2029c', '\ufeff\u007f'];
    const type: Header = ['content-type', 'application/apply-patch+yaml'];
    for (const text of [JSON.stringify({ args }), `args: ${JSON.stringify(args)}\n`]) {
      const bytes = Buffer.from(text);
      const { body } = classify(head(PATCH, [type]), { read: true, bytes, size: bytes.length });
      expect(Buffer.from(body!).toString()).toMatch(/^[\x20-\x7e]+$/);
      expect(JSON.parse(Buffer.from(body!).toString())).toEqual({ args });
    }
  });

  test('what a body says of a dry run counts for deletions, and the query for all else', () => {
    const one = 'DELETE /api/v1/namespaces/a/pods/b';
    expect(factsOf(`${one}?dryRun=All`).dryRun).toBe(true);
    expect(factsOf(`${one}?dryRun=All`, { kind: 'DeleteOptions' }).dryRun).toBe(false);
    expect(factsOf(one, { dryRun: ['All'] }).dryRun).toBe(true);
    expect(factsOf(`${POST}?dryRun=All`, { dryRun: [] }).dryRun).toBe(true);
    expect(factsOf(`${POST}?dryRun=`, {}).dryRun).toBe(false);
  });

  test('a body that could not be gathered is unread, not absent', () => {
    const { statement } = classify(head(POST, [JSON_TYPE]), { read: false, bytes: Buffer.alloc(0), size: 9_999_999 });
    expect(statement.facts.k8s?.object).toBe('unread');
  });

  test('an approver does not read what a Secret holds, and an approval is for these bytes alone', () => {
    const line = 'POST /api/v1/namespaces/a/secrets';
    const one = statementOf(line, { data: { a: 'c2VjcmV0' }, stringData: { b: 'hush' } });
    expect(one.text).not.toMatch(/c2VjcmV0|hush/);
    expect(one.facts.k8s?.secret).toBe(true);
    expect(one.digest).not.toBe(statementOf(line, { data: { a: 'other' }, stringData: { b: 'hush' } }).digest);
  });
});

describe('exec', () => {
  const exec = (...command: readonly string[]): Statement =>
    statementOf(
      `GET /api/v1/namespaces/a/pods/b/exec?${command.map((word) => `command=${encodeURIComponent(word)}`).join('&')}`,
    );

  test('its command is read as a shell reads it', () => {
    const { facts, effects, text } = exec('sh', '-c', 'cat /etc/shadow; rm -rf /data');
    expect(facts.shell?.programs).toEqual(expect.arrayContaining(['cat', 'rm']));
    expect(facts.shell?.pathsRead).toContain('/etc/shadow');
    expect(facts.k8s?.execCommand).toEqual(['sh', '-c', 'cat /etc/shadow; rm -rf /data']);
    expect(effects).toEqual(expect.arrayContaining(['exec', 'write']));
    expect(text).toBe("exec pods/b/exec -n a -- sh -c 'cat /etc/shadow; rm -rf /data'");
  });

  test('a word with quotes in it is one word', () => {
    expect(exec('echo', "it's; rm -rf /").facts.shell?.programs).toEqual(['echo']);
  });

  test('a command that ends at a NUL is not understood', () => {
    expect(exec('ls\0', 'x').understood).toBe(false);
  });
});

describe('a request that comes again', () => {
  const line = 'GET /api/v1/namespaces/shop/pods/web/exec?command=ls&stdout=true';

  test('is another statement of the same facts', () => {
    const [first, second] = [statementOf(line), statementOf(line)];
    expect(second).toEqual(first);
    expect(second).not.toBe(first);
    expect(second.facts.k8s).toBe(first.facts.k8s);
  });

  test('with another method, command or kind of content has facts of its own, and so has one with a body', () => {
    const facts = factsOf(line);
    expect(factsOf(line.replace('GET', 'POST'))).not.toBe(facts);
    expect(factsOf(line.replace('command=ls', 'command=rm')).execCommand).toEqual(['rm']);
    const typed = (type: string): KubernetesFacts =>
      classify(head('PATCH /api/v1/namespaces/shop/pods/web', [['content-type', type]]), undefined).statement.facts
        .k8s!;
    expect(typed('application/merge-patch+json').patchType).not.toBe(typed('application/json-patch+json').patchType);
    const create = 'POST /api/v1/namespaces/shop/pods';
    expect(factsOf(create, { metadata: { name: 'a' } }).name).toBe('a');
    expect(factsOf(create, { metadata: { name: 'b' } }).name).toBe('b');
    expect(factsOf(create).name).toBe('');
  });

  test('is refused again where its headers are what is refused', () => {
    statementOf(line);
    expect(codeOf(() => classify(head(line, [['impersonate-user', 'root']]), undefined))).toBe(
      'kubernetes.impersonation',
    );
  });
});

test.each([
  ['a deployment that is made', 'POST /apis/apps/v1/namespaces/shop/deployments', { spec: {} }, undefined, 1],
  ['one that is replaced', 'PUT /apis/apps/v1/namespaces/shop/deployments/web', { spec: {} }, undefined, 1],
  ['a stateful set', 'PUT /apis/apps/v1/namespaces/shop/statefulsets/web', { spec: { replicas: null } }, undefined, 1],
  ['one with a number', 'PUT /apis/apps/v1/namespaces/shop/deployments/web', { spec: { replicas: 0 } }, undefined, 0],
  [
    'a patch of the whole spec',
    'PATCH /apis/apps/v1/namespaces/shop/deployments/web',
    [{ op: 'replace', path: '/spec', value: { paused: true } }],
    'application/json-patch+json',
    1,
  ],
  [
    'a patch that leaves the number as it is',
    'PATCH /apis/apps/v1/namespaces/shop/deployments/web',
    { spec: { paused: true } },
    'application/merge-patch+json',
    -1,
  ],
  ['its status', 'PUT /apis/apps/v1/namespaces/shop/deployments/web/status', { spec: {} }, undefined, -1],
  ['a kind that is not counted', 'POST /api/v1/namespaces/shop/pods', { spec: {} }, undefined, -1],
] as const)('replicas that %s leaves to the API server', (_name, line, body, type, replicas) => {
  expect(factsOf(line, body, type).replicas).toBe(replicas);
});
