import { createMaskKey, JsonMasker, type JsonPathMask, JsonPlan } from '@sallyport/mask';
import type { DetectMask, MaskMethod } from '@sallyport/model';
import { describe, expect, test } from 'vitest';

const KEY = createMaskKey(Buffer.from('0123456789abcdef'));
const detect = (method: MaskMethod = 'partial'): readonly DetectMask[] => [
  { detect: 'email', with: method },
  { detect: 'payment_card', with: method },
];
interface Asked {
  readonly paths?: readonly JsonPathMask[];
  readonly detect?: readonly DetectMask[];
}
const maskerOf = (asked: Asked): JsonMasker =>
  new JsonMasker({
    plan: asked.paths === undefined ? undefined : new JsonPlan(asked.paths),
    detect: asked.detect ?? [],
    key: KEY,
  });
function masked(asked: Asked, ...chunks: readonly (string | Uint8Array)[]): string {
  const masker = maskerOf(asked);
  const out = chunks.map((chunk) => Buffer.from(masker.push(Buffer.from(chunk))));
  out.push(Buffer.from(masker.end()));
  return masker.broken ? `${Buffer.concat(out).toString()}<broken>` : Buffer.concat(out).toString();
}
/** The same however it is cut, in two pieces anywhere and byte by byte. */
function everywhere(asked: Asked, text: string): string {
  const bytes = Buffer.from(text);
  const whole = masked(asked, bytes);
  for (let at = 1; at < bytes.length; at++)
    expect(masked(asked, bytes.subarray(0, at), bytes.subarray(at)), `cut at ${at}`).toBe(whole);
  expect(masked(asked, ...Array.from(bytes, (byte) => Uint8Array.of(byte))), 'byte by byte').toBe(whole);
  return whole;
}
/** Cut off by every way of being cut, and never behind `before`. */
function cutEverywhere(asked: Asked, text: string, before = text): void {
  const bytes = Buffer.from(text);
  const all = [[bytes], Array.from(bytes, (byte) => Uint8Array.of(byte))];
  for (let at = 1; at < bytes.length; at++) all.push([bytes.subarray(0, at), bytes.subarray(at)]);
  for (const chunks of all) {
    const shown = masked(asked, ...chunks);
    expect(shown.endsWith('<broken>'), shown).toBe(true);
    expect(before.startsWith(shown.slice(0, -8)), shown).toBe(true);
  }
}
const path = (...paths: readonly string[]): Asked => ({ paths: paths.map((one) => ({ path: one, with: 'redact' })) });

describe('paths', () => {
  test.each([
    ['a', '{"a":1,"b":1}', '{"a":"[redacted]","b":1}'],
    ['a', '{ "b" : {"a":1} , "a" : "x" }', '{ "b" : {"a":1} , "a" : "[redacted]" }'],
    ['a.b', '{"a":{"b":true,"c":false}}', '{"a":{"b":"[redacted]","c":false}}'],
    ['a[].b', '{"a":[{"b":1},{"c":2},{"b":[3]}]}', '{"a":[{"b":"[redacted]"},{"c":2},{"b":"[redacted]"}]}'],
    ['[]', '[1,"x",{"a":2},[3],null]', '["[redacted]","[redacted]","[redacted]","[redacted]",null]'],
    ['[].a', '[{"a":"x"}]', '[{"a":"[redacted]"}]'],
    ['[][]', '[[1],2]', '[["[redacted]"],2]'],
    [
      'data.*',
      '{"data":{"k":"djE=","l":{"x":1}},"kind":"S"}',
      '{"data":{"k":"[redacted]","l":"[redacted]"},"kind":"S"}',
    ],
    ['**.token', '{"token":1,"a":[{"token":{"b":[1,"]}"]}}]}', '{"token":"[redacted]","a":[{"token":"[redacted]"}]}'],
    ['a.**', '{"a":{"b":1},"c":2}', '{"a":"[redacted]","c":2}'],
    ['**', '{"a":1}\n[2]', '"[redacted]"\n"[redacted]"'],
    ['"a.b".c', '{"a.b":{"c":1},"a":{"b":{"c":2}}}', '{"a.b":{"c":"[redacted]"},"a":{"b":{"c":2}}}'],
    ['**.a[].**.b', '{"x":{"a":[{"y":{"b":1}}]},"b":2}', '{"x":{"a":[{"y":{"b":"[redacted]"}}]},"b":2}'],
    ['a', '{"a":{"deep":[{"x":"}"}]},"b":"\\"}"}', '{"a":"[redacted]","b":"\\"}"}'],
    [
      'a',
      '{"a":"","a":"\\"","\\u0061":"y","b":null}',
      '{"a":"[redacted]","a":"[redacted]","\\u0061":"[redacted]","b":null}',
    ],
    ['a', '{"b":[],"c":{},"a":[]}', '{"b":[],"c":{},"a":"[redacted]"}'],
    ['é', '{"\\u00e9":1,"é":2,"e":3}', '{"\\u00e9":"[redacted]","é":"[redacted]","e":3}'],
    ['a', '{"a":-1.5e3}', '{"a":"[redacted]"}'],
    ['a', '{"a":null}', '{"a":null}'],
    ['a', '\u{feff}{"a":1}\n{"a":2}{"a":3}', '\u{feff}{"a":"[redacted]"}\n{"a":"[redacted]"}{"a":"[redacted]"}'],
  ])('%s is masked in %s', (one, text, shown) => {
    expect(everywhere(path(one), text)).toBe(shown);
  });

  test('every method leaves a JSON value of its kind', () => {
    const text = '{"a":"ada@example.com","b":4111111111111111,"c":{"d":1},"e":true}';
    const by = (method: MaskMethod): string =>
      everywhere({ paths: ['a', 'b', 'c', 'e'].map((one) => ({ path: one, with: method })) }, text);
    expect(by('null')).toBe('{"a":null,"b":null,"c":null,"e":null}');
    expect(by('partial')).toBe('{"a":"a***@e***.com","b":"************1111","c":"[redacted]","e":"******"}');
    expect(by('hash')).toMatch(/^\{"a":"h:[\w-]{16}","b":"h:[\w-]{16}","c":"\[redacted\]","e":"h:[\w-]{16}"\}$/);
  });

  test('of two paths that name a value the stricter method wins', () => {
    const paths: readonly JsonPathMask[] = [
      { path: '**.a', with: 'partial' },
      { path: 'x.a', with: 'null' },
    ];
    expect(everywhere({ paths }, '{"a":"123456789","x":{"a":"123456789"}}')).toBe('{"a":"******89","x":{"a":null}}');
  });

  test('what is masked is escaped as JSON asks', () => {
    expect(everywhere({ paths: [{ path: 'a', with: 'partial' }] }, '{"a":"123456789\\"\\n"}')).toBe(
      '{"a":"******\\"\\n"}',
    );
  });
});

describe('detectors', () => {
  test.each([
    ['{"mail":"ada@example.com"}', '{"mail":"a***@e***.com"}'],
    ['{"mail":"ada\\u0040example.com, \\"x\\""}', '{"mail":"a***@e***.com, \\"x\\""}'],
    ['{"\\u0061d\\u0061@example.com":{"n":1}}', '{"a***@e***.com":{"n":1}}'],
    ['["to \\/ bob@example.com",4111111111111111, 12.5]', '["to / b***@e***.com","************1111", 12.5]'],
    ['[4.111111111111111e15,4111111111111111.0]', '["[redacted]","************1111.0"]'],
    ['{"n":"4111 1111 1111 1111"}', '{"n":"************1111"}'],
    ['{"a":"x\\/y\\u00e9","b":"\\ud83d\\ude00 ada@example.com"}', '{"a":"x\\/y\\u00e9","b":"😀 a***@e***.com"}'],
    ['{"a":"Â ada@example.com Â"}', '{"a":"Â a***@e***.com Â"}'],
    ['"ada@example.com"', '"a***@e***.com"'],
    ['4111111111111111', '************1111'],
    ['not found: ada@example.com', 'not found: a***@e***.com'],
    ['{"a":NaN,"b":-Infinity}', '{"a":NaN,"b":-Infinity}'],
  ])('%s', (text, shown) => {
    expect(everywhere({ detect: detect() }, text)).toBe(shown);
  });

  test('method null is a null, but of a name', () => {
    expect(everywhere({ detect: detect('null') }, '{"ada@example.com":"ada@example.com","n":4111111111111111}')).toBe(
      '{"[redacted]":null,"n":null}',
    );
  });

  test('nothing found: the same bytes, not copied', () => {
    const chunk = Buffer.from('{"a":"\\u00e9\\/ \\ud800","b":[1,2.50,-0,1e5],  "c":"no mail @ all"}\r\n');
    const masker = maskerOf({ detect: detect() });
    expect(masker.push(chunk)).toBe(chunk);
    expect(masker.end()).toHaveLength(0);
    expect(masker.hits).toBe(0);
  });

  test('paths and detectors together', () => {
    const asked: Asked = { paths: [{ path: 'a[].x', with: 'redact' }], detect: detect() };
    expect(everywhere(asked, '{"a":[{"x":"y","m":"ada@example.com"}],"x":1}')).toBe(
      '{"a":[{"x":"[redacted]","m":"a***@e***.com"}],"x":1}',
    );
  });
});

describe('long strings', () => {
  const filler = 'lorem ipsum \\u00e9\\n'.repeat(6_000);
  test.each([0, 1, 5, 17, 40_000, 65_536])('a find in a string beyond the bound is masked, cut at %d', (cut) => {
    const text = Buffer.from(`{"a":"${filler}ada\\u0040example.com ${filler}","b":"bob@example.com"}`);
    const shown = masked({ detect: detect() }, text.subarray(0, text.length - cut), text.subarray(text.length - cut));
    expect(shown).not.toContain('ada');
    expect(JSON.parse(shown)).toEqual({
      a: (JSON.parse(text.toString()) as { a: string }).a.replace('ada@example.com', 'a***@e***.com'),
      b: 'b***@e***.com',
    });
  });

  test('in small pieces little is held, and lone surrogates stay', () => {
    const text = Buffer.from(`{"a":"${'x'.repeat(70_000)}\\ud83d bob@example.com \\ud800","b":1}`);
    const masker = maskerOf({ detect: detect() });
    const out: Buffer[] = [];
    for (let at = 0; at < text.length; at += 7) {
      out.push(Buffer.from(masker.push(text.subarray(at, at + 7))));
      expect(masker.heldBytes).toBeLessThan(82_000);
    }
    out.push(Buffer.from(masker.end()));
    expect(Buffer.concat(out).toString()).toBe(`{"a":"${'x'.repeat(70_000)}\\ud83d b***@e***.com \\ud800","b":1}`);
  });

  test('a long string that a path names is redacted whole and never held whole', () => {
    const masker = maskerOf({ paths: [{ path: 'a', with: 'hash' }] });
    const out = [masker.push(Buffer.from('{"a":"')), masker.push(Buffer.alloc(200_000, 'x'))];
    expect(masker.heldBytes).toBe(0);
    out.push(masker.push(Buffer.from('x","b":1}')), masker.end());
    expect(Buffer.concat(out).toString()).toBe('{"a":"[redacted]","b":1}');
  });
});

describe('what is no JSON', () => {
  test.each([
    '{"a":1,}',
    '{"a" 1}',
    '{"b":"\u0001"}',
    '{"b":"\\x41"}',
    "{'b':1}",
    '{b:1}',
    '[1 2]',
    '{"b":1]',
    '[1}',
    '}',
    '{"a":[1}]',
    '{"b":tru}',
    '{"b":4111-}x',
    '/**/{"b":1}',
    'callback({"b":1})',
    `${'['.repeat(513)}`,
  ])('%j is cut where a path is to be masked', (text) => {
    cutEverywhere(path('b'), text, text.replace(/(?<=^\{"b":)(1|4111-)/, '"[redacted]"'));
  });

  test('nothing is shown behind it', () => {
    expect(everywhere({ detect: detect() }, '{"a":1,,"b":"ada@example.com"}')).toBe('{"a":1,<broken>');
  });
  test('bytes that are no UTF-8 are no JSON: overlong forms could hide a character', () => {
    expect(masked({ detect: detect() }, Buffer.from('{"a":"ada\xc1\x80example.com"}', 'latin1'))).toMatch(/<broken>$/);
  });
  test('a text that has escapes of JSON in it is cut where detectors look', () => {
    cutEverywhere({ detect: detect() }, 'x{"a":"ada\\u0040example.com"}', 'x{"a":"ada\\u004');
  });
  test('a body that ends too early is passed on as it ended', () => {
    expect(everywhere(path('a'), '{"a":"12')).toBe('{"a":"[redacted]');
    expect(everywhere({ detect: detect() }, '{"a":"ada@example.com \\u00')).toBe('{"a":"a***@e***.com ');
    expect(everywhere(path('a'), '{"b":12')).toBe('{"b":12');
    expect(everywhere(path('a'), '{"a":[1')).toBe('{"a":"[redacted]"');
  });
});
