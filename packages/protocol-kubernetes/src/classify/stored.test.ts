/** What a write changes of a stored object, in each way of writing it, and what is never shown of it. */
import { type MaskSet, NO_MASKS } from '@sallyport/model';
import { describe, expect, test } from 'vitest';
import { readRequest } from '../messages.ts';
import { compared, difference } from './difference.ts';
import type { PatchType } from './patch.ts';
import { patched } from './patched.ts';
import { changesOf, changesStored, storedOf } from './stored.ts';

const STORED = {
  kind: 'Deployment',
  metadata: {
    name: 'web',
    uid: 'u',
    resourceVersion: '7',
    managedFields: [{ manager: 'x' }],
    labels: { tier: 'front', team: 'shop' },
    annotations: { 'kubectl.kubernetes.io/last-applied-configuration': '{"a":1}' },
  },
  spec: {
    replicas: 3,
    template: {
      spec: {
        containers: [
          { name: 'main', image: 'a:1', env: [{ name: 'A', value: '1' }], args: ['x', 'y'] },
          { name: 'side', image: 'b:1' },
        ],
      },
    },
  },
  status: { replicas: 3 },
};
const changes = (type: PatchType, sent: unknown): readonly string[] =>
  difference(compared(STORED, ''), compared(patched(type, STORED, sent), ''));
const containers = (...list: readonly object[]): object => ({ spec: { template: { spec: { containers: list } } } });

describe('what a write changes', () => {
  test.each<readonly [string, PatchType, unknown, readonly string[]]>([
    ['a merge that sets a number', 'merge', { spec: { replicas: 0 } }, ['~ spec.replicas: 3 → 0']],
    [
      'a merge that takes a label away',
      'merge',
      { metadata: { labels: { tier: null } } },
      ['- metadata.labels.tier: "front"'],
    ],
    ['a JSON Patch', 'json', [{ op: 'replace', path: '/spec/replicas', value: 0 }], ['~ spec.replicas: 3 → 0']],
    [
      'a JSON Patch that counts from the end',
      'json',
      [{ op: 'replace', path: '/spec/template/spec/containers/-1/image', value: 'evil' }],
      ['~ spec.template.spec.containers[name="side"].image: "b:1" → "evil"'],
    ],
    [
      'a JSON Patch that removes and appends',
      'json',
      [
        { op: 'remove', path: '/spec/template/spec/containers/0' },
        { op: 'add', path: '/spec/template/spec/containers/-', value: { name: 'new' } },
        { op: 'add', path: '/metadata/labels/a~1b', value: 'c' },
      ],
      [
        '+ metadata.labels."a/b": "c"',
        '- spec.template.spec.containers[name="main"]: {"name":"main","image":"a:1","env":[{"name":"A","value":"1"}],"args":["x","y"]}',
        '+ spec.template.spec.containers[name="new"]: {"name":"new"}',
      ],
    ],
    [
      'a strategic merge finds elements by name',
      'strategic',
      containers({ name: 'side', image: 'b:2' }, { name: 'main', env: [{ name: 'B', value: '2' }], args: ['z'] }),
      [
        '+ spec.template.spec.containers[name="main"].env[name="B"]: {"name":"B","value":"2"}',
        '~ spec.template.spec.containers[name="main"].args[0]: "x" → "z"',
        '- spec.template.spec.containers[name="main"].args[1]: "y"',
        '~ spec.template.spec.containers[name="side"].image: "b:1" → "b:2"',
      ],
    ],
    [
      'a strategic merge that deletes an element, whatever else it names',
      'strategic',
      { ...containers({ name: 'side', $patch: 'delete' }), $setElementOrder: 1 },
      ['- spec.template.spec.containers[name="side"]: {"name":"side","image":"b:1"}'],
    ],
    [
      'a strategic merge that replaces a map',
      'strategic',
      { metadata: { labels: { $patch: 'replace', only: 'me' } } },
      ['- metadata.labels.tier: "front"', '- metadata.labels.team: "shop"', '+ metadata.labels.only: "me"'],
    ],
    ['an apply', 'apply', { kind: 'Deployment', spec: { replicas: 1 } }, ['~ spec.replicas: 3 → 1']],
    [
      'an update, without what the server keeps',
      '',
      {
        ...STORED,
        metadata: { name: 'web', labels: { tier: 'front', team: 'shop' } },
        spec: { ...STORED.spec, replicas: 4 },
      },
      ['~ spec.replicas: 3 → 4'],
    ],
    ['null where nothing is', 'merge', { spec: { paused: null } }, []],
    [
      'a key named as a prototype',
      'merge',
      JSON.parse('{"metadata":{"labels":{"__proto__":"x"}}}'),
      ['+ metadata.labels.__proto__: "x"'],
    ],
  ])('%s', (_what, type, sent, lines) => {
    expect(changes(type, sent)).toEqual(lines);
  });

  test.each([
    [[{ op: 'remove', path: '/spec/nothing' }]],
    [[{ op: 'replace', path: '/spec/template/spec/containers/9', value: 1 }]],
    [[{ op: 'add', path: '/spec/replicas/x', value: 1 }]],
  ])('a JSON Patch that does not fit what is stored is not compared: %j', (operations) => {
    expect(patched('json', STORED, operations)).toBeUndefined();
  });

  test('lines and values are bounded', () => {
    const many = Object.fromEntries(Array.from({ length: 300 }, (_, at) => [`k${at}`, 'v'.repeat(1_000)]));
    const lines = difference({}, { data: 1, ...many });
    expect(lines).toHaveLength(201);
    expect(lines.at(-1)).toBe('… and 101 more');
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(500);
  });
});

describe('shown to people', () => {
  const at = (path: string, method = 'PATCH') => readRequest(method, path, '');
  const text = (path: string, stored: object, type: PatchType, sent: unknown, masks: MaskSet = NO_MASKS): string =>
    changesOf({ kind: 'object', object: stored, version: '7' }, at(path), type, sent, masks, undefined);

  test('what a Secret holds is not, before or after, in any way of writing it', () => {
    const secret = { metadata: { name: 'db' }, data: { password: 'b2xk' } };
    for (const [type, sent] of [
      ['merge', { data: { password: 'bmV3', more: 'bmV3' } }],
      ['json', [{ op: 'add', path: '/data/more', value: 'bmV3' }]],
      ['', { ...secret, data: { more: 'bmV3' }, stringData: { other: 'bmV3' } }],
    ] as const) {
      const shown = text('/api/v1/namespaces/shop/secrets/db', secret, type, sent);
      expect(shown).not.toMatch(/b2xk|bmV3/);
      expect(shown).toContain('data.more: "[redacted]"');
    }
  });

  test('what is masked by path or by a detector is masked on both sides', () => {
    const masks: MaskSet = {
      columns: [],
      detect: [{ detect: 'email', with: 'redact' }],
      kubernetes: [{ place: 'configmaps/app:data.password', with: 'redact' }],
    };
    const stored = { metadata: { name: 'app' }, data: { password: 'old', mail: 'to ada@example.com', color: 'red' } };
    const sent = [
      { op: 'replace', path: '/data/password', value: 'new' },
      { op: 'replace', path: '/data/mail', value: 'to bob@example.org' },
      { op: 'replace', path: '/data/color', value: 'blue' },
    ];
    expect(text('/api/v1/namespaces/shop/configmaps/app', stored, 'json', sent, masks)).toBe(
      'Compared with what is stored (version 7):\n~ data.color: "red" → "blue"',
    );
  });

  test('that nothing is stored, or was not read, is said', () => {
    const headers = [['content-type', 'application/json']] as const;
    const answer = (status: number, body: string) =>
      storedOf({ kind: 'answer', status, headers, body: Buffer.from(body) });
    expect(answer(404, '{}')).toEqual({ kind: 'nothing' });
    expect(answer(403, '{}').kind).toBe('unread');
    expect(answer(200, '{"a":1,"a":2}').kind).toBe('unread');
    expect(storedOf({ kind: 'none', code: 'policy.denied' })).toEqual({ kind: 'unread', why: 'policy.denied' });
    expect(answer(200, '{"metadata":{"resourceVersion":"5"}}')).toMatchObject({ kind: 'object', version: '5' });
  });

  test('of a dry run, a creation and a deletion nothing is read', () => {
    const path = '/api/v1/namespaces/shop/pods/web';
    expect(changesStored(at(path))).toBe(true);
    expect(changesStored(at(path, 'PUT'))).toBe(true);
    expect(changesStored(at(path, 'DELETE'))).toBe(false);
    expect(changesStored(readRequest('PATCH', path, 'dryRun=All'))).toBe(false);
    expect(changesStored(at('/api/v1/namespaces/shop/pods', 'POST'))).toBe(false);
  });
});
