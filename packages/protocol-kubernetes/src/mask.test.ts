/** What is hidden of objects, in every form the API server tells them; and how answers are asked for then. */
import { GatewayError } from '@sallyport/core';
import type { Header, ResponseHead } from '@sallyport/http';
import type { MaskSet } from '@sallyport/model';
import { describe, expect, test } from 'vitest';
import { planAnswer } from './mask.ts';
import { readRequest, withoutByteLimit } from './messages.ts';
import { maskedAccept } from './paths.ts';

const SECRET = Buffer.from('hunter2-hunter2').toString('base64');
const HIDDEN = Buffer.from('[redacted]').toString('base64');
const MASKS: MaskSet = {
  columns: [],
  detect: [],
  kubernetes: [
    { place: 'secrets:data.*', with: 'redact' },
    { place: 'configmaps/app:data.password', with: 'redact' },
  ],
};
const JSON_ANSWER: readonly Header[] = [['content-type', 'application/json']];

const answerTo = (path: string, headers = JSON_ANSWER, masks = MASKS) => {
  const [at = '', query = ''] = path.split('?');
  const response: ResponseHead = { status: 200, headers, framing: { kind: 'stream' } };
  return planAnswer(readRequest('GET', at, query), at, response, masks, undefined);
};
function shown(path: string, text: string, headers = JSON_ANSWER, masks = MASKS): string {
  const { masker } = answerTo(path, headers, masks);
  if (masker === undefined) return text;
  const parts = [...Buffer.from(text)].map((byte) => Buffer.from(masker.push(Buffer.of(byte))));
  return Buffer.concat([...parts, masker.end()]).toString();
}
const secret = (extra: object = {}): object => ({
  kind: 'Secret',
  metadata: {
    name: 'db',
    annotations: {
      'kubectl.kubernetes.io/last-applied-configuration': JSON.stringify({
        data: { a: SECRET },
        stringData: { b: 'hunter2-hunter2' },
      }),
    },
  },
  data: { password: SECRET, user: SECRET },
  ...extra,
});

describe('a mask on the data of Secrets', () => {
  test.each([
    ['one', '/api/v1/namespaces/a/secrets/db', secret()],
    ['a list', '/api/v1/secrets', { kind: 'SecretList', items: [secret(), secret()] }],
    [
      'a table with objects',
      '/api/v1/secrets?includeObject=Object',
      { kind: 'Table', rows: [{ cells: ['db'], object: secret() }] },
    ],
    ['an event', '/api/v1/secrets?watch=1', { type: 'ADDED', object: secret() }],
    [
      'an event with a table',
      '/api/v1/secrets?watch=1',
      { type: 'ADDED', object: { kind: 'Table', rows: [{ object: secret() }] } },
    ],
    ['the old way to watch', '/api/v1/watch/secrets', { type: 'ADDED', object: secret() }],
    ['the answer to a change', '/api/v1/namespaces/a/secrets/db', secret({ immutable: true })],
  ])('holds in %s, whatever the cut, and in what was applied last', (_what, path, object) => {
    const text = shown(path, `${JSON.stringify(object)}\n`);
    expect(text).not.toMatch(new RegExp(`${SECRET}|hunter2`));
    expect(text).toContain(HIDDEN);
    expect(() => JSON.parse(text)).not.toThrow();
  });

  test('holds in each of the events of a watch', () => {
    const event = `${JSON.stringify({ type: 'MODIFIED', object: secret() })}\n`;
    expect(shown('/api/v1/secrets?watch=true', event.repeat(3))).not.toContain(SECRET);
  });

  test('leaves other resources as they are, byte for byte', () => {
    const text = JSON.stringify(secret());
    expect(shown('/api/v1/namespaces/a/pods/db', text)).toBe(text);
    expect(shown('/apis/secrets.example.com/v1/secrets', text)).toBe(text);
  });

  test('refuses an answer that cannot be read', () => {
    for (const headers of [
      [['content-type', 'application/vnd.kubernetes.protobuf']],
      [['content-type', 'application/cbor']],
      [['content-type', 'application/yaml']],
      [
        ['content-type', 'application/json'],
        ['content-encoding', 'gzip'],
      ],
    ] as const)
      expect(() => answerTo('/api/v1/secrets', headers)).toThrow(GatewayError);
  });

  test('holds in what the server says of a write that it refused, and its word that there is none stays', () => {
    const told = JSON.stringify({
      kind: 'Status',
      message: `patch: Invalid value: "${SECRET}"`,
      details: { name: 'db', causes: [{ message: SECRET, field: 'patch' }] },
    });
    const said = (status: number): string => {
      const path = '/api/v1/namespaces/a/secrets/db';
      const response: ResponseHead = { status, headers: JSON_ANSWER, framing: { kind: 'stream' } };
      const { masker } = planAnswer(readRequest('PATCH', path, ''), path, response, MASKS, undefined);
      return Buffer.concat([masker!.push(Buffer.from(told)), masker!.end()]).toString();
    };
    for (const status of [400, 403, 422, 500]) {
      expect(said(status)).not.toContain(SECRET);
      expect(said(status)).toContain('"name":"db"');
    }
    expect(said(404)).toBe(told);
  });

  test('cuts an answer that is no JSON', () => {
    const { masker } = answerTo('/api/v1/secrets');
    masker?.push(Buffer.from('{"data":{"a":"x"}} nonsense {'));
    masker?.end();
    expect(masker?.failed).toBe('http.body_unmaskable');
  });
});

describe('a mask for one name', () => {
  const config = JSON.stringify({ data: { password: 'hunter2', host: 'db' } });
  test('holds for it, and for all objects of a list', () => {
    expect(shown('/api/v1/namespaces/a/configmaps/app', config)).toBe('{"data":{"password":"[redacted]","host":"db"}}');
    expect(shown('/api/v1/namespaces/a/configmaps/other', config)).toBe(config);
    expect(shown('/api/v1/configmaps', `{"items":[${config}]}`)).not.toContain('hunter2');
  });
});

describe('detectors', () => {
  const masks: MaskSet = { columns: [], detect: [{ detect: 'email', with: 'redact' }] };
  test('see logs and strings of objects, and not what the server says of itself', () => {
    const line = 'sent to ana.smith@example.com\n';
    expect(shown('/api/v1/namespaces/a/pods/b/log', line, [['content-type', 'text/plain']], masks)).not.toContain(
      'smith',
    );
    expect(shown('/api/v1/namespaces/a/pods/b', JSON.stringify({ a: line }), JSON_ANSWER, masks)).not.toContain(
      'smith',
    );
    expect(shown('/openapi/v2', JSON.stringify({ a: line }), JSON_ANSWER, masks)).toContain('smith');
  });
  test.each(['application/octet-stream', 'application/x-ndjson', 'application/vnd.example.notes'])(
    'see what an aggregated API says that is no object: %s',
    (type) => {
      const masks: MaskSet = { columns: [], detect: [{ detect: 'email', with: 'redact' }] };
      const at = '/apis/packages.example.com/v1/namespaces/a/packages/b/readme';
      expect(shown(at, '"to ana@example.com now"\n', [['content-type', type]], masks)).toBe('"to [redacted] now"\n');
      expect(() => answerTo(at, [['content-type', 'application/zip']], masks)).toThrow(GatewayError);
      expect(shown(at, '\0\u0001\u0002 no text', [['content-type', 'image/png']], masks)).toBe(
        '\0\u0001\u0002 no text',
      );
    },
  );
  test('see the cells of a table', () => {
    const table = JSON.stringify({ kind: 'Table', rows: [{ cells: ['b', 'sent to ana.smith@example.com'] }] });
    expect(shown('/api/v1/namespaces/a/pods', table, JSON_ANSWER, masks)).not.toContain('smith');
  });
});

describe('what is asked for', () => {
  const TABLE = 'application/json;as=Table;v=v1;g=meta.k8s.io';
  test.each([
    ['/api/v1/secrets', `${TABLE},application/json`, `${TABLE},application/json`],
    ['/api/v1/pods', `${TABLE},application/json`, `${TABLE},application/json`],
    ['/apis/apps/v1/deployments', `${TABLE},application/json`, 'application/json'],
    ['/api/v1/secrets', 'application/vnd.kubernetes.protobuf,application/json', 'application/json'],
    ['/api/v1/secrets', 'application/yaml', 'application/json'],
    ['/api/v1/secrets', '', 'application/json'],
    ['/api/v1/secrets', '*/*', 'application/json'],
    ['/api/v1/secrets', 'application/vnd.kubernetes.protobuf', undefined],
    ['/api/v1/secrets', 'application/cbor', undefined],
  ])('%s as %s is asked for as %s', (path, accept, wanted) => {
    const kubernetes = [...MASKS.kubernetes!, { place: 'deployments.apps:spec.paused', with: 'redact' as const }];
    expect(maskedAccept(accept, readRequest('GET', path, ''), { ...MASKS, kubernetes })).toBe(wanted);
  });
});

describe('trailers', () => {
  const FIELDS: readonly Header[] = [
    ['x-owner', 'ada'],
    ['x-more', 'yes'],
  ];
  const masks: MaskSet = { columns: [], detect: [], headers: [{ header: 'x-owner', with: 'redact' }] };
  const trailersOf = (path: string, set: MaskSet): readonly Header[] =>
    (answerTo(path, JSON_ANSWER, set).trailers as (fields: readonly Header[]) => readonly Header[])(FIELDS);
  test('an API server has none', () => {
    for (const set of [masks, MASKS]) {
      expect(trailersOf('/api/v1/pods', set)).toEqual([]);
      expect(trailersOf('/api/v1/namespaces/a/secrets/db', set)).toEqual([]);
    }
  });
  test('those of a program behind it are masked', () => {
    const shownFields = [['x-owner', '[redacted]'], FIELDS[1]];
    expect(trailersOf('/api/v1/namespaces/a/pods/b/proxy/x', masks)).toEqual(shownFields);
  });
});

test.each([
  ['/api/v1/namespaces/a/pods/b/log?limit%42ytes=3&limitBytes=4', '/api/v1/namespaces/a/pods/b/log'],
  [
    '/api/v1/namespaces/a/pods/b/log?tailLines=3&limitBytes=4&follow=1',
    '/api/v1/namespaces/a/pods/b/log?tailLines=3&follow=1',
  ],
  ['/api/v1/nodes/n/proxy/containerLogs/a/b/c?limitBytes=4', '/api/v1/nodes/n/proxy/containerLogs/a/b/c'],
  ['/api/v1/namespaces/a/pods/b/proxy/x?limitBytes=4', '/api/v1/namespaces/a/pods/b/proxy/x?limitBytes=4'],
])('a log is asked for whole: %s', (asked, sent) => {
  const [path = '', query = ''] = asked.split('?');
  expect(withoutByteLimit(asked, readRequest('GET', path, query))).toBe(sent);
});
