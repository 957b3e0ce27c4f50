/**
 * One whole message in memory: an event's data, a WebSocket's text. JSON by paths and detectors, other text by detectors.
 * Refuses what may be JSON and is none, where paths are to be masked.
 */
import { detectText, JsonMasker, type JsonMaskerOptions, maskDetectedCell } from '@sallyport/mask';
import type { DetectMask } from '@sallyport/model';

const REDACTED = Buffer.from('[redacted]');
const QUOTE = 34;
const BRACE = 123;
const COLON = 58;
const NEWLINE = 10;

/** @returns the same object where nothing is masked; undefined when it cannot be vouched for */
export function maskMessage(message: Uint8Array, masks: JsonMaskerOptions): Uint8Array | undefined {
  if (masks.plan === undefined && masks.detect.length === 0) return message;
  const first = message.find((byte) => byte !== 32 && byte !== 9 && byte !== 10 && byte !== 13);
  // { [ "
  if (first === 123 || first === 91 || first === QUOTE) {
    const masker = new JsonMasker(masks);
    const head = masker.push(message);
    const isSame = head === message;
    const tail = masker.end();
    if (!masker.broken) return isSame && tail.length === 0 ? message : Buffer.concat([head, tail]);
  }
  // `[DONE]` is no document: nothing in it has a name.
  if (masks.plan !== undefined && (message.includes(QUOTE) || message.includes(COLON))) return undefined;
  return maskLooseText(message, masks);
}

/**
 * Words beside messages: an event's id, a comment, why a socket closes. Nobody looks for documents there; what may hold members
 * that a path names is hidden whole.
 */
export const maskWords = (words: Uint8Array, masks: JsonMaskerOptions): Uint8Array =>
  masks.plan !== undefined && (words.includes(QUOTE) || words.includes(BRACE)) ? REDACTED : maskLooseText(words, masks);

/**
 * A message that came in lines, which its reader may put together in another way than with line ends between: a text in which
 * something is found only across them is hidden as a whole.
 */
export function maskLines(message: Uint8Array, masks: JsonMaskerOptions): Uint8Array | undefined {
  const shown = maskMessage(message, masks);
  const first = message[0];
  if (shown === undefined || masks.detect.length === 0 || first === 123 || first === 91) return shown;
  if (!message.includes(NEWLINE)) return shown;
  return foundAcross(Buffer.from(message).toString('utf8').split('\n'), masks.detect).size > 0 ? REDACTED : shown;
}

/**
 * Texts that stand behind each other, and whose reader may put them together with a blank between, or with nothing: those that
 * have a part in what is found only across them, by their place.
 */
export function foundAcross(texts: readonly string[], detect: readonly DetectMask[]): ReadonlySet<number> {
  const across = new Set<number>();
  if (texts.length < 2 || detect.length === 0) return across;
  const detectors = [...new Set(detect.map((one) => one.detect))];
  const known = apart(detectText(texts.join('\n'), detectors));
  for (const between of [' ', '']) {
    // Where each text ends, put together.
    const borders: number[] = [];
    let at = 0;
    for (const text of texts) {
      at += text.length + between.length;
      borders.push(at - between.length);
    }
    for (const { start, end } of detectText(texts.join(between), detectors)) {
      const border = firstOver(borders, start - between.length, (one) => one);
      if (border === borders.length || borders[border]! >= end) continue;
      const moved = (1 - between.length) * border;
      // What is found without is masked already.
      const next = known[firstOver(known, start + moved, (one) => one.end)];
      if (next !== undefined && next.start < end + moved + 1) continue;
      const last = firstOver(borders, end - 1, (one) => one);
      for (let text = border; text <= last; text++) across.add(text);
    }
  }
  return across;
}

/** Spans by start, those that touch or overlap as one. */
function apart(spans: readonly { readonly start: number; readonly end: number }[]): readonly Stretch[] {
  const all: Stretch[] = [];
  for (const { start, end } of spans) {
    const last = all.at(-1);
    if (last !== undefined && start <= last.end) last.end = Math.max(last.end, end);
    else all.push({ start, end });
  }
  return all;
}
interface Stretch {
  readonly start: number;
  end: number;
}

/** The index of the first of them that is over `limit`; their number where none is. They go up. */
function firstOver<T>(all: readonly T[], limit: number, of: (one: T) => number): number {
  let [low, high] = [0, all.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (of(all[middle]!) > limit) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Text by detectors, also behind `\u0040`. */
export function maskLooseText(text: Uint8Array, { detect, key }: JsonMaskerOptions): Uint8Array {
  if (detect.length === 0 || text.length === 0) return text;
  const options = key === undefined ? {} : { key };
  const shown = maskDetectedCell(text, detect, options) ?? REDACTED;
  const plain = Buffer.from(text.buffer, text.byteOffset, text.byteLength).toString('utf8');
  if (!plain.includes('\\u')) return shown;
  const unescaped = Buffer.from(
    plain.replaceAll(/\\u([0-9a-fA-F]{4})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
  );
  // What is hidden by escapes is hidden as a whole.
  const seen = maskDetectedCell(unescaped, detect, options);
  return seen === unescaped || shown !== text ? shown : REDACTED;
}
