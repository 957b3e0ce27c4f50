import { LIMITS } from '@sallyport/core';
import { expect, test } from 'vitest';
import { fieldsOf } from './body-fields.ts';
import { httpTargetProblem, type KubernetesTarget, parseHttpTarget } from './http-target.ts';
import { parseKubernetesMask } from './kubernetes-mask.ts';

test('a document is the list of its values, each with a path that says where', () => {
  const value = { a: { b: [{ c: 1.5 }, 'x'] }, 'x.y': true, n: null, empty: {}, none: [], amount: '  12e2 ' };
  expect(fieldsOf(value)).toEqual([
    { path: 'a.b[0].c', value: '1.5', number: 1.5, kind: 'number' },
    { path: 'a.b[1]', value: 'x', number: 0, kind: 'string' },
    { path: '"x.y"', value: 'true', number: 0, kind: 'bool' },
    { path: 'n', value: '', number: 0, kind: 'null' },
    { path: 'empty', value: '', number: 0, kind: 'object' },
    { path: 'none', value: '', number: 0, kind: 'array' },
    { path: 'amount', value: '  12e2 ', number: 1200, kind: 'string' },
  ]);
  expect(fieldsOf('text')).toEqual([{ path: '', value: 'text', number: 0, kind: 'string' }]);
  expect(fieldsOf([[1]])?.[0]?.path).toBe('[0][0]');
  for (const no of ['0x10', '1 2', 'Infinity', 'NaN', '', '1e999', '١'])
    expect(fieldsOf([no])?.[0]?.number, no).toBe(0);
});

test('what is deeper or longer than may be read is not read in half', () => {
  const nested = (depth: number): unknown => (depth === 0 ? 1 : [nested(depth - 1)]);
  expect(fieldsOf(nested(LIMITS.bodyDepthMax))).toHaveLength(1);
  expect(fieldsOf(nested(LIMITS.bodyDepthMax + 1))).toBeUndefined();
  expect(fieldsOf(Array.from({ length: LIMITS.bodyFieldsMax }, () => 1))).toHaveLength(LIMITS.bodyFieldsMax);
  expect(fieldsOf(Array.from({ length: LIMITS.bodyFieldsMax + 1 }, () => 1))).toBeUndefined();
});

test('a mask of Kubernetes objects names a resource, perhaps one object, and a path in it', () => {
  expect(parseKubernetesMask('certificates.cert-manager.io/web:spec.*')).toEqual({
    resource: 'certificates.cert-manager.io',
    name: 'web',
    steps: [{ kind: 'key', name: 'spec' }, { kind: 'any_key' }],
  });
  expect(parseKubernetesMask('secrets:data."tls.key"')).toMatchObject({ resource: 'secrets', name: '' });
  for (const wrong of [
    'secrets',
    'secrets:',
    ':data',
    'Secrets:data',
    'secrets/:data',
    'secrets/a/b:data',
    'secrets:a..b',
  ])
    expect(parseKubernetesMask(wrong), wrong).toBeUndefined();
});

test('a target says what is wrong with it', () => {
  const target = (more: object) =>
    httpTargetProblem(parseHttpTarget({ url: 'https://api.example.com/base', inject: { as: 'bearer' }, ...more }, ''))
      ?.field;
  expect(target({})).toBeUndefined();
  expect(target({ url: 'ftp://x' })).toBe('url');
  expect(target({ url: 'https://user:pass@x' })).toBe('url');
  expect(target({ url: 'https://x/?a=b' })).toBe('url');
  expect(target({ url: 'http://x', tls: 'require' })).toBe('tls');
  expect(target({ inject: { as: 'header' } })).toBe('inject.name');
  expect(target({ inject: { as: 'header', name: 'Content-Length' } })).toBe('inject.name');
  expect(target({ inject: { as: 'header', name: 'transfer-encoding' } })).toBe('inject.name');
  expect(target({ inject: { as: 'bearer', name: 'x' } })).toBe('inject.name');
  expect(target({ inject: { as: 'oauth' } })).toBe('inject.tokenUrl');
  expect(target({ inject: { as: 'sigv4', region: 'eu-west-1' } })).toBe('inject.service');
  expect(target({ inject: { as: 'google' } })).toBe('inject');
  expect(target({ url: 'http://x', inject: { as: 'mtls' } })).toBe('inject.as');
  expect(target({ tokenHeader: 'host' })).toBe('tokenHeader');
  const cluster: KubernetesTarget = {
    url: 'https://k8s',
    inject: { as: 'bearer' },
    identity: { mode: 'service_account', namespace: 'x' },
    execRecorded: true,
  };
  expect(httpTargetProblem(cluster)?.field).toBe('identity.serviceAccount');
  expect(httpTargetProblem(undefined)?.message).toMatch(/target/);
});
