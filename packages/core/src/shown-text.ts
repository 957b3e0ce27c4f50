/**
 * Texts that people read later: in lists, on an approver's screen, in mails. What moves a cursor, breaks a line or turns text
 * round (Trojan Source, CVE-2021-42574) can make one thing look like another there. Refused where somebody of ours writes it,
 * taken out of what a provider says of a person. Marks of direction and joiners that languages need stay (U+200C to U+200F).
 */
const UNFIT_LINE = /[\p{Cc}\p{Zl}\p{Zp}\u202A-\u202E\u2066-\u2069]/u;
const UNFIT_PROSE = /[^\P{Cc}\n\r\t]|[\u202A-\u202E\u2066-\u2069]/u;

export const UNFIT = 'control characters and those that turn text round are not taken';
/** One line. */
export const isLine = (text: string): boolean => !UNFIT_LINE.test(text);
/** Several lines. */
export const isProse = (text: string): boolean => !UNFIT_PROSE.test(text);
/** As somebody else wrote it, made fit for one line. @param max UTF-16 units */
export const asLine = (text: string, max: number): string =>
  text
    .replaceAll(/[\p{Cc}\p{Zl}\p{Zp}\u202A-\u202E\u2066-\u2069]+/gu, ' ')
    .trim()
    .slice(0, max)
    .toWellFormed();
