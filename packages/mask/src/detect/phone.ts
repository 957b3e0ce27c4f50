/**
 * International phone numbers (ITU-T E.164): `+`, 8 to 15 digits, with spaces, dashes, dots, slashes or brackets between.
 * Refuses national forms: without a country they cannot be told from any other number.
 */
import { isDigit, PLUS } from '../bytes.ts';
import { isGluedAfter, isGluedBefore, type Scan } from '../span.ts';

// space ( ) - . /
const isSeparator = (byte: number | undefined): boolean =>
  byte === 32 || byte === 40 || byte === 41 || byte === 45 || byte === 46 || byte === 47;

/** The end of the longest row of digit groups from `start` with 8 to 15 digits, or -1: more numbers may stand behind it. */
function phoneEnd(text: Uint8Array, start: number, seams: Uint8Array | undefined): number {
  let best = -1;
  let count = 0;
  for (let at = start; ; ) {
    while (isDigit(text[at]) && count <= 15) {
      count++;
      at++;
      if (count >= 8 && count <= 15 && !isGluedAfter(text, at, seams)) best = at;
    }
    if (count > 15) return best;
    let gap = 0;
    while (gap < 2 && isSeparator(text[at + gap])) gap++;
    if (gap === 0 || !isDigit(text[at + gap])) return best;
    at += gap;
  }
}

export const scanPhones: Scan = (text, hit, seams) => {
  for (let at = text.indexOf(PLUS); at >= 0; at = text.indexOf(PLUS, at + 1)) {
    const first = text[at + 1];
    if (isGluedBefore(text, at, seams) || !isDigit(first) || first === 48) continue;
    const end = phoneEnd(text, at + 1, seams);
    if (end < 0) continue;
    hit(at, end);
    at = end - 1;
  }
};
