/**
 * One string or number of a JSON document as it is shown: by its path's method, or by what detectors find in it.
 * Refuses to know where it stands. A result is always a JSON value of its own: masked numbers become strings.
 */
import type { DetectMask, Detector, MaskMethod } from '@sallyport/model';
import { maskCell, maskDetectedCell } from '../cell.ts';
import type { MaskKey } from '../methods.ts';
import { CLASS_BITS, type Prefilter, STOP } from '../stream/prefilter.ts';
import { scannerOf } from '../stream/scan-kernel.ts';
import { escapeJson, unescapedJson } from './json-string.ts';

const NULL = Buffer.from('null');
export const REDACTED_JSON: Uint8Array = Buffer.from('"[redacted]"');
export const REDACTED_BASE64_JSON: Uint8Array = Buffer.from(`"${Buffer.from('[redacted]').toString('base64')}"`);
const QUOTE = Buffer.from('"');
/** Nothing that is looked for has fewer bytes. */
const FIND_BYTES_MIN = 3;
const FLOAT8 = 701;
/** No number that identifies somebody is smaller. */
const SHORT_NUMBER = 1e7;

const quoted = (text: Uint8Array): Uint8Array => Buffer.concat([QUOTE, escapeJson(text), QUOTE]);

// A point, e or E.
function isFloat(raw: Uint8Array): boolean {
  for (let at = 0; at < raw.length; at++) {
    const byte = raw[at]!;
    if (byte === 46 || byte === 101 || byte === 69) return true;
  }
  return false;
}

const known = new WeakMap<readonly DetectMask[], JsonValues>();

/** The same for bodies under the same masks: nothing of a body is kept in it. */
export function jsonValuesOf(detect: readonly DetectMask[], key: MaskKey | undefined): JsonValues {
  const found = known.get(detect);
  if (found !== undefined && found.key === key) return found;
  const made = new JsonValues(detect, key);
  known.set(detect, made);
  return made;
}

export class JsonValues {
  readonly detect: readonly DetectMask[];
  readonly key: MaskKey | undefined;
  readonly #prefilter: Prefilter | undefined;

  constructor(detect: readonly DetectMask[], key: MaskKey | undefined) {
    this.detect = detect;
    this.key = key;
    const detectors: readonly Detector[] = [...new Set(detect.map((one) => one.detect))];
    this.#prefilter = detectors.length === 0 ? undefined : scannerOf(detectors).prefilter;
  }

  /**
   * A value that its path names.
   * @param raw the string's bytes without quotes, or a number or literal as it stands
   * @param isBase64 what is masked is what it decodes to, and what is shown decodes too
   * @returns undefined when it is no JSON
   */
  named(raw: Uint8Array, isString: boolean, method: MaskMethod, isBase64 = false): Uint8Array | undefined {
    const text = isString ? unescapedJson(raw) : raw;
    if (text === undefined) return undefined;
    const inside = isBase64 ? Buffer.from(Buffer.from(text).toString('latin1'), 'base64') : text;
    const shown = maskCell(inside, method, this.key === undefined ? {} : { key: this.key });
    if (shown === null) return NULL;
    return quoted(isBase64 ? Buffer.from(Buffer.from(shown).toString('base64')) : shown);
  }

  /**
   * What detectors leave of a string.
   * @param isKey a member's name, which cannot be null
   * @returns undefined when it stays as it is, `invalid` when it is no JSON
   */
  string(raw: Uint8Array, isKey: boolean, hasEscapes: boolean): Uint8Array | 'invalid' | undefined {
    const text = hasEscapes ? unescapedJson(raw) : raw;
    if (text === undefined) return 'invalid';
    if (text.length < FIND_BYTES_MIN || (hasEscapes && !this.mayHold(text, 0, text.length))) return undefined;
    const shown = this.#detected(text);
    if (shown === text) return undefined;
    return shown === null ? (isKey ? REDACTED_JSON : NULL) : quoted(shown);
  }

  /** What detectors leave of a number; undefined when it stays as it is. */
  number(raw: Uint8Array): Uint8Array | undefined {
    if (this.mayHold(raw, 0, raw.length)) {
      const shown = this.#detected(raw);
      if (shown !== raw) return shown === null ? NULL : quoted(shown);
    }
    // 4.111111111111111e+15 is how some write sixteen digits.
    if (!isFloat(raw)) return undefined;
    const value = Number(Buffer.from(raw).toString('latin1'));
    if (!Number.isInteger(value) || Math.abs(value) < SHORT_NUMBER) return undefined;
    const seen = maskDetectedCell(raw, this.detect, { typeOid: FLOAT8 });
    if (seen === raw) return undefined;
    return this.detect.some((one) => one.with === 'null') ? NULL : REDACTED_JSON;
  }

  /** False when no detector can see anything in these bytes. */
  mayHold(text: Uint8Array, from: number, to: number): boolean {
    const prefilter = this.#prefilter;
    if (prefilter === undefined) return false;
    const { classOf } = prefilter;
    let { table } = prefilter;
    let state = 0;
    for (let at = from; at < to; at++) {
      const byte = text[at]!;
      let next = table[(state << CLASS_BITS) | classOf[byte]!]!;
      if (next >= STOP) {
        next = prefilter.step(state, byte);
        table = prefilter.table;
        if (next >= STOP) return true;
      }
      state = next;
    }
    return false;
  }

  #detected(text: Uint8Array): Uint8Array | null {
    return maskDetectedCell(text, this.detect, this.key === undefined ? {} : { key: this.key });
  }
}
