/**
 * International phone numbers (ITU-T E.164): `+`, 8 to 15 digits, with spaces, dashes, dots, slashes or brackets between.
 * Refuses national forms: without a country they cannot be told from any other number.
 */
import { isDigit, isWord, PLUS } from '../bytes.ts';
import type { Scan } from '../span.ts';

// space ( ) - . /
const isSeparator = (byte: number | undefined): boolean =>
  byte === 32 || byte === 40 || byte === 41 || byte === 45 || byte === 46 || byte === 47;

export const scanPhones: Scan = (text, hit) => {
  for (let at = text.indexOf(PLUS); at >= 0; at = text.indexOf(PLUS, at + 1)) {
    const first = text[at + 1];
    if (isWord(text[at - 1]) || !isDigit(first) || first === 48) continue;
    let count = 0;
    let end = at + 1;
    for (let i = at + 1; ; ) {
      if (isDigit(text[i])) {
        count++;
        end = ++i;
        continue;
      }
      let gap = 0;
      while (gap < 2 && isSeparator(text[i + gap])) gap++;
      if (gap === 0 || !isDigit(text[i + gap]) || count >= 15) break;
      i += gap;
    }
    if (count < 8 || count > 15 || isWord(text[end])) continue;
    hit(at, end);
    at = end - 1;
  }
};
