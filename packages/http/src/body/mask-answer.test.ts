import type { GatewayError } from '@sallyport/core';
import { headersToMaskable, MadeOf, maskAnswer, maskHeaders, type ResponseHead } from '@sallyport/http';
import { createMaskKey } from '@sallyport/mask';
import type { MaskSet } from '@sallyport/model';
import { describe, expect, test } from 'vitest';

const MASKS: MaskSet = {
  columns: [],
  detect: [{ detect: 'email', with: 'partial' }],
  json: [{ path: 'a', with: 'redact' }],
  headers: [
    { header: 'x-secret', with: 'redact' },
    { header: 'x-gone', with: 'null' },
  ],
};
const answer = (more: Partial<ResponseHead> & { readonly type?: string } = {}): ResponseHead => ({
  status: 200,
  framing: { kind: 'length', bytes: 10 },
  headers: [
    ['content-type', more.type ?? 'application/json'],
    ['content-length', '10'],
    ['etag', '"1"'],
    ['digest', 'sha-256=x'],
    ['x-secret', 'value'],
    ['x-gone', 'value'],
    ['location', '/u/ada%40example.com'],
    ['x-owner', 'ada@example.com'],
  ],
  ...more,
});

test('headers are masked by name and by detector, whatever the body is', () => {
  expect(maskHeaders(answer().headers, MASKS).slice(4)).toEqual([
    ['x-secret', '[redacted]'],
    ['location', '[redacted]'],
    ['x-owner', 'a***@e***.com'],
  ]);
  const clear: MaskSet = { columns: [], detect: [] };
  const { headers } = answer();
  expect(maskHeaders(headers, clear)).toBe(headers);
});

test.each([
  'content-digest',
  'content-md5',
  'docker-content-digest',
  'repr-digest',
  'x-amz-checksum-sha256',
  'x-amz-content-sha256',
  'x-bz-content-sha1',
  'x-cos-hash-crc64ecma',
  'x-goog-hash',
  'x-ms-blob-content-md5',
  'x-ms-content-crc64',
  'x-oss-hash-crc64ecma',
])('a masked answer does not say %s: guesses could be tried against it', (name) => {
  const response = answer({ headers: [...answer().headers, [name, 'x']] });
  const { headers } = maskAnswer('GET', response, MASKS);
  expect(headers?.map(([known]) => known)).not.toContain(name);
});

test.each([
  ['application/pdf; name="ada@example.com.pdf"; charset=utf-8', 'application/pdf'],
  ['text/csv; name=ada%40example.com', 'text/csv'],
  ['multipart/mixed; for="ada@example.com"; boundary="a\\"b"', 'multipart/mixed; boundary="a\\"b"'],
  ['application/json; charset=utf-8', 'application/json; charset=utf-8'],
  ['ada@example.com/x', undefined],
  ['ada@example.com', undefined],
])('a type %j is told as %j', (type, shown) => {
  const headers = maskHeaders([['content-type', type]], MASKS);
  expect(headers[0]?.[1]).toBe(shown);
});

test('a masked answer says nothing of the body that was', () => {
  const { masker, headers } = maskAnswer('GET', answer(), MASKS);
  expect(masker).toBeDefined();
  expect(headers?.slice(0, 2)).toEqual([
    ['content-type', 'application/json'],
    ['x-secret', '[redacted]'],
  ]);
});

describe('an entity tag', () => {
  const KEY = createMaskKey(Buffer.alloc(32, 1));
  const tagOf = (status: number): string => {
    const { headers } = maskAnswer('GET', answer({ status }), MASKS, KEY);
    return headers?.find(([name]) => name === 'etag')?.[1] ?? '';
  };
  const asked = (name: string, value: string, key = KEY): string | undefined =>
    headersToMaskable({ headers: [[name, value]] }, MASKS, key)[0]?.[1];

  test('says nothing of the body that was, and is the service’s own again when it comes back', () => {
    expect(tagOf(200)).toMatch(/^W\/"sp\.[\w-]{20,}"$/);
    expect(tagOf(304)).toBe(tagOf(200));
    expect(asked('if-none-match', tagOf(200))).toBe('"1"');
    expect(asked('if-match', `"x" , ${tagOf(200).slice(2)}`)).toBe('"unknown-to-the-gateway", "1"');
    expect(asked('if', `(["x"] [${tagOf(200)}])`)).toBe('(["unknown-to-the-gateway"] ["1"])');
  });

  test('that was never given out asks for nothing, so that nobody can guess', () => {
    const other = createMaskKey(Buffer.alloc(32, 2));
    for (const value of ['"1"', 'W/"1"', '1', '"a", b', '"sp."', '"sp.AAAA"', `${tagOf(200).slice(0, -3)}AA"`])
      expect(asked('x-amz-copy-source-if-none-match', value)).not.toContain('"1"');
    expect(asked('if-none-match', tagOf(200), other)).toBe('"unknown-to-the-gateway"');
    expect(asked('if-none-match', '*')).toBe('*');
  });
});

test('an answer without a body has no masker; one that cannot be read is refused', () => {
  expect(maskAnswer('HEAD', answer(), MASKS).masker).toBeUndefined();
  expect(maskAnswer('HEAD', answer(), MASKS).headers?.some(([name]) => name === 'content-length')).toBe(false);
  expect(maskAnswer('GET', answer({ status: 304 }), MASKS).masker).toBeUndefined();
  expect(() => maskAnswer('GET', answer({ type: 'application/grpc' }), MASKS)).toThrow(
    expect.objectContaining({ code: 'http.body_unmaskable' }),
  );
  expect(() => maskAnswer('GET', answer({ status: 206 }), MASKS)).toThrow(
    expect.objectContaining({ code: 'http.body_unmaskable' }),
  );
});

test('a request asks for no ranges, and for codings that can be undone', () => {
  const asked = [
    ['range', 'bytes=0-1'],
    ['accept-encoding', 'gzip;q=0.5, compress, *, br'],
    ['accept', '*/*'],
  ] as const;
  expect(headersToMaskable({ headers: asked }, MASKS)).toEqual([
    ['accept-encoding', 'gzip;q=0.5, br'],
    ['accept', '*/*'],
  ]);
  expect(headersToMaskable({ headers: asked }, { columns: [], detect: [] })).toBe(asked);
});

test('an answer that comes again is shown under the masks of now, whatever masked it before', () => {
  const head = answer();
  const again: ResponseHead = { ...head, made: new MadeOf(head.headers) };
  const other: MaskSet = { columns: [], detect: [], headers: [{ header: 'x-owner', with: 'redact' }] };
  for (const masks of [MASKS, other, MASKS, { columns: [], detect: [] }, other]) {
    const fresh = maskAnswer('GET', head, masks);
    const known = maskAnswer('GET', again, masks);
    expect(known.headers).toEqual(fresh.headers);
    expect(known.masker === undefined).toBe(fresh.masker === undefined);
  }
  expect(maskAnswer('GET', again, MASKS).headers).toBe(maskAnswer('GET', again, MASKS).headers);
});

test.each([
  'application/json',
  'application/json; charset=utf-8',
  'application/json; charset=utf-16',
  'application/x-ndjson',
  'application/geo+json',
  'text/plain',
  'text/event-stream',
])('a body of an answer that comes again is masked as one of an answer that never came: %s', (type) => {
  const other: MaskSet = { columns: [], detect: [], json: [{ path: 'b', with: 'hash' }] };
  const [key, otherKey] = [1, 2].map((byte) => createMaskKey(Buffer.alloc(32, byte)));
  const streams = [{ path: 'b' }];
  for (const coding of ['', 'gzip', 'compress']) {
    const headers: ResponseHead['headers'] = [
      ['content-type', type],
      ['content-encoding', coding],
    ];
    const again: ResponseHead = { status: 200, framing: { kind: 'stream' }, headers, made: new MadeOf(headers) };
    const shown = (head: ResponseHead, masks: MaskSet, by: typeof key): string => {
      try {
        const { masker } = maskAnswer('GET', head, masks, by, { streams });
        if (masker === undefined) return 'as it came';
        const first = Buffer.from(masker.push(Buffer.from('{"a":"one","b":"two","c":"ada@example.com"}\n')));
        return `${coding === '' ? Buffer.concat([first, masker.end()]).toString() : 'coded'} ${masker.failed}`;
      } catch (error) {
        return (error as GatewayError).code;
      }
    };
    for (const masks of [MASKS, MASKS, other, other, MASKS])
      for (const by of [key, otherKey, otherKey])
        expect(shown(again, masks, by)).toBe(shown({ ...again, made: undefined }, masks, by));
  }
});
