/** What a connection remembers of heads: it never changes what they mean. */
import { GatewayError, Views } from '@sallyport/core';
import { describe, expect, test } from 'vitest';
import { MadeOf, madeOf } from '../made-of.ts';
import { type BodyFraming, NO_BODY } from '../message.ts';
import { KnownAnswer, KnownFields, readRequestHead, readResponseHead } from './head.ts';
import { ResponseReader } from './responses.ts';
import { encodeRequestHead, KnownRequestHead } from './write.ts';

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

test('an answer that comes on two connections of one client is the same list of fields', () => {
  const known = new KnownAnswer();
  const seen: unknown[] = [];
  const quiet = (): void => undefined;
  const owner = { informed: quiet, bodyBytes: quiet, bodyEnd: quiet, rawBytes: quiet, broken: quiet };
  for (const etag of ['1', '1', '2']) {
    const reader = new ResponseReader({ ...owner, answered: ({ headers }) => seen.push(headers) }, known);
    reader.expect('GET');
    reader.receive(Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: 0\r\nETag: ${etag}\r\n\r\n`));
  }
  expect(seen).toEqual([[['etag', '1']], [['etag', '1']], [['etag', '2']]]);
  expect(seen[1]).toBe(seen[0]);
});

const lent = new Views(Buffer.alloc(2048));

describe.each([
  ['in memory of their own', (text: string) => Buffer.from(text, 'latin1')],
  [
    'in memory that is read into again',
    (text: string) => {
      const chunk = lent.of(text.length);
      chunk.write(text, 'latin1');
      return chunk;
    },
  ],
])('the answers of a connection, %s,', (_where, chunkOf) => {
  const head = 'HTTP/1.1 200 OK\r\nServer: s\r\nContent-Length: 2\r\n\r\n';
  const said = (pieces: readonly (readonly [method: string, text: string])[]): string[] => {
    const told: string[] = [];
    const reader = new ResponseReader({
      informed: ({ status }) => told.push(`informed ${status}`),
      answered: ({ status, headers }, { saidLength }) => told.push(`${status} ${headers.join(' ')} ${saidLength}`),
      bodyBytes: (bytes) => told.push(bytes.toString('latin1')),
      bodyEnd: () => told.push('.'),
      rawBytes: () => undefined,
      broken: ({ code }) => told.push(code),
    });
    for (const [method, text] of pieces) {
      reader.expect(method);
      reader.receive(chunkOf(text));
    }
    return told;
  };
  const ok = '200 server,s 2';

  test('are read the same when a head comes again, wherever its bytes stand', () => {
    const three = [1, 2, 3].map(() => ['GET', `${head}ab`] as const);
    const usual = three.flatMap(() => [ok, 'ab', '.']);
    expect(said([...three, ['GET', `${head}cd`]])).toEqual([...usual, ok, 'cd', '.']);
    expect(said([...three, ['HEAD', head], ['GET', `${head}cd`]])).toEqual([...usual, ok, '.', ok, 'cd', '.']);
    const other = head.replace('s\r', 't\r');
    const others = [ok.replace(',s', ',t'), 'cd', '.'];
    expect(said([...three, ['GET', `${other}cd`]])).toEqual([...usual, ...others]);
    const four = [...three, ['GET', `${head}ef`], ['GET', `${other}cd`], ['GET', `${head}ab`]] as const;
    expect(said([...four, ...four])).toEqual([1, 2].flatMap(() => [...usual, ok, 'ef', '.', ...others, ok, 'ab', '.']));
    const longer = head.replace(': 2', ': 4');
    expect(said([...four, ['GET', `${longer}abcd`], ...four]).slice(18, 21)).toEqual([
      ok.replace(' 2', ' 4'),
      'abcd',
      '.',
    ]);
    const hint = 'HTTP/1.1 103 Early Hints\r\n\r\n';
    expect(said([...three, ['GET', `${hint}${hint}${hint}${hint}${head}cd`]])).toEqual([
      ...usual,
      ...[1, 2, 3, 4].map(() => 'informed 103'),
      ok,
      'cd',
      '.',
    ]);
  });

  test('are refused when more comes than was asked for, though it was seen before', () => {
    const three = [1, 2, 3].map(() => ['GET', `${head}ab`] as const);
    expect(said([...three, ['GET', `${head}ab${head}ab`]]).at(-1)).toBe('http.upstream');
  });
});

test('a head that leaves again is the same bytes, and anew where anything differs', () => {
  const known = new KnownRequestHead();
  const headers = [['a', '1']] as const;
  const usual = { method: 'GET', target: '/x', authority: 'h', headers };
  const write = (request: typeof usual, framing: BodyFraming = { kind: 'none' }, more = ''): Buffer =>
    encodeRequestHead(request, framing, false, more, known);
  const heads = [1, 2, 3, 4].map(() => write(usual));
  expect(heads[3]).toBe(heads[2]);
  expect(heads[3]).toEqual(heads[0]);
  for (const [request, framing, more] of [
    [{ ...usual, method: 'PUT' }],
    [{ ...usual, target: '/y' }],
    [{ ...usual, authority: 'i' }],
    [{ ...usual, headers: [['a', '2']] as unknown as typeof headers }],
    [usual, { kind: 'length', bytes: 4 }],
    [usual, { kind: 'none' }, 'connection: upgrade\r\n'],
  ] as const satisfies (readonly [typeof usual, BodyFraming?, string?])[]) {
    expect(write(request, framing, more)).toEqual(encodeRequestHead(request, framing ?? NO_BODY, false, more));
    expect(write(usual)).toEqual(heads[0]);
  }
  for (let i = 0; i < 3; i++) expect(codeOf(() => write({ ...usual, target: '/a b' }))).toBe('http.malformed');
});

test('lines are written anew where a field is another object, and a list that was refused is not remembered', () => {
  const lines = new KnownRequestHead();
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
      const head = encodeRequestHead(request, { kind: 'length', bytes: 3 }, false, '', new KnownRequestHead());
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
