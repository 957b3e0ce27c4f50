/**
 * JSON Web Tokens in compact form (RFC 7519): three base64url parts, of which the first two start as JSON objects do
 * (`eyJ`). An encrypted token (RFC 7516, five parts) is found by its header. Refuses to decode or verify them.
 */
import { DOT, isToken } from '../bytes.ts';
import type { Scan } from '../span.ts';

// 'eyJ' is base64 of '{"' and the start of the next character.
const isObjectStart = (text: Uint8Array, at: number): boolean =>
  text[at] === 101 && text[at + 1] === 121 && text[at + 2] === 74;

export const scanJwts: Scan = (text, hit, seams) => {
  let at = 0;
  while (at < text.length) {
    if (!isToken(text[at])) {
      at++;
      continue;
    }
    let start = at;
    while (isToken(text[at])) {
      // Behind a seam another word may begin.
      if (seams !== undefined && seams[at] === 1 && !isObjectStart(text, start)) start = at;
      at++;
    }
    if (at - start < 10 || text[at] !== DOT || !isObjectStart(text, start)) continue;
    let end = at;
    let parts = 1;
    while (parts < 5 && text[end] === DOT && (isToken(text[end + 1]) || parts >= 2)) {
      end++;
      while (isToken(text[end])) end++;
      parts++;
    }
    if (parts < 3) continue;
    hit(start, end);
    at = end;
  }
};
