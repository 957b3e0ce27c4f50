/**
 * Detectors over free text: error and notice fields, approvers' screens, notifications, logs.
 * Refuses to know where the text goes; cells of rows have their own rules in cell.ts.
 */
import type { DetectMask, Detector } from '@sallyport/model';
import { type MaskedSpan, maskedSpans, scanAll } from './detect/registry.ts';
import { type MaskKey, maskBytes } from './methods.ts';
import type { Span } from './span.ts';

/**
 * Everything the detectors see in a text; spans of different detectors may overlap.
 * @returns by start, offsets in UTF-16 units as JavaScript counts them
 */
export function detectText(text: string, detectors: readonly Detector[]): readonly Span[] {
  const bytes = Buffer.from(text);
  const spans = scanAll(bytes, detectors);
  if (bytes.length === text.length) return spans;
  const units = unitsAt(bytes, spans);
  return spans.map(({ start, end, kind }) => ({ start: units.get(start)!, end: units.get(end)!, kind }));
}

/** How many UTF-16 units stand before each offset where a span begins or ends; one walk over the text. */
function unitsAt(bytes: Buffer, spans: readonly Span[]): ReadonlyMap<number, number> {
  const offsets = [...new Set(spans.flatMap(({ start, end }) => [start, end]))].sort((a, b) => a - b);
  const units = new Map<number, number>();
  let [from, before] = [0, 0];
  for (const offset of offsets) {
    before += bytes.toString('utf8', from, offset).length;
    from = offset;
    units.set(offset, before);
  }
  return units;
}

/** Replaces the stretches; the bytes between them are kept as they are. */
export function replaceSpans(text: Uint8Array, spans: readonly MaskedSpan[], key: MaskKey | undefined): Buffer {
  const parts: Uint8Array[] = [];
  let from = 0;
  for (const span of spans) {
    parts.push(
      text.subarray(from, span.start),
      maskBytes(text.subarray(span.start, span.end), span.method, span.kind, key),
    );
    from = span.end;
  }
  parts.push(text.subarray(from));
  return Buffer.concat(parts);
}

export interface MaskedText {
  readonly text: string;
  /** How many stretches were replaced. */
  readonly hits: number;
}

/**
 * A text with what the detectors see masked; the text itself when they see nothing. Linear in its length.
 * Method `null` reads `[redacted]`, since a text has no NULL. Lone surrogates become U+FFFD where anything is replaced.
 * @param key for method `hash`; without it `hash` reads `[redacted]`
 * @example maskDetected('to ada@example.com', [{ detect: 'email', with: 'partial' }]).text === 'to a***@e***.com'
 */
export function maskDetected(text: string, detect: readonly DetectMask[], key?: MaskKey): MaskedText {
  if (detect.length === 0 || text === '') return { text, hits: 0 };
  const bytes = Buffer.from(text);
  const spans = maskedSpans(bytes, detect);
  if (spans.length === 0) return { text, hits: 0 };
  return { text: replaceSpans(bytes, spans, key).toString('utf8'), hits: spans.length };
}
