/** Objects in Kubernetes' protobuf, written by hand here, read as the JSON a client would have sent; what would be lost is refused. */
import { GatewayError } from '@sallyport/core';
import { describe, expect, test } from 'vitest';
import { readProtobuf } from './protobuf-object.ts';

const varint = (value: number | bigint): number[] => {
  let rest = BigInt.asUintN(64, BigInt(value));
  const bytes: number[] = [];
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return [...bytes, Number(rest)];
};
type Sent = string | number | bigint | Buffer;
/** Field number and value, in turn: a number as a varint, the rest as bytes. */
const message = (...fields: (readonly [number, Sent])[]): Buffer =>
  Buffer.concat(
    fields.map(([number, value]) => {
      if (typeof value === 'number' || typeof value === 'bigint')
        return Buffer.from([...varint(number * 8), ...varint(value)]);
      const bytes = Buffer.from(value);
      return Buffer.concat([Buffer.from([...varint(number * 8 + 2), ...varint(bytes.length)]), bytes]);
    }),
  );
const envelope = (apiVersion: string, kind: string, raw: Buffer, ...more: (readonly [number, Sent])[]): Buffer =>
  Buffer.concat([Buffer.from('k8s\0'), message([1, message([1, apiVersion], [2, kind])], [2, raw], ...more)]);
const codeOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    return error instanceof GatewayError ? error.code : String(error);
  }
  return '';
};
const named = (name: string): readonly [number, Sent] => [1, message([1, name])];

describe('an object in protobuf', () => {
  test('reads as its JSON: replicas, a pod inside, a map', () => {
    const container = message([1, 'main'], [2, 'busybox'], [15, message([2, 1])], [6, message([1, 'http'], [3, 80])]);
    const template = message(
      [1, message([11, message([1, 'app'], [2, 'web'])])],
      [2, message([2, container], [11, 1])],
    );
    const spec = message([1, 0], [2, message([1, message([1, 'app'], [2, 'web'])])], [3, template], [4, message()]);
    expect(readProtobuf(envelope('apps/v1', 'Deployment', message(named('web'), [2, spec], [3, message()])))).toEqual({
      kind: 'Deployment',
      apiVersion: 'apps/v1',
      metadata: { name: 'web' },
      spec: {
        replicas: 0,
        selector: { matchLabels: { app: 'web' } },
        template: {
          metadata: { labels: { app: 'web' } },
          spec: {
            containers: [
              {
                name: 'main',
                image: 'busybox',
                securityContext: { privileged: true },
                ports: [{ name: 'http', containerPort: 80 }],
              },
            ],
            hostNetwork: true,
          },
        },
        strategy: {},
      },
      status: {},
    });
  });

  test('a volume’s source stands where JSON has it: beside its name', () => {
    const volume = message([1, 'root'], [2, message([1, message([1, '/'])])]);
    expect(readProtobuf(envelope('v1', 'Pod', message(named('web'), [2, message([1, volume])])))).toMatchObject({
      spec: { volumes: [{ name: 'root', hostPath: { path: '/' } }] },
    });
  });

  test('bytes are base64, and a key may be called __proto__', () => {
    const data = message([1, '__proto__'], [2, Buffer.from('hunter2')]);
    const read = readProtobuf(envelope('v1', 'Secret', message(named('db'), [2, data]))) as { data: object };
    expect(Object.entries(read.data)).toEqual([['__proto__', Buffer.from('hunter2').toString('base64')]]);
  });

  test('quantities, numbers or texts, times and groups of a question are written as JSON has them', () => {
    const limits = message([1, 'memory'], [2, message([1, '64Mi'])]);
    const probe = message([1, message([2, message([1, '/'], [2, message([1, 1], [3, 'http'])])])]);
    const container = message([1, 'main'], [8, message([1, limits])], [10, probe]);
    const metadata = message([1, 'web'], [8, message([1, 1_700_000_000])], [9, message()]);
    expect(readProtobuf(envelope('v1', 'Pod', message([1, metadata], [2, message([2, container])])))).toMatchObject({
      metadata: { name: 'web', creationTimestamp: '2023-11-14T22:13:20Z' },
      spec: {
        containers: [
          { resources: { limits: { memory: '64Mi' } }, livenessProbe: { httpGet: { path: '/', port: 'http' } } },
        ],
      },
    });
    const micro = message([3, message([1, 1_700_000_000], [2, 1_234_000])]);
    expect(readProtobuf(envelope('coordination.k8s.io/v1', 'Lease', message([2, micro])))).toMatchObject({
      spec: { acquireTime: '2023-11-14T22:13:20.001234Z' },
    });
  });

  test('options of a delete are known of every group', () => {
    const options = message([1, 0], [4, 'Foreground'], [5, 'All']);
    expect(readProtobuf(envelope('apps/v1', 'DeleteOptions', options))).toEqual({
      kind: 'DeleteOptions',
      apiVersion: 'apps/v1',
      gracePeriodSeconds: 0,
      propagationPolicy: 'Foreground',
      dryRun: ['All'],
    });
  });

  const pod = (...fields: (readonly [number, Sent])[]): Buffer =>
    envelope('v1', 'Pod', message(named('web'), ...fields));
  test.each([
    ['no envelope', Buffer.from('{"kind":"Pod"}')],
    ['nothing', Buffer.alloc(0)],
    ['a kind that is not known', envelope('example.com/v1', 'Widget', message())],
    ['a kind of another group', envelope('apps/v1', 'Pod', message())],
    ['no kind', Buffer.concat([Buffer.from('k8s\0'), message([2, message(named('web'))])])],
    ['a field that is not known', pod([99, 'x'])],
    ['a field that is not known, deep inside', pod([2, message([2, message([1, 'main'], [199, 'x'])])])],
    ['a field twice', pod(named('other'))],
    ['a field of another type', pod([2, message([2, 7])])],
    ['a text that is no UTF-8', envelope('v1', 'Pod', message([1, message([1, Buffer.from([0xff])])]))],
    ['what ends too early', pod([2, message([2, message([1, 'main'])])]).subarray(0, -1)],
    ['a group of fields', Buffer.concat([Buffer.from('k8s\0'), Buffer.of(0x0b, 0x0c)])],
    ['a number that JSON cannot carry', pod([2, message([4, 1n << 60n])])],
    ['a coding inside the envelope', envelope('v1', 'Pod', message(named('web')), [3, 'gzip'])],
    ['JSON inside the envelope', envelope('v1', 'Pod', message(named('web')), [4, 'application/json'])],
    ['a field of the envelope that is not known', envelope('v1', 'Pod', message(named('web')), [5, 'x'])],
    ['a key twice', envelope('v1', 'Secret', message([2, message([1, 'a'])], [2, message([1, 'a'])]))],
  ])('%s is refused', (_what, bytes) => {
    expect(codeOf(() => readProtobuf(bytes))).toBe('kubernetes.protobuf');
  });
});
