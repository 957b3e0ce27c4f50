/**
 * International phone numbers (ITU-T E.164): `+`, 8 to 15 digits, with spaces, dashes, dots, slashes or brackets between.
 * Refuses national forms: without a country they cannot be told from any other number.
 */
import { isDigit, isWord, PLUS } from '../bytes.ts';
import type { Scan } from '../span.ts';

// space ( ) - . /
const isSeparator = (byte: number | undefined): boolean =>
  byte === 32 || byte === 40 || byte === 41 || byte === 45 || byte === 46 || byte === 47;

/** The end of the longest row of digit groups from `start` with 8 to 15 digits, or -1: more numbers may stand behind it. */
function phoneEnd(text: Uint8Array, start: number): number {
  let best = -1;
  let count = 0;
  for (let at = start; ; ) {
    while (isDigit(text[at]) && count <= 15) {
      count++;
      at++;
    }
    if (count > 15) return best;
    if (count >= 8 && !isWord(text[at])) best = at;
    let gap = 0;
    while (gap < 2 && isSeparator(text[at + gap])) gap++;
    if (gap === 0 || !isDigit(text[at + gap])) return best;
    at += gap;
  }
}

export const scanPhones: Scan = (text, hit) => {
  for (let at = text.indexOf(PLUS); at >= 0; at = text.indexOf(PLUS, at + 1)) {
    const first = text[at + 1];
    if (isWord(text[at - 1]) || !isDigit(first) || first === 48) continue;
    const end = phoneEnd(text, at + 1);
    if (end < 0) continue;
    hit(at, end);
    at = end - 1;
  }
};
