/**
 * Text from elsewhere made fit for a terminal. A held statement is written by the one who wants it approved: escape
 * sequences and text that runs backwards could show the approver something else than what will run.
 * Refuses to drop anything: what is not printable is shown as an escape.
 */

// C0 but tab and newline, DEL, C1, bidirectional and invisible formatting, line and paragraph separators.
const UNFIT =
  /[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]/gu;

/** Keeps newlines and tabs. */
export const safeText = (text: string): string => text.replaceAll(UNFIT, escape);

/** For one line of a list: newlines and tabs become spaces. */
export const safeLine = (text: string): string => safeText(text.replaceAll(/\s*[\r\n]\s*/g, ' ').replaceAll('\t', ' '));

function escape(character: string): string {
  const code = character.codePointAt(0)!;
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`;
}

/** Columns a text takes on a terminal: wide for CJK and emoji, none for combining marks. Near enough for tables. */
export function textWidth(text: string): number {
  let width = 0;
  for (const character of text) {
    const code = character.codePointAt(0)!;
    if (code < 0x300) width++;
    else if (/\p{Mn}|\p{Me}/u.test(character) || (code >= 0xfe00 && code <= 0xfe0f)) width += 0;
    else width += isWide(code) ? 2 : 1;
  }
  return width;
}

const isWide = (code: number): boolean =>
  (code >= 0x1100 && code <= 0x115f) ||
  (code >= 0x2e80 && code <= 0xa4cf) ||
  (code >= 0xac00 && code <= 0xd7a3) ||
  (code >= 0xf900 && code <= 0xfaff) ||
  (code >= 0xfe30 && code <= 0xfe6f) ||
  (code >= 0xff00 && code <= 0xff60) ||
  (code >= 0x1f300 && code <= 0x1faff) ||
  (code >= 0x20000 && code <= 0x3fffd);

/** Cuts to `columns`, the last of them an ellipsis. */
export function clip(text: string, columns: number): string {
  if (textWidth(text) <= columns) return text;
  let out = '';
  for (const character of text) {
    if (textWidth(out + character) > columns - 1) break;
    out += character;
  }
  return `${out}…`;
}
