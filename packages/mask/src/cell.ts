/**
 * One cell of a row: masked because its column is, or because a detector sees something in it. A result is always
 * valid for its type and format, or NULL: a driver must be able to read it, and it must never be the value.
 * Refuses to know rows, plans and wire messages (rows.ts does). docs/reference/masking.md shows these rules as tables.
 */
import type { DetectMask, Detector, MaskMethod } from '@sallyport/model';
import { DETECTORS } from '@sallyport/model';
import { isDigit } from './bytes.ts';
import { type MaskedSpan, maskedSpans, scanAll } from './detect/registry.ts';
import { type Family, familyOf } from './families.ts';
import { type MaskKey, maskBytes } from './methods.ts';
import { numericText } from './numeric.ts';
import { replaceSpans } from './text.ts';

export interface CellOptions {
  /** PostgreSQL type OID of the column; 25 (text) where left out. */
  readonly typeOid?: number;
  /** 0 = text, 1 = binary; 0 where left out. */
  readonly format?: 0 | 1;
  /** What the value is, where the caller knows; otherwise a `partial` mask finds out. */
  readonly hint?: Detector;
  /** For method `hash`; without it `hash` is `redact`. */
  readonly key?: MaskKey;
}

const JSONB_VERSION = Buffer.of(1);
const quoted = (text: Uint8Array): Buffer => Buffer.concat([Buffer.from('"'), text, Buffer.from('"')]);

/** The detector that claims the whole value, spaces around it aside. */
export function kindOf(value: Uint8Array): Detector | undefined {
  let start = 0;
  let end = value.length;
  while (start < end && value[start] === 32) start++;
  while (end > start && value[end - 1] === 32) end--;
  return scanAll(value.subarray(start, end), DETECTORS).find((span) => span.start === 0 && span.end === end - start)
    ?.kind;
}

function maskedText(value: Uint8Array, method: MaskMethod, options: CellOptions): Uint8Array {
  const kind = options.hint ?? (method === 'partial' ? kindOf(value) : undefined);
  return maskBytes(value, method, kind, options.key);
}

/**
 * A cell of a masked column. Never shows more than its method allows, whatever is in it.
 * Types that cannot hold a text (numbers, dates, arrays, unknown binary …) become NULL with every method.
 * @param cell the value's bytes as they are on the wire, without their length
 * @returns the bytes to send, or null for SQL NULL
 */
export function maskCell(cell: Uint8Array, method: MaskMethod, options: CellOptions = {}): Uint8Array | null {
  if (method === 'null') return null;
  const family = familyOf(options.typeOid ?? 25);
  switch (family) {
    case 'text':
      return maskedText(cell, method, options);
    case 'custom':
      return options.format === 1 ? null : maskedText(cell, method, options);
    case 'json':
      // A digest is of the document; a partial view of one has no meaning.
      return quoted(maskBytes(cell, method === 'partial' ? 'redact' : method, undefined, options.key));
    case 'jsonb': {
      const document = options.format === 1 ? cell.subarray(1) : cell;
      const shown = quoted(maskBytes(document, method === 'partial' ? 'redact' : method, undefined, options.key));
      return options.format === 1 ? Buffer.concat([JSONB_VERSION, shown]) : shown;
    }
    case 'array':
    case 'int8':
    case 'float8':
    case 'numeric':
    case 'bytea':
    case 'plain':
    case 'opaque':
      return null;
    default:
      return family satisfies never;
  }
}

/** JSON with what was seen inside its strings masked, and a number that was seen turned into a string. */
function maskJson(json: Uint8Array, detect: readonly DetectMask[], key: MaskKey | undefined): Uint8Array | null {
  const spans = maskedSpans(json, detect);
  if (hidesMore(json, detect, spans.length)) return quoted(Buffer.from('[redacted]'));
  if (spans.length === 0) return json;
  if (spans.some((span) => span.method === 'null')) return null;
  const parts: Uint8Array[] = [];
  let from = 0;
  let at = 0;
  let inString = false;
  for (const span of spans) {
    const advance = (to: number): void => {
      for (; at < to; at++) {
        if (inString && json[at] === 92) at++;
        else if (json[at] === 34) inString = !inString;
      }
    };
    advance(span.start);
    const startedInString = inString;
    let { start, end } = span;
    advance(end);
    const shown = maskBytes(json.subarray(start, end), span.method, span.kind, key);
    if (startedInString && inString) {
      parts.push(json.subarray(from, start), shown);
    } else if (!startedInString && !inString && at === end) {
      // A bare number: the whole of it becomes a string, or a fraction or sign would be left beside the quotes.
      while (start > from && isNumberByte(json[start - 1])) start--;
      while (isNumberByte(json[end])) end++;
      parts.push(json.subarray(from, start), quoted(shown));
      at = end;
    } else {
      return quoted(Buffer.from('[redacted]'));
    }
    from = end;
  }
  parts.push(json.subarray(from));
  return Buffer.concat(parts);
}

// + - . e E
const isNumberByte = (byte: number | undefined): boolean =>
  isDigit(byte) || byte === 43 || byte === 45 || byte === 46 || byte === 69 || byte === 101;

/** `\u0040` is an `@`, so with escapes in it a JSON text is read a second time, unescaped. */
function hidesMore(json: Uint8Array, detect: readonly DetectMask[], seen: number): boolean {
  const text = Buffer.from(json.buffer, json.byteOffset, json.byteLength);
  if (!text.includes('\\u')) return false;
  const plain = text
    .toString('utf8')
    .replaceAll(/\\u([0-9a-fA-F]{4})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return maskedSpans(Buffer.from(plain), detect).length !== seen;
}

/** The text in which a detector would see the value of a cell that is not text. */
function lookInto(cell: Uint8Array, family: Family, format: 0 | 1): Uint8Array {
  const view = Buffer.from(cell.buffer, cell.byteOffset, cell.byteLength);
  if (family === 'int8' && format === 1 && cell.length === 8) return Buffer.from(view.readBigInt64BE().toString());
  if (family === 'numeric' && format === 1) return Buffer.from(numericText(view));
  if (family === 'float8') {
    const value = format === 0 ? Number(view.toString('latin1')) : cell.length === 8 ? view.readDoubleBE() : Number.NaN;
    // 4.111111111111111e+15 is how the server writes sixteen digits.
    if (Number.isInteger(value) && Math.abs(value) < 1e19) return Buffer.from(BigInt(value).toString());
    return format === 0 ? view : Buffer.alloc(0);
  }
  if (family === 'bytea' && format === 0 && view.toString('latin1', 0, 2) === '\\x')
    return Buffer.from(view.toString('latin1', 2), 'hex');
  return cell;
}

/**
 * A cell of a column that is not masked by name: what the detectors see in it is masked.
 * Text keeps what is around it; what cannot hold a text becomes NULL.
 * @returns the same object when nothing was seen, the bytes to send, or null for SQL NULL
 */
export function maskDetectedCell(
  cell: Uint8Array,
  detect: readonly DetectMask[],
  options: CellOptions = {},
): Uint8Array | null {
  const family = familyOf(options.typeOid ?? 25);
  const format = options.format ?? 0;
  if (detect.length === 0 || family === 'plain' || cell.length === 0) return cell;
  if (family === 'json') return maskJson(cell, detect, options.key);
  // A version other than 1 is a form nobody has seen: its raw bytes are looked at, below.
  if (family === 'jsonb' && (format === 0 || cell[0] === 1)) {
    if (format === 0) return maskJson(cell, detect, options.key);
    const document = cell.subarray(1);
    const shown = maskJson(document, detect, options.key);
    return shown === document ? cell : shown === null ? null : Buffer.concat([JSONB_VERSION, shown]);
  }
  const spans: readonly MaskedSpan[] = maskedSpans(lookInto(cell, family, format), detect);
  if (spans.length === 0) return cell;
  const isText = family === 'text' || (format === 0 && (family === 'custom' || family === 'array'));
  if (!isText || spans.some((span) => span.method === 'null')) return null;
  return replaceSpans(cell, spans, options.key);
}
