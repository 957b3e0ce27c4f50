/** The example that is shipped is one that can be applied, and agents can enforce what comes of it. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parseResource, type Resource } from '@sallyport/model';
import { expect, test } from 'vitest';
import { readDocuments } from '../apply/documents.ts';
import { requiredCapabilities } from '../bundles/capabilities.ts';
import { HttpTarget } from './http-target-document.ts';
import { specOf } from './resource-document.ts';

const FILE = path.join(import.meta.dirname, '../../../../deploy/examples/apis-and-clusters.yaml');

test('the example of APIs and clusters is accepted, and asks agents for what it needs', () => {
  const documents = readDocuments([{ file: 'example.yaml', text: readFileSync(FILE, 'utf8') }]);
  expect(documents.map(({ kind }) => kind)).toEqual(['Resource', 'Resource', 'Resource', 'Grant', 'Policy']);
  const resources = documents.flatMap((one) => {
    if (one.kind !== 'Resource') return [];
    const base = { id: one.name, projectId: 'p', name: one.name, kind: one.document.type, labels: one.document.labels };
    const credential = { kind: 'stored', username: 'x', reference: 'c' };
    return [parseResource(JSON.parse(JSON.stringify({ ...base, ...specOf(one.document), credential })), '')];
  });
  expect(requiredCapabilities({ resources })).toEqual(['http.1', 'kubernetes.1', 'mcp.1', 'trail.1']);
});

test('what reads or masks requests is asked of agents by name, and nothing of others', () => {
  const policy = {
    id: 'p',
    projectId: 'p',
    name: 'p',
    subjects: {},
    resources: {},
    mode: 'enforce',
    rules: [],
    masks: [],
  } as const;
  const rule = (when: string) => ({
    ...policy,
    rules: [{ name: 'r', when, verdict: 'deny', mode: 'enforce' } as const],
  });
  for (const when of ['http.method == "GET"', 'body.text == ""', '!k8s.rbac', 'mcp.changed'])
    expect(requiredCapabilities({ policies: [rule(when)] }), when).toContain('policy.http.1');
  expect(requiredCapabilities({ policies: [rule('sql.count > 1')] })).toEqual(['policy.cel.1', 'trail.1']);
  const masks = [{ json: ['a'] }, { headers: ['x-a'] }, { kubernetes: ['secrets:data.*'] }];
  for (const mask of masks)
    expect(requiredCapabilities({ policies: [{ ...policy, masks: [{ ...mask, with: 'redact' }] }] })).toEqual([
      'mask.http.1',
      'trail.1',
    ]);
});

test('texts that come in pieces are asked of agents by name, and only at paths that can be followed', () => {
  const withPath = (path: string) =>
    HttpTarget.safeParse({ url: 'https://api.example.com', inject: { as: 'none' }, streams: [{ path }] });
  const target = withPath('choices[].delta.content').data;
  const resource = {
    id: 'r',
    projectId: 'p',
    name: 'r',
    kind: 'http',
    labels: {},
    credential: { kind: 'none' },
    http: target,
  } as unknown as Resource;
  expect(requiredCapabilities({ resources: [resource] })).toEqual(['http.1', 'mask.streams.1', 'trail.1']);
  for (const path of ['', '**.content', 'a.*', 'a..b'])
    expect(withPath(path).error?.issues[0]?.path, path).toEqual(['streams', path === '' ? 0 : '0', 'path']);
});
