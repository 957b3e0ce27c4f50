/**
 * What detectors find in a line as it is shown, as stretches of the raw bytes that drew it, with what stands in for each.
 * Refuses to know what is sent and what waits.
 */
import type { DetectMask, Detector } from '@sallyport/model';
import { mergedSpans, scanAll } from '../detect/registry.ts';
import { type MaskKey, maskBytes, REDACTED } from '../methods.ts';
import type { Span } from '../span.ts';
import { certainEmail, isBinaryAround, isCertainAddress } from './binary.ts';
import { moveBytes } from './controls.ts';
import type { Showing } from './lane.ts';

/** Raw bytes that are replaced. */
export interface Hidden {
  readonly from: number;
  readonly to: number;
  readonly shown: Uint8Array;
  /** A private key that goes on beyond this text. */
  readonly isKey: boolean;
  /** `shown` has the stretch's escapes in it. */
  readonly isDrawn: boolean;
}

/**
 * @param echoed how many bytes at the end of the text its reader has typed: a find in them is no news
 * @param past the raw bytes before the input
 */
export function hiddenIn(
  input: Uint8Array,
  showing: Showing,
  detect: readonly DetectMask[],
  detectors: readonly Detector[],
  echoed: number,
  key: MaskKey | undefined,
  keepWidth: boolean,
  past: Uint8Array,
): readonly Hidden[] {
  const { text } = showing;
  const spans: Span[] = [];
  for (const span of scanAll(text, detectors, showing.seams)) {
    const raw = rawRange(showing, span.start, span.end);
    if (raw === undefined) continue;
    const certain = isBinaryAround(input, raw.from, raw.to, past) ? certainIn(text, span) : span;
    if (certain !== undefined) spans.push({ ...certain, kind: span.kind });
  }
  if (spans.length === 0) return [];
  const found: Hidden[] = [];
  for (const span of mergedSpans(spans, detect)) {
    if (span.start >= text.length - echoed) continue;
    const range = rawRange(showing, span.start, span.end);
    if (range === undefined) continue;
    const value = text.subarray(span.start, span.end);
    // Of what has begun to leave already only the rest can be hidden.
    const masked = showing.first[span.start]! < 0 ? REDACTED_BYTES : maskBytes(value, span.method, span.kind, key);
    const stretch = input.subarray(range.from, range.to);
    const isDrawn = keepWidth && hasMoves(stretch);
    found.push({
      from: range.from,
      to: range.to,
      isDrawn,
      shown: isDrawn
        ? starred(stretch)
        : keepWidth
          ? asWide(masked, text.subarray(span.end - range.cells, span.end))
          : masked,
      isKey: span.end === text.length && isPrivateKey(text, span.start) && !ENDS.test(latin1(text, span.start)),
    });
  }
  return found;
}

const REDACTED_BYTES = Buffer.from(REDACTED);
const BEGIN = Buffer.from('-----BEGIN ');
const ENDS = /-----END [^\n]*-----$/;
const latin1 = (text: Uint8Array, from: number): string => Buffer.from(text.subarray(from)).toString('latin1');
const isPrivateKey = (text: Uint8Array, start: number): boolean => BEGIN.every((byte, i) => text[start + i] === byte);

function certainIn(text: Uint8Array, span: Span): { readonly start: number; readonly end: number } | undefined {
  if (span.kind === 'email') return certainEmail(text, span.start, span.end);
  if (
    span.kind === 'ip_address' &&
    !isCertainAddress(span.start, span.end) &&
    text.subarray(span.start, span.end).includes(58)
  )
    return undefined;
  return span;
}

/** The raw bytes that drew some of a line; undefined when all of them have left. */
function rawRange(
  showing: Showing,
  start: number,
  end: number,
): { readonly from: number; readonly to: number; readonly cells: number } | undefined {
  let from = -1;
  let to = -1;
  let cells = 0;
  for (let i = start; i < end; i++) {
    const last = showing.last[i]!;
    if (last < 0) continue;
    const first = Math.max(0, showing.first[i]!);
    if (from < 0 || first < from) from = first;
    if (last >= to) to = last + 1;
    cells++;
  }
  return from < 0 ? undefined : { from, to, cells };
}

/** Characters of UTF-8 as cells of a terminal; wide ones count as one, as most values have none. */
const cellsOf = (bytes: Uint8Array): number => {
  let count = 0;
  for (const byte of bytes) if ((byte & 0xc0) !== 0x80) count++;
  return count;
};

/** As many cells as the value had: cut, or filled up with spaces. */
function asWide(masked: Uint8Array, value: Uint8Array): Uint8Array {
  const width = cellsOf(value);
  const shown = cellsOf(masked);
  if (shown === width) return masked;
  if (shown < width) return Buffer.concat([masked, Buffer.alloc(width - shown, 32)]);
  return Buffer.from(Array.from(Buffer.from(masked).toString('utf8')).slice(0, width).join(''));
}

const STAR = 42;
const ESC = 0x1b;

const hasMoves = (stretch: Uint8Array): boolean => {
  for (let at = stretch.indexOf(ESC); at >= 0; at = stretch.indexOf(ESC, at + 1))
    if (moveBytes(stretch, at) > 0) return true;
  return false;
};

/** A value that is drawn in several places of a screen: a star for each of its characters, where it stood. */
export function starred(stretch: Uint8Array): Uint8Array {
  const out: number[] = [];
  for (let at = 0; at < stretch.length; at++) {
    const byte = stretch[at]!;
    if (byte === ESC && stretch[at + 1] === 0x5b) {
      const begin = at;
      at += 2;
      while (at < stretch.length && (stretch[at]! < 0x40 || stretch[at]! > 0x7e)) at++;
      out.push(...stretch.subarray(begin, at + 1));
    } else if (byte >= 32 && (byte & 0xc0) !== 0x80) out.push(STAR);
  }
  return Uint8Array.from(out);
}
