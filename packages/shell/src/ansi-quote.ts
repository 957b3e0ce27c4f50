/** The escapes of `$'…'`: bash manual, "ANSI-C Quoting". A NUL ends the string there, as it does in bash. */

const SIMPLE: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  e: '\x1b',
  E: '\x1b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '\\': '\\',
  "'": "'",
  '"': '"',
  '?': '?',
};
const NUMBERS = /^(?:([0-7]{1,3})|x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{1,4})|U([0-9a-fA-F]{1,8}))/;

/**
 * @param text between the quotes, escapes as written
 * @returns undefined where versions of bash differ (`\x{`, `\c`), and for single bytes of characters
 */
export function unescapeAnsi(text: string): string | undefined {
  if (!text.includes('\\')) return text;
  if (text.includes('\\x{')) return undefined;
  let out = '';
  for (let at = 0; at < text.length; at++) {
    const char = text[at]!;
    if (char !== '\\' || at + 1 >= text.length) {
      out += char;
      continue;
    }
    const next = text[at + 1]!;
    const simple = SIMPLE[next];
    if (simple !== undefined) {
      out += simple;
      at++;
      continue;
    }
    if (next === 'c') return undefined;
    const match = NUMBERS.exec(text.slice(at + 1, at + 12));
    if (match === null) {
      out += char;
      continue;
    }
    const [all, octal, hex, short, long] = match;
    const code = octal === undefined ? Number.parseInt((hex ?? short ?? long)!, 16) : Number.parseInt(octal, 8) & 0xff;
    if (code === 0) return out;
    // A byte, of which several make a character.
    if (code > 0x7f && short === undefined && long === undefined) return undefined;
    out += code > 0x10ffff ? '\ufffd' : String.fromCodePoint(code);
    at += all.length;
  }
  return out;
}
