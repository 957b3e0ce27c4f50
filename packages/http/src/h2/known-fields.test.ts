/** What a connection of HTTP/2 remembers of heads: it never changes what they mean. */
import { GatewayError } from '@sallyport/core';
import { expect, test } from 'vitest';
import { http2Lines, KnownHttp2Fields, KnownHttp2Lines, readHttp2Request } from './heads.ts';

const raw = (path: string, method = 'GET', more: readonly string[] = ['x-a', '1']): string[] => [
  ':method',
  method,
  ':scheme',
  'https',
  ':authority',
  'a.example',
  ':path',
  path,
  ...more,
];
const codeOf = (act: () => unknown): string => {
  try {
    act();
  } catch (error) {
    return error instanceof GatewayError ? error.code : 'another error';
  }
  return 'nothing';
};

test('fields that come again are the same list, whatever method and path are', () => {
  const known = new KnownHttp2Fields();
  const first = readHttp2Request(raw('/a'), true, known);
  const second = readHttp2Request(raw('/b?c', 'DELETE'), true, known);
  expect(second.headers).toBe(first.headers);
  expect(second).toEqual(readHttp2Request(raw('/b?c', 'DELETE'), true));
});

test.each([
  ['a value', raw('/a', 'GET', ['x-a', '2'])],
  ['a name', raw('/a', 'GET', ['x-b', '1'])],
  ['one more', raw('/a', 'GET', ['x-a', '1', 'x-b', '2'])],
  ['one less', raw('/a', 'GET', [])],
])('fields that differ by %s are read anew', (_what, other) => {
  const known = new KnownHttp2Fields();
  readHttp2Request(raw('/a'), true, known);
  expect(readHttp2Request(other, true, known)).toEqual(readHttp2Request(other, true));
});

test('what is refused is refused beside fields that are known, and again', () => {
  const known = new KnownHttp2Fields();
  readHttp2Request(raw('/a'), true, known);
  for (const [path, method, code] of [
    ['/a\r\nx: y', 'GET', 'http.malformed'],
    ['/a b', 'GET', 'http.malformed'],
    ['/a/../b', 'GET', 'http.malformed'],
    ['//a', 'GET', 'http.malformed'],
    ['/a', 'G T', 'http.malformed'],
  ] as const)
    expect(codeOf(() => readHttp2Request(raw(path, method), true, known))).toBe(code);
  const twice = raw('/a', 'GET', [':path', '/b']);
  for (let i = 0; i < 2; i++) expect(codeOf(() => readHttp2Request(twice, true, known))).toBe('http.smuggling');
  const length = raw('/a', 'POST', ['content-length', '3']);
  expect(codeOf(() => readHttp2Request(length, true, known))).toBe('http.smuggling');
  expect(readHttp2Request(length, false, known).framing).toEqual({ kind: 'length', bytes: 3 });
  expect(codeOf(() => readHttp2Request(length, true, known))).toBe('http.smuggling');
});

test('a head is written as names and values in turn, without what belongs to a connection', () => {
  const headers = [
    ['set-cookie', 'a=1'],
    ['connection', 'close'],
    ['set-cookie', 'b=2'],
    ['etag', '"1"'],
    ['etag', '"2"'],
  ] as const;
  expect(http2Lines(200, headers, '5')).toEqual([
    ':status',
    '200',
    'set-cookie',
    'a=1',
    'set-cookie',
    'b=2',
    'etag',
    '"1", "2"',
    'content-length',
    '5',
  ]);
});

test('lines of a head that comes again are the same, whoever changed the last ones, and others where anything differs', () => {
  const known = new KnownHttp2Lines();
  const headers = [['etag', '"1"']] as const;
  const lines = http2Lines(200, headers, '5');
  const first = known.of(200, headers, '5') as string[];
  expect(first).toEqual(lines);
  // As node:http2 does where there is no date.
  first.push('date', 'now');
  expect(known.of(200, headers, '5')).toEqual(lines);
  expect(known.of(404, headers, '5')).toEqual(http2Lines(404, headers, '5'));
  expect(known.of(404, headers, undefined)).toEqual(http2Lines(404, headers, undefined));
  expect(known.of(404, [['etag', '"2"']], undefined)).toEqual([':status', '404', 'etag', '"2"']);
});
