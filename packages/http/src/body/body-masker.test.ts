import {
  brotliCompressSync,
  brotliDecompressSync,
  deflateSync,
  gunzipSync,
  gzipSync,
  zstdCompressSync,
  zstdDecompressSync,
} from 'node:zlib';
import { type BodyMasker, type BodyShape, decodeBody, openBodyMasker } from '@sallyport/http';
import type { MaskSet } from '@sallyport/model';
import { describe, expect, test } from 'vitest';

const DETECT: MaskSet = {
  columns: [],
  detect: [
    { detect: 'email', with: 'partial' },
    { detect: 'payment_card', with: 'partial' },
  ],
};
const PATHS: MaskSet = { columns: [], detect: [], json: [{ path: '**.ssn', with: 'redact' }] };
const BOTH: MaskSet = { ...PATHS, detect: DETECT.detect };

const opened = (masks: MaskSet, shape: BodyShape): BodyMasker => {
  const masker = openBodyMasker(masks, shape);
  if (masker === 'pass' || masker === 'refuse') throw new Error(masker);
  return masker;
};
function run(masker: BodyMasker, chunks: readonly Uint8Array[]): Buffer | 'failed' {
  const out = chunks.map((chunk) => Buffer.from(masker.push(chunk)));
  out.push(Buffer.from(masker.end()));
  return masker.failed === undefined ? Buffer.concat(out) : 'failed';
}
const bytewise = (bytes: Uint8Array): readonly Uint8Array[] => Array.from(bytes, (byte) => Uint8Array.of(byte));

const KINDS: readonly {
  readonly type: string;
  readonly body: string;
  readonly shown: string;
  readonly masks?: MaskSet;
}[] = [
  {
    type: 'application/json; charset=utf-8',
    body: '{"mail":"ada@example.com","ssn":{"n":[1]},"card":4111111111111111}',
    shown: '{"mail":"a***@e***.com","ssn":"[redacted]","card":"************1111"}',
    masks: BOTH,
  },
  {
    type: 'application/x-ndjson',
    body: '{"ssn":"1"}\n{"ssn":2}\r\n\n["bob@example.com"]\n',
    shown: '{"ssn":"[redacted]"}\n{"ssn":"[redacted]"}\r\n\n["b***@e***.com"]\n',
    masks: BOTH,
  },
  { type: 'application/problem+json', body: '{"detail":"ada@example.com"}', shown: '{"detail":"a***@e***.com"}' },
  { type: 'text/plain', body: 'to ada@example.com\n', shown: 'to a***@e***.com\n' },
  { type: '', body: '{"ssn":"1"}', shown: '{"ssn":"[redacted]"}', masks: PATHS },
  { type: 'text/html', body: '<a href="mailto:ada@example.com">', shown: '<a href="mailto:a***@e***.com">' },
  {
    type: 'text/html; charset=utf-8',
    body: '<p>ada&#64;example&period;com &lt;b&gt; &#x26;&#x34;&#x31;11 1&#0000049;11 111&#49 &#49;111 &amp; &copy &commat;x &unknown; &#; &',
    shown: '<p>a***@e***.com &lt;b&gt; &#x26;4111 1111 1111 1111 &amp; &copy @x &unknown; &#; &'.replace(
      '4111 1111 1111 1111',
      '************1111',
    ),
  },
  { type: 'image/svg+xml', body: '<text>ada&#64example.com</text>', shown: '<text>a***@e***.com</text>' },
  { type: '', body: '<p>ada&#x40;example.com', shown: '<p>a***@e***.com', masks: DETECT },
  { type: 'text/plain', body: 'ada&#64;example.com', shown: 'ada&#64;example.com' },
  { type: 'application/xml', body: '<c>4111 1111 1111 1111</c>', shown: '<c>************1111</c>' },
  {
    type: 'application/x-www-form-urlencoded',
    body: 'mail=ada%40example.com&x=1&n=4111+1111+1111+1111&bob%40example.com',
    shown: 'mail=a***%40e***.com&x=1&n=************1111&b***%40e***.com',
  },
  {
    type: 'multipart/mixed; boundary="b-1"',
    body: 'pre ada@example.com\r\n--b-1\r\nContent-Disposition: form-data; name="a"\r\n\r\nada@example.com\r\n--b-1\r\ncontent-type: application/json\r\n\r\n{"ssn":1}\r\n--b-1\r\nContent-Type: image/png\r\n\r\n\0ada@example.com\n--b-12\r\n--b-1--\r\nbob@example.com',
    shown:
      'pre a***@e***.com\r\n--b-1\r\nContent-Disposition: form-data; name="a"\r\n\r\na***@e***.com\r\n--b-1\r\ncontent-type: application/json\r\n\r\n{"ssn":"[redacted]"}\r\n--b-1\r\nContent-Type: image/png\r\n\r\n\0ada@example.com\n--b-12\r\n--b-1--\r\nb***@e***.com',
    masks: BOTH,
  },
  {
    type: 'text/event-stream',
    body: ': ada@example.com\nevent: x\nid: 1\ndata: {"ssn":"1",\ndata: "mail":"ada@example.com"}\n\ndata:plain bob@example.com\r\n\r\ndata: [DONE]\r\rdata: {"ssn":',
    shown:
      ': a***@e***.com\nevent: x\nid: 1\ndata: {"ssn":"[redacted]",\ndata: "mail":"a***@e***.com"}\n\ndata: plain b***@e***.com\r\n\r\ndata: [DONE]\r\rdata: {"ssn":',
    masks: BOTH,
  },
  {
    type: 'text/event-stream',
    body: '\u{feff}data: {"ssn":"1"}\n\n\u{feff}data: {"x":"1"}\n\n',
    // Only the first is none of its field's name.
    shown: '\u{feff}data: {"ssn":"[redacted]"}\n\n[redacted]\n\n',
  },
];
const CODINGS = [
  { name: '', code: (bytes: Buffer) => bytes, decode: (bytes: Buffer) => bytes },
  { name: 'gzip', code: gzipSync, decode: gunzipSync },
  { name: 'deflate', code: deflateSync, decode: gunzipSync },
  { name: 'br', code: brotliCompressSync, decode: brotliDecompressSync },
  { name: 'zstd', code: zstdCompressSync, decode: zstdDecompressSync },
] as const;

describe.each(CODINGS)('coding "$name"', ({ name, code, decode }) => {
  test.each(KINDS)('$type is masked wherever it is cut', ({ type, body, shown, masks = BOTH }) => {
    const set = masks === BOTH && /application\/xml|form-url/.test(type) ? DETECT : masks;
    const bytes = Buffer.from(code(Buffer.from(body)));
    const masked = (chunks: readonly Uint8Array[]): string => {
      const out = run(opened(set, { contentType: type, contentEncoding: name }), chunks);
      return out === 'failed' ? out : decode(out).toString();
    };
    expect(masked([bytes])).toBe(shown);
    for (let at = 1; at < bytes.length; at++)
      expect(masked([bytes.subarray(0, at), bytes.subarray(at)]), `cut at ${at}`).toBe(shown);
    expect(masked(bytewise(bytes)), 'byte by byte').toBe(shown);
  });
});

test('a coded body can be given on undone', () => {
  const masker = opened(DETECT, { contentType: 'application/json', contentEncoding: 'zstd', recode: false });
  expect(run(masker, [zstdCompressSync('["ada@example.com"]')]).toString()).toBe('["a***@e***.com"]');
});

test('what is in the encoder goes out when nothing comes for a moment', () => {
  const masker = opened(DETECT, { contentType: 'text/event-stream', contentEncoding: 'gzip' });
  const event = gzipSync('data: ada@example.com\n\n');
  const shown = Buffer.concat([masker.push(event), masker.idle()]);
  expect(gunzipSync(shown, { finishFlush: 2 }).toString()).toBe('data: a***@e***.com\n\n');
  expect(masker.idle()).toHaveLength(0);
});

describe('refusals', () => {
  test.each([
    ['application/json', 'compress', BOTH],
    ['application/json', 'gzip, br', BOTH],
    ['application/x-protobuf', '', DETECT],
    ['application/grpc', '', DETECT],
    ['application/grpc+proto', '', PATHS],
    ['application/vnd.kubernetes.protobuf', '', DETECT],
    ['application/msgpack', '', PATHS],
    ['application/cbor', '', PATHS],
    ['text/csv', '', PATHS],
    ['application/yaml', '', PATHS],
    ['application/atom+xml', '', PATHS],
    ['application/x-www-form-urlencoded', '', PATHS],
    ['multipart/form-data; boundary=b', '', PATHS],
    ['multipart/mixed', '', DETECT],
    ['application/json; charset=ibm037', '', PATHS],
  ])('%s in "%s" is refused', (contentType, contentEncoding, masks) => {
    expect(openBodyMasker(masks, { contentType, contentEncoding })).toBe('refuse');
  });
  describe.each([
    'text/plain',
    'text/html',
    'text/calendar',
    'text/vcard',
    'text/csv',
    'text/xml',
    'application/yaml',
    'text/css',
    'text/event-stream',
  ])('%s', (type) => {
    test.each(['utf-7', 'UTF-16', 'utf-32', 'iso-2022-jp', 'Shift_JIS', 'cp037', 'x; charset=utf-8'])(
      'in %s is refused',
      (charset) => {
        const shape = { contentType: `${type}; charset=${charset}`, contentEncoding: '' };
        expect(openBodyMasker(DETECT, shape)).toBe('refuse');
      },
    );
  });
  test.each([
    ['image/png', '\u0089PNG\r\n\u001a\n{"ssn":1}', 'as it came'],
    ['image/png', 'PK\u0003\u0004', 'failed'],
    ['application/octet-stream', '%PDF-1.4', 'failed'],
    ['', 'SQLite format 3\0', 'failed'],
    ['text/plain', 'PK', 'PK'],
    ['text/plain', '%PDF', '%PDF'],
    ['application/vnd.ms-excel', '{"ssn":"1"}', '{"ssn":"[redacted]"}'],
    ['image/png', ' {"ssn":"1"}', ' {"ssn":"[redacted]"}'],
    ['image/png', '', ''],
    ['image/png', '{"ssn":1,}', 'failed'],
    ['image/png', '{\0"\0s\0s\0n\0"\0', 'failed'],
    ['image/png', '\0{\0"\0s\0s\0n\0"', 'failed'],
    ['text/html', '<p>{"ssn":1}', 'as it came'],
    ['text/css', '.a{b:c}', 'as it came'],
    ['text/css', ' {"ssn":"1"}', ' {"ssn":"[redacted]"}'],
  ])('%s that says %j is %s', (contentType, body, shown) => {
    const bytes = Buffer.from(body, body.startsWith('\u0089') ? 'latin1' : 'utf8');
    const expected = shown === 'as it came' ? bytes.toString('latin1') : shown;
    for (const pieces of [[bytes], Array.from(bytes, (byte) => Buffer.of(byte))])
      expect(run(opened(BOTH, { contentType, contentEncoding: '' }), pieces).toString('latin1')).toBe(expected);
  });
  test.each([
    'application/pdf',
    'application/x-zip-compressed',
    'application/epub+zip',
    'application/vnd.openxmlformats-officedocument.wordprocessingml.document',
    'application/vnd.ms-powerpoint.presentation.macroEnabled.12',
    'application/vnd.oasis.opendocument.text',
    'application/vnd.docker.image.rootfs.diff.tar.gzip',
  ])('%s passes where documents do, and nowhere else', (contentType) => {
    const shape = { contentType, contentEncoding: '' };
    expect(openBodyMasker(BOTH, shape)).toBe('refuse');
    const bytes = Buffer.from('PK\u0003\u0004\0 ada@example.com');
    expect(run(opened(BOTH, { ...shape, documents: true }), [bytes])).toEqual(bytes);
  });
  test.each(['application/vnd.ms-sstr+xml', 'application/vnd.ms-fontobject', 'font/woff2'])(
    '%s is no document',
    (contentType) => {
      expect(openBodyMasker(DETECT, { contentType, contentEncoding: '' })).not.toBe('refuse');
    },
  );
  test('everything passes without masks', () => {
    expect(openBodyMasker({ columns: [], detect: [] }, { contentType: 'a/b', contentEncoding: 'x' })).toBe('pass');
  });
  test.each([
    ['text/plain', 'callback({"ssn":1})'],
    ['text/plain', '{"ssn":1} and more'],
    ['application/json', '{"a":1,}'],
    ['text/event-stream', 'data: {ssn:1}\n\n'],
    ['text/event-stream', `data: ${'x'.repeat(1_100_000)}`],
    ['multipart/mixed; boundary=b', '--b\ncontent-type: text/csv\n\nssn\n--b--'],
    ['multipart/mixed; boundary=b', '--b\ncontent-transfer-encoding: base64\n\nssn\n--b--'],
    ['text/html', `<p>&#${'0'.repeat(70)}52;`],
    ['multipart/mixed; boundary=b', `--b\nx: ${'x'.repeat(17_000)}`],
  ])('%s: %.40s is cut off', (contentType, body) => {
    expect(run(opened(PATHS, { contentType, contentEncoding: '' }), [Buffer.from(body)])).toBe('failed');
  });
  test('damaged and growing beyond belief', () => {
    const shape = { contentType: 'application/json', contentEncoding: 'gzip' };
    expect(run(opened(PATHS, shape), [Buffer.from('no gzip at all')])).toBe('failed');
    const bomb = brotliCompressSync(Buffer.alloc(40_000_000, 32));
    expect(run(opened(PATHS, { ...shape, contentEncoding: 'br' }), [bomb])).toBe('failed');
    expect(decodeBody(bomb, 'br', 1_000_000)).toBeUndefined();
    expect(decodeBody(gzipSync('abc'), 'x-gzip', 3)?.toString()).toBe('abc');
    expect(decodeBody(gzipSync('abcd'), 'gzip', 3)).toBeUndefined();
  });
});

test('an empty part and one that begins as a delimiter would are read as their reader reads them', () => {
  const body =
    '--b\r\ncontent-type: image/png\r\n\r\n--b\r\ncontent-type: application/json\r\n\r\n{"ssn":1}\r\n--b--\r\n';
  const shown = body.replace('{"ssn":1}', '{"ssn":"[redacted]"}');
  const shape = { contentType: 'multipart/mixed; boundary=b', contentEncoding: '' };
  for (const chunks of [[Buffer.from(body)], bytewise(Buffer.from(body))])
    expect(run(opened(PATHS, shape), chunks).toString()).toBe(shown);
});

test('a form value of any length is not held', () => {
  const masker = opened(DETECT, { contentType: 'application/x-www-form-urlencoded', contentEncoding: '' });
  const out = [masker.push(Buffer.from('a=')), masker.push(Buffer.alloc(100_000, 'x'))];
  expect(masker.heldBytes).toBe(0);
  out.push(masker.push(Buffer.from('yy&b=1&c=ada%40example.com')), masker.end());
  expect(Buffer.concat(out).toString()).toBe('a=%5Bredacted%5D&b=1&c=a***%40e***.com');
});
