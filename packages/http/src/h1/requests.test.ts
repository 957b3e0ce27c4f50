/** Requests of HTTP/1.1 as they are read: whole at every border, bounded, and refused where two readers could differ. */
import { GatewayError, LIMITS } from '@sallyport/core';
import { describe, expect, test } from 'vitest';
import type { Header, RequestHead } from '../message.ts';
import { RequestReader } from './requests.ts';

interface Read {
  readonly heads: RequestHead[];
  readonly bodies: string[];
  readonly trailers: (readonly Header[])[];
  error: string | undefined;
}

/** Reads pieces as one connection; each request is answered as soon as it is whole. */
function readAll(pieces: readonly Buffer[]): Read {
  const read: Read = { heads: [], bodies: [], trailers: [], error: undefined };
  let answered = true;
  const reader: RequestReader = new RequestReader(
    {
      request: (head) => {
        read.heads.push(head);
        read.bodies.push('');
        answered = head.framing.kind === 'none';
      },
      bodyBytes: (bytes) => {
        read.bodies[read.bodies.length - 1] += bytes.toString('latin1');
      },
      bodyEnd: (trailers) => {
        read.trailers.push(trailers);
        answered = true;
      },
      malformed: (error: GatewayError) => {
        read.error = error.code;
      },
      waiting: () => undefined,
    },
    'https',
  );
  for (const piece of pieces) {
    reader.receive(piece);
    while (answered && read.error === undefined) {
      const before = read.heads.length;
      answered = false;
      reader.next();
      if (read.heads.length === before) {
        answered = true;
        break;
      }
    }
  }
  return read;
}

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
const one = (text: string): Read => readAll([bytes(text)]);
const get = (lines: string): string => `GET /a HTTP/1.1\r\n${lines}\r\n`;
const post = (lines: string, body = ''): string => `POST /a HTTP/1.1\r\nHost: a\r\n${lines}\r\n${body}`;

describe('a head that comes again byte by byte', () => {
  const again = get('Host: a\r\nX: 1\r\n');
  const after = (...last: readonly string[]): Read => readAll([again, again, again, ...last].map(bytes));

  test('is the same reading, and no other head is', () => {
    const { heads } = after(again, again.replace('/a', '/b'), again, again.replace('X: 1', 'X: 2'), again);
    expect(heads.map(({ target, headers }) => [target, headers])).toEqual(
      ['/a 1', '/a 1', '/a 1', '/a 1', '/b 1', '/a 1', '/a 2', '/a 1']
        .map((text) => text.split(' '))
        .map(([target, value]) => [target, [['x', value]]]),
    );
    expect(heads[3]).toBe(heads[2]);
    expect(heads[7]).toBe(heads[2]);
  });

  test('is one of several in a chunk', () => {
    const { heads, error } = after(`${again}${again.replace('/a', '/b')}${again}`, `\r\n${again}`);
    expect(heads.map(({ target }) => target).join()).toBe('/a,/a,/a,/a,/b,/a,/a');
    expect(error).toBeUndefined();
  });

  test('is read in pieces, too', () => {
    for (let cut = 1; cut < again.length; cut++) {
      const { heads, error } = after(again.slice(0, cut), again.slice(cut), again);
      expect(heads.map(({ target }) => target).join()).toBe('/a,/a,/a,/a,/a');
      expect(error).toBeUndefined();
    }
  });

  test('vouches for nothing that begins as it does', () => {
    const begun = again.slice(0, -2);
    expect(after(`${begun}Content-Length: 1\r\n\r\nb`).bodies).toEqual(['', '', '', 'b']);
    expect(after(`${begun}Host: b\r\n\r\n`).error).toBe('http.smuggling');
    expect(after(again.replace('X: 1', 'X: \x01')).error).toBe('http.smuggling');
    expect(after(again.replace('Host: a', 'host: b')).heads[3]?.authority).toBe('b');
  });

  test('is read anew each time where a body follows', () => {
    const asked = post('Content-Length: 1\r\n', 'x');
    const { heads, bodies } = readAll([asked, asked, asked, asked].map(bytes));
    expect(bodies).toEqual(['x', 'x', 'x', 'x']);
    expect(new Set(heads).size).toBe(4);
  });
});

describe('a request is read the same wherever it is cut', () => {
  const text =
    'POST /v1/a?b=c HTTP/1.1\r\nHost: api.example.com:8443\r\nTransfer-Encoding: chunked\r\nX-A: 1 \t\r\nX-A: 2\r\n\r\n' +
    '4\r\nwiki\r\n10\r\n0123456789abcdef\r\n0\r\nX-T: end\r\n\r\n' +
    '\r\nGET /b HTTP/1.1\r\nHost: api.example.com:8443\r\n\r\n';
  const expected = one(text);

  test('whole', () => {
    expect(expected.error).toBeUndefined();
    expect(expected.heads.map(({ method, target }) => `${method} ${target}`)).toEqual(['POST /v1/a?b=c', 'GET /b']);
    expect(expected.heads[0]?.headers).toEqual([
      ['x-a', '1'],
      ['x-a', '2'],
    ]);
    expect(expected.bodies).toEqual(['wiki0123456789abcdef', '']);
    expect(expected.trailers).toEqual([[['x-t', 'end']]]);
  });

  test('in two pieces at every byte', () => {
    const all = bytes(text);
    for (let at = 1; at < all.length; at++) {
      const read = readAll([all.subarray(0, at), all.subarray(at)]);
      expect({ at, read }).toEqual({ at, read: expected });
    }
  });

  test('byte by byte', () => {
    expect(readAll([...bytes(text)].map((byte) => Buffer.from([byte])))).toEqual(expected);
  });
});

describe('what could be read in two ways is refused', () => {
  const SMUGGLING: readonly (readonly [string, string])[] = [
    ['CL.TE', post('Content-Length: 6\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\nG')],
    ['TE.CL', post('Transfer-Encoding: chunked\r\nContent-Length: 3\r\n', '8\r\nSMUGGLED\r\n0\r\n\r\n')],
    ['TE.TE, twice', post('Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n')],
    ['TE with another coding', post('Transfer-Encoding: gzip, chunked\r\n')],
    ['TE xchunked', post('Transfer-Encoding: xchunked\r\n')],
    ['TE with a vertical tab', post('Transfer-Encoding: \x0bchunked\r\n')],
    ['TE quoted', post('Transfer-Encoding: "chunked"\r\n')],
    ['TE after a folded line', post('X: a\r\n Transfer-Encoding: chunked\r\n')],
    ['a blank before the colon', post('Transfer-Encoding : chunked\r\n')],
    ['a blank before the name', post(' Transfer-Encoding: chunked\r\n')],
    ['a bare LF as line end', 'POST /a HTTP/1.1\nHost: a\r\n\r\n'],
    ['a bare LF inside', post('X: a\nTransfer-Encoding: chunked\r\n')],
    ['a bare CR inside', post('X: a\rTransfer-Encoding: chunked\r\n')],
    ['NUL in a value', post('X: a\0b\r\n')],
    ['Content-Length twice, alike', post('Content-Length: 3\r\nContent-Length: 3\r\n', 'abc')],
    ['Content-Length twice, different', post('Content-Length: 3\r\nContent-Length: 4\r\n', 'abcd')],
    ['Content-Length as a list', post('Content-Length: 3, 3\r\n', 'abc')],
    ['Content-Length with a sign', post('Content-Length: +3\r\n', 'abc')],
    ['Content-Length in hex', post('Content-Length: 0x3\r\n', 'abc')],
    ['Content-Length negative', post('Content-Length: -3\r\n')],
    ['Content-Length empty', post('Content-Length:\r\n')],
    ['Content-Length that overflows', post('Content-Length: 18446744073709551616\r\n')],
    ['Host twice', get('Host: a\r\nHost: b\r\n')],
    ['another host in an absolute target', 'GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['CONNECT elsewhere than Host', 'CONNECT b:443 HTTP/1.1\r\nHost: a:443\r\n\r\n'],
    ['TE in HTTP/1.0', 'POST /a HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['an upgrade with a body', post('Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n', 'abc')],
    ['Connection that names Host', get('Host: a\r\nConnection: close, host\r\n')],
    ['Connection that names Authorization', get('Host: a\r\nConnection: authorization\r\n')],
    ['a chunk extension', post('Transfer-Encoding: chunked\r\n', '3;a=b\r\nabc\r\n0\r\n\r\n')],
    ['a chunk size with a blank', post('Transfer-Encoding: chunked\r\n', '3 \r\nabc\r\n0\r\n\r\n')],
    ['a chunk size with 0x', post('Transfer-Encoding: chunked\r\n', '0x3\r\nabc\r\n0\r\n\r\n')],
    ['a chunk size with a sign', post('Transfer-Encoding: chunked\r\n', '+3\r\nabc\r\n0\r\n\r\n')],
    ['a chunk size that overflows', post('Transfer-Encoding: chunked\r\n', '100000000000000003\r\nabc\r\n0\r\n\r\n')],
    ['a chunk size ended by LF', post('Transfer-Encoding: chunked\r\n', '3\nabc\r\n0\r\n\r\n')],
    ['a chunk size ended by CR', post('Transfer-Encoding: chunked\r\n', '3\rXabc\r\n0\r\n\r\n')],
    ['a chunk longer than it says', post('Transfer-Encoding: chunked\r\n', '3\r\nabcd\r\n0\r\n\r\n')],
    ['an empty chunk size', post('Transfer-Encoding: chunked\r\n', '\r\nabc\r\n0\r\n\r\n')],
    ['trailers ended by LF', post('Transfer-Encoding: chunked\r\n', '0\r\nX: a\n\r\n')],
    ['a trailer with a blank before its colon', post('Transfer-Encoding: chunked\r\n', '0\r\nX : a\r\n\r\n')],
  ];
  test.each(SMUGGLING)('%s', (_name, text) => {
    expect(one(text).error).toBe('http.smuggling');
  });

  const MALFORMED: readonly (readonly [string, string])[] = [
    ['HTTP/0.9', 'GET /a\r\n\r\n'],
    ['HTTP/2 in clear', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['HTTP/1.2', 'GET /a HTTP/1.2\r\nHost: a\r\n\r\n'],
    ['a version in lower case', 'GET /a http/1.1\r\nHost: a\r\n\r\n'],
    ['two blanks in the request line', 'GET  /a HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['a blank in the target', 'GET /a b HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['no Host', get('X: a\r\n')],
    ['HTTP/1.0 without Host', 'GET /a HTTP/1.0\r\n\r\n'],
    ['user information in Host', get('Host: a@b\r\n')],
    ['a path in Host', get('Host: a/b\r\n')],
    ['a list in Host', get('Host: a, b\r\n')],
    ['an empty Host', get('Host:\r\n')],
    ['a port that is none', get('Host: a:99999\r\n')],
    ['asterisk-form', 'OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['another scheme', 'GET file:///etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['user information in an absolute target', 'GET http://a@b/ HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['a target of a path alone', 'GET a HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['an expectation nobody knows', post('Expect: 200-ok\r\nContent-Length: 1\r\n', 'a')],
    ['a line without a colon', get('Host: a\r\nabc\r\n')],
  ];
  test.each(MALFORMED)('%s', (_name, text) => {
    expect(one(text).error).toBe('http.malformed');
  });

  test.each([
    '/a//b',
    '//a',
    '/a/../b',
    '/a/./b',
    '/..',
    '/a/..;/b',
    '/a/%2e%2e/b',
    '/a/%2E./b',
    '/a%2fb',
    '/a%2Fb',
    '/a%5cb',
    '/a%00b',
    '/a%0d%0ab',
    '/a%252fb',
    '/a%zz',
    '/a%',
    '/a%c0%af',
    '/a%ff',
    '/\\a',
    '/a\\b',
    '/a#b',
    '/a|b',
    '/a"b',
    '/\xe4',
    '/a?b=%zz',
    '/a?b=\xe4',
    '/a?b=<c>',
  ])('path %s', (target) => {
    expect(one(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`).error).toMatch(/^http\./);
  });

  test('after a refusal nothing of the connection is read', () => {
    const read = one(
      `${post('Content-Length: 3\r\nContent-Length: 3\r\n', 'abc')}GET /evil HTTP/1.1\r\nHost: a\r\n\r\n`,
    );
    expect(read.heads).toEqual([]);
  });
});

describe('what is good is let through', () => {
  test('an absolute target of the very host', () => {
    const { heads } = one('GET http://A.example/x?y HTTP/1.1\r\nHost: a.example\r\n\r\n');
    expect(heads[0]).toMatchObject({ target: '/x?y', path: '/x', query: 'y' });
  });

  test('escapes are read once and sent as they came', () => {
    const { heads } = one('GET /caf%C3%A9/a%20b?q=%7B%7D HTTP/1.1\r\nHost: a\r\n\r\n');
    expect(heads[0]).toMatchObject({ target: '/caf%C3%A9/a%20b?q=%7B%7D', path: '/café/a b' });
  });

  test('fields of the connection, and those it names, end here', () => {
    const { heads } = one(
      get('Host: a\r\nConnection: keep-alive, X-Hop\r\nKeep-Alive: 5\r\nTE: trailers\r\nX-Hop: 1\r\nX-End: 2\r\n'),
    );
    expect(heads[0]?.headers).toEqual([['x-end', '2']]);
  });

  test('dots inside a segment are no dot segments', () => {
    expect(one('GET /a/..b/c../.well-known HTTP/1.1\r\nHost: a\r\n\r\n').error).toBeUndefined();
  });
});

describe('a head has limits', () => {
  const long = (size: number): string => get(`Host: a\r\nX: ${'a'.repeat(size)}\r\n`);
  const overhead = long(0).length - 4;

  test('at the limit, and one byte beyond', () => {
    expect(one(long(LIMITS.httpHeadBytesMax - overhead)).error).toBeUndefined();
    expect(one(long(LIMITS.httpHeadBytesMax - overhead + 1)).error).toBe('http.header_limit');
  });

  test('one that never ends is refused while it comes', () => {
    const read = readAll(Array.from({ length: 70 }, () => Buffer.alloc(1_024, 'a')));
    expect(read.error).toBe('http.header_limit');
  });

  test('so has the number of its fields', () => {
    const lines = (count: number): string => get(`Host: a\r\n${'X: a\r\n'.repeat(count - 1)}`);
    expect(one(lines(LIMITS.httpHeadersMax)).error).toBeUndefined();
    expect(one(lines(LIMITS.httpHeadersMax + 1)).error).toBe('http.header_limit');
  });

  test('and so have trailers', () => {
    const many = `0\r\n${'X: a\r\n'.repeat(LIMITS.httpHeadersMax + 2)}\r\n`;
    expect(one(post('Transfer-Encoding: chunked\r\n', many)).error).toBe('http.header_limit');
  });
});

test('whatever comes is read or refused, and never throws', () => {
  // A linear congruential generator: the same bytes in every run.
  let state = 20_261_121;
  const next = (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    return state % below;
  };
  const seed = bytes(post('Transfer-Encoding: chunked\r\nX: y\r\n', '4\r\nwiki\r\n0\r\n\r\n'));
  for (let round = 0; round < 3_000; round++) {
    const mutated = Buffer.from(seed);
    for (let i = next(4); i >= 0; i--) mutated[next(mutated.length)] = next(256);
    const at = next(mutated.length);
    const read = readAll([mutated.subarray(0, at), mutated.subarray(at)]);
    for (const { target } of read.heads) expect(target).toMatch(/^[!-~]+$/);
    if (read.error !== undefined) expect(read.error).toMatch(/^http\./);
  }
});
