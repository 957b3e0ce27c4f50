/** What a connection remembers of heads: it never changes what they mean. */
import { GatewayError } from '@sallyport/core';
import { describe, expect, test } from 'vitest';
import { MadeOf, madeOf } from '../made-of.ts';
import { KnownAnswer, KnownFields, readRequestHead, readResponseHead } from './head.ts';
import { encodeRequestHead, KnownLines } from './write.ts';

const FIELDS = 'Host: a.example\r\nAccept: x\r\nX-One: 1';
const codeOf = (act: () => unknown): string => {
  try {
    act();
  } catch (error) {
    return error instanceof GatewayError ? error.code : 'another error';
  }
  return 'nothing';
};

describe('fields that come again', () => {
  test('are the same list, whatever the request line is', () => {
    const known = new KnownFields();
    const first = readRequestHead(`GET /a HTTP/1.1\r\n${FIELDS}`, 'https', known).head;
    const second = readRequestHead(`DELETE /b?c HTTP/1.1\r\n${FIELDS}`, 'https', known).head;
    expect(second.headers).toBe(first.headers);
    expect(second).toEqual(readRequestHead(`DELETE /b?c HTTP/1.1\r\n${FIELDS}`, 'https').head);
  });

  test.each([
    ['a byte', `GET /a HTTP/1.1\r\n${FIELDS.replace('1', '2')}`],
    ['a length', `POST /a HTTP/1.1\r\n${FIELDS}\r\nContent-Length: 3`],
    ['the version', `GET /a HTTP/1.0\r\n${FIELDS}`],
  ])('that differ by %s are read anew', (_what, text) => {
    const known = new KnownFields();
    const first = readRequestHead(`GET /a HTTP/1.1\r\n${FIELDS}`, 'https', known).head;
    const read = readRequestHead(text, 'https', known);
    expect(read).toEqual(readRequestHead(text, 'https'));
    expect(read.head.headers).not.toBe(first.headers);
  });

  test('that were refused are refused again', () => {
    const known = new KnownFields();
    const text = `GET /a HTTP/1.1\r\n${FIELDS}\r\nHost: b.example`;
    for (let i = 0; i < 2; i++) expect(codeOf(() => readRequestHead(text, 'https', known))).toBe('http.smuggling');
  });

  test('do not vouch for the request line', () => {
    const known = new KnownFields();
    readRequestHead(`GET /a HTTP/1.1\r\n${FIELDS}`, 'https', known);
    expect(codeOf(() => readRequestHead(`GET /a\0 HTTP/1.1\r\n${FIELDS}`, 'https', known))).toBe('http.smuggling');
    expect(codeOf(() => readRequestHead(`GET http://b/a HTTP/1.1\r\n${FIELDS}`, 'https', known))).toBe(
      'http.smuggling',
    );
    expect(codeOf(() => readRequestHead(`CONNECT b:443 HTTP/1.1\r\n${FIELDS}`, 'https', known))).toBe('http.smuggling');
  });
});

test.each([
  ['a lone CR in a value', 'Host: a\r\nX: 1\r2'],
  ['a lone LF in a value', 'Host: a\r\nX: 1\n2'],
  ['a lone LF between fields', 'Host: a\nX: 1'],
  ['a lone CR at the end', 'Host: a\r\nX: 1\r'],
  ['CR CR LF', 'Host: a\r\r\nX: 1'],
  ['NUL in a value', 'Host: a\r\nX: 1\0'],
  ['a control where no field is', 'Host: a\r\nx\x01y'],
])('%s is refused in a request, and ends an answer', (_what, fields) => {
  expect(codeOf(() => readRequestHead(`GET /a HTTP/1.1\r\n${fields}`, 'https'))).toBe('http.smuggling');
  expect(codeOf(() => readResponseHead(`HTTP/1.1 200 OK\r\n${fields}`, 'GET'))).toBe('http.upstream');
});

test('an answer that comes again is the same reading, unless it answers another method', () => {
  const known = new KnownAnswer();
  const text = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nServer: s';
  const first = known.read(text, 'GET');
  expect(known.read(text, 'GET')).toBe(first);
  expect(known.read(text, 'HEAD').head.framing).toEqual({ kind: 'none' });
  expect(known.read(`${text}2`, 'GET').head.headers).toEqual([['server', 's2']]);
});

test('lines are written anew where a field is another object, and a list that was refused is not remembered', () => {
  const lines = new KnownLines();
  const one = ['a', '1'] as const;
  const head = (headers: readonly (readonly [string, string])[]): string =>
    encodeRequestHead({ method: 'GET', target: '/', authority: 'h', headers }, { kind: 'none' }, false, '', lines)
      .toString('latin1')
      .split('\r\n')
      .slice(2, -2)
      .join('|');
  expect(head([one])).toBe('a: 1');
  expect(head([one, ['b', '2']])).toBe('a: 1|b: 2');
  expect(head([['a', '3']])).toBe('a: 3');
  expect(codeOf(() => head([['a', 'x\r\ny: z']]))).toBe('http.malformed');
  expect(head([one])).toBe('a: 1');
});

test('a head is written letter by letter, whatever its length and its letters', () => {
  for (const length of [0, 220, 230, 240, 300])
    for (const last of ['x', 'é', 'ÿ']) {
      const text = 'v'.repeat(length) + last;
      const request = { method: 'GET', target: `/${text}`, authority: 'h', headers: [['n', text]] } as const;
      const head = encodeRequestHead(request, { kind: 'length', bytes: 3 }, false, '', new KnownLines());
      expect(head.toString('latin1')).toBe(
        `GET /${text} HTTP/1.1\r\nhost: h\r\nn: ${text}\r\ncontent-length: 3\r\n\r\n`,
      );
    }
});

test('a target that could be read as more than one line is never written', () => {
  for (const target of ['/a b', '/a\tb', '/a\r\nx: y', '/\u0120'])
    expect(
      codeOf(() => encodeRequestHead({ method: 'GET', target, authority: 'h', headers: [] }, { kind: 'none' }, false)),
    ).toBe('http.malformed');
});

test('what was made of headers is not taken for what others would make', () => {
  const count = (headers: readonly unknown[]): number => headers.length;
  const { head } = readRequestHead(`GET /a HTTP/1.1\r\n${FIELDS}`, 'https');
  const made = new MadeOf(head.headers);
  expect(madeOf({ ...head, made }, count)).toBe(2);
  expect(madeOf({ ...head, headers: [], made }, count)).toBe(0);
});
