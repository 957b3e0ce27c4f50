/**
 * E-mail addresses as they stand in data: a run of local characters, `@`, a domain with a dot and a top-level label of
 * two letters or more. Refuses quoted local parts, address literals and dotless domains (RFC 5321 allows them).
 * Bytes of non-ASCII characters count as letters (RFC 6531).
 */
import { AT, DASH, DOT, isDomain, isLetter, isLocal } from '../bytes.ts';
import type { Scan } from '../span.ts';

export const scanEmails: Scan = (text, hit) => {
  for (let at = text.indexOf(AT); at >= 0; at = text.indexOf(AT, at + 1)) {
    let start = at;
    while (start > 0 && isLocal(text[start - 1])) start--;
    let end = at + 1;
    while (isDomain(text[end])) end++;
    while (end > at + 1 && (text[end - 1] === DOT || text[end - 1] === DASH)) end--;
    if (start === at) continue;
    let dot = end - 1;
    while (dot > at && text[dot] !== DOT) dot--;
    const top = text[dot + 1];
    if (dot > at + 1 && end - dot > 2 && (isLetter(top) || (top !== undefined && top >= 0x80))) hit(start, end);
  }
};
