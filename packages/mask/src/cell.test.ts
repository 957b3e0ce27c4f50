import type { DetectMask, MaskMethod } from '@sallyport/model';
import { describe, expect, test } from 'vitest';
import { type CellOptions, maskCell, maskDetectedCell } from './cell.ts';
import { createMaskKey } from './methods.ts';

const key = createMaskKey(Buffer.alloc(32, 3));
const detect: readonly DetectMask[] = [
  { detect: 'payment_card', with: 'partial' },
  { detect: 'email', with: 'partial' },
  { detect: 'secret_key', with: 'redact' },
];
const shown = (bytes: Uint8Array | null): string | null => (bytes === null ? null : Buffer.from(bytes).toString());
const masked = (value: string, method: MaskMethod, options: CellOptions = {}): string | null =>
  shown(maskCell(Buffer.from(value), method, { key, ...options }));
const detected = (value: string | Buffer, options: CellOptions = {}): string | null =>
  shown(maskDetectedCell(Buffer.from(value as string), detect, { key, ...options }));

const JSON_OID = 114;
const JSONB_OID = 3802;
const INT8_OID = 20;
const TEXT_ARRAY_OID = 1009;
const CUSTOM_OID = 16_500;

describe('a masked column', () => {
  test('is shown in part by what its value is', () => {
    expect(masked('4111 1111 1111 1111', 'partial')).toBe('************1111');
    expect(masked('378282246310005', 'partial')).toBe('************0005');
    expect(masked('ada@example.com', 'partial')).toBe('a***@e***.com');
    expect(masked('a@b.io', 'partial')).toBe('a***@b***.io');
    expect(masked('123-45-6789', 'partial')).toBe('***-**-6789');
    expect(masked('DE89370400440532013000', 'partial')).toBe('DE******3000');
    expect(masked('10.1.2.3', 'partial')).toBe('*.*.*.*');
    expect(masked('AKIAIOSFODNN7EXAMPLE', 'partial')).toBe('[redacted]');
    expect(masked('Ada Lovelace', 'partial')).toBe('******ce');
    expect(masked('Łódź wieś', 'partial')).toBe('******eś');
    expect(masked('short', 'partial')).toBe('******');
    expect(masked('', 'partial')).toBe('******');
    expect(masked('4111111111111111 ', 'partial')).toBe('************1111');
  });
  test('gives equal hashes for equal values under one key, and others under another', () => {
    expect(masked('a', 'hash')).toBe(masked('a', 'hash'));
    expect(masked('a', 'hash')).not.toBe(masked('b', 'hash'));
    expect(masked('a', 'hash')).not.toBe(masked('a', 'hash', { key: createMaskKey(Buffer.alloc(32, 4)) }));
  });
  test('stays valid JSON, or becomes NULL where no text can stand', () => {
    expect(masked('{"a":1}', 'redact', { typeOid: JSON_OID })).toBe('"[redacted]"');
    expect(masked('{"a":1}', 'partial', { typeOid: JSONB_OID })).toBe('"[redacted]"');
    expect(masked('\x01{"a":1}', 'redact', { typeOid: JSONB_OID, format: 1 })).toBe('\x01"[redacted]"');
    for (const typeOid of [INT8_OID, 23, 1700, 701, 1082, 1184, 2950, 17, TEXT_ARRAY_OID, 869, 2249, 16]) {
      for (const method of ['redact', 'partial', 'hash', 'null'] as const) {
        expect(masked('4111111111111111', method, { typeOid })).toBeNull();
      }
    }
    expect(masked('happy', 'redact', { typeOid: CUSTOM_OID })).toBe('[redacted]');
    expect(masked('happy', 'redact', { typeOid: CUSTOM_OID, format: 1 })).toBeNull();
  });
});

describe('a detector in a cell', () => {
  test('returns the same bytes when nothing is seen', () => {
    const cell = Buffer.from('nothing');
    expect(maskDetectedCell(cell, detect)).toBe(cell);
  });
  test('reads text, names, unknown types and text arrays in place', () => {
    for (const typeOid of [25, 1043, 1042, 19, 705, CUSTOM_OID, TEXT_ARRAY_OID]) {
      expect(detected('{x,ada@example.com}', { typeOid })).toBe('{x,a***@e***.com}');
    }
    expect(detected('ada@example.com', { format: 1 })).toBe('a***@e***.com');
    for (const typeOid of [CUSTOM_OID, TEXT_ARRAY_OID])
      expect(detected('ada@example.com', { typeOid, format: 1 })).toBeNull();
  });
  test('keeps JSON valid: inside strings in place, bare numbers as strings', () => {
    const json = (text: string, format: 0 | 1 = 0): unknown => {
      const answer = detected(text, { typeOid: format === 0 ? JSON_OID : JSONB_OID, format })!;
      return JSON.parse(format === 0 ? answer : answer.slice(1));
    };
    expect(json('{"card": 4111111111111111, "mail": "to ada@example.com"}')).toEqual({
      card: '************1111',
      mail: 'to a***@e***.com',
    });
    expect(json('[-4111111111111111.50e1]')).toEqual(['************1111']);
    expect(json('{"a": "x\\n4111111111111111\\t"}')).toEqual({ a: 'x\n************1111\t' });
    expect(json('{"a": "quote \\" ada@example.com"}')).toEqual({ a: 'quote " a***@e***.com' });
    expect(json('\x01{"m": "ada@example.com"}', 1)).toEqual({ m: 'a***@e***.com' });
    expect(json('"-----BEGIN PRIVATE KEY-----\\nMIIE"')).toEqual('[redacted]');
  });
  test('sees through the escapes of JSON', () => {
    expect(detected('{"a": "ada\\u0040example.com"}', { typeOid: JSON_OID })).toBe('"[redacted]"');
    expect(detected('{"a": "\\u0034111111111111111"}', { typeOid: JSON_OID })).toBe('"[redacted]"');
    expect(detected('{"a": "\\u00e9"}', { typeOid: JSON_OID })).toBe('{"a": "\\u00e9"}');
  });
  test('finds a card number in a number of either format and makes it NULL', () => {
    const int8 = Buffer.alloc(8);
    int8.writeBigInt64BE(4111111111111111n);
    const float8 = Buffer.alloc(8);
    float8.writeDoubleBE(4111111111111111);
    expect(detected('4111111111111111', { typeOid: INT8_OID })).toBeNull();
    expect(detected('4111111111111111.00', { typeOid: 1700 })).toBeNull();
    expect(detected('4.111111111111111e+15', { typeOid: 701 })).toBeNull();
    expect(detected(int8, { typeOid: INT8_OID, format: 1 })).toBeNull();
    expect(detected(float8, { typeOid: 701, format: 1 })).toBeNull();
    expect(detected('4111111111111112', { typeOid: INT8_OID })).toBe('4111111111111112');
  });
  test('looks into bytea, written in hex or raw', () => {
    expect(detected(`\\x${Buffer.from('to ada@example.com').toString('hex')}`, { typeOid: 17 })).toBeNull();
    expect(detected('to ada@example.com', { typeOid: 17, format: 1 })).toBeNull();
    expect(detected('\\xdeadbeef', { typeOid: 17 })).toBe('\\xdeadbeef');
  });
});
