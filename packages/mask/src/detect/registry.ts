/**
 * The detectors by name, and the one order in which what they see becomes spans that do not overlap.
 * Adding one: its file, its line here, its name in model's DETECTORS.
 */
import type { DetectMask, Detector, MaskMethod } from '@sallyport/model';
import type { Scan, Span } from '../span.ts';
import { scanEmails } from './email.ts';
import { scanIbans } from './iban.ts';
import { scanIpAddresses } from './ip-address.ts';
import { scanJwts } from './jwt.ts';
import { scanNationalIds } from './national-id.ts';
import { scanPaymentCards } from './payment-card.ts';
import { scanPhones } from './phone.ts';
import { scanSecretKeys } from './secret-key.ts';

const SCANS: { readonly [K in Detector]: Scan } = {
  payment_card: scanPaymentCards,
  email: scanEmails,
  national_id: scanNationalIds,
  iban: scanIbans,
  phone: scanPhones,
  ip_address: scanIpAddresses,
  secret_key: scanSecretKeys,
  jwt: scanJwts,
};

const BACKSLASH = 92;
const SPACE = 32;

/**
 * The same text, as long, with escape sequences as spaces: in `"\\n4111…"` the n belongs to a line break and must not glue
 * itself to the number. Text without a backslash is returned as it is.
 */
function withoutEscapes(text: Uint8Array): Uint8Array {
  let at = text.indexOf(BACKSLASH);
  if (at < 0) return text;
  const plain = Uint8Array.from(text);
  for (; at >= 0 && at < plain.length; at = plain.indexOf(BACKSLASH, at)) {
    const next = plain[at + 1];
    plain[at++] = SPACE;
    // b f n r t
    if (next === 98 || next === 102 || next === 110 || next === 114 || next === 116 || next === BACKSLASH)
      plain[at++] = SPACE;
  }
  return plain;
}

/** Everything the named detectors see in UTF-8 text, by start; spans of different detectors may overlap. */
export function scanAll(text: Uint8Array, detectors: readonly Detector[], seams?: Uint8Array): Span[] {
  const spans: Span[] = [];
  const plain = withoutEscapes(text);
  for (const kind of detectors) SCANS[kind](plain, (start, end) => spans.push({ start, end, kind }), seams);
  return spans.length < 2 ? spans : spans.sort((a, b) => a.start - b.start || b.end - a.end);
}

/** A stretch to be masked; `kind` is undefined where several detectors claim parts of it. */
export interface MaskedSpan {
  readonly start: number;
  readonly end: number;
  readonly kind: Detector | undefined;
  readonly method: MaskMethod;
}

const STRICTNESS: { readonly [K in MaskMethod]: number } = { partial: 0, hash: 1, redact: 2, null: 3 };
export const stricter = (a: MaskMethod, b: MaskMethod): MaskMethod => (STRICTNESS[a] >= STRICTNESS[b] ? a : b);

/** The strictest method asked for a detector (null > redact > hash > partial); undefined when it is not asked for. */
export function strictest(detect: readonly DetectMask[], detector: Detector): MaskMethod | undefined {
  let method: MaskMethod | undefined;
  for (const one of detect)
    if (one.detect === detector) method = method === undefined ? one.with : stricter(method, one.with);
  return method;
}

/**
 * What to mask in UTF-8 text, by start, without overlaps. Overlapping finds become one stretch with the strictest of
 * their methods, and at least `redact`: a partial view of a merged stretch could show what one of them hides.
 */
export function maskedSpans(text: Uint8Array, detect: readonly DetectMask[]): readonly MaskedSpan[] {
  return mergedSpans(scanAll(text, [...new Set(detect.map((one) => one.detect))]), detect);
}

/** As `maskedSpans`, over what `scanAll` saw. */
export function mergedSpans(spans: readonly Span[], detect: readonly DetectMask[]): readonly MaskedSpan[] {
  const merged: MaskedSpan[] = [];
  for (const span of spans) {
    const method = strictest(detect, span.kind) ?? 'redact';
    const last = merged.at(-1);
    if (last === undefined || span.start >= last.end) merged.push({ ...span, method });
    else {
      const end = Math.max(last.end, span.end);
      merged[merged.length - 1] = {
        start: last.start,
        end,
        kind: undefined,
        method: stricter('redact', stricter(last.method, method)),
      };
    }
  }
  return merged;
}
