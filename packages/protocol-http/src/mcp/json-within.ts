/**
 * JSON inside of a text for people ("Here is the result: {…}"): where each object or array stands in it. A text in which a member
 * that a path may name stands outside of all of them (cut off, or no JSON after all) is not for anybody to read.
 * Refuses to know masks; mask.ts masks what is found. RFC 8259.
 */
import { parseJsonPath } from '@sallyport/model';

/** Brackets that close nothing are looked behind to the text's end: so many times its length is read, and no more. */
const READ_TIMES_MAX = 16;
const READ_CHARS_MIN = 1_000_000;

/** @returns the text with what `shown` makes of each document; undefined for a text that is nobody's to read */
export function withDocuments(
  text: string,
  paths: readonly { readonly path: string }[],
  shown: (document: string) => string,
): string | undefined {
  let left = Math.max(READ_CHARS_MIN, text.length * READ_TIMES_MAX);
  let made = '';
  let outside = '';
  let from = 0;
  let looked = 0;
  for (const { index } of text.matchAll(/[[{]/g)) {
    if (index < from) continue;
    const end = endOf(text, index, left);
    left -= (end ?? text.length) - index;
    if (left <= 0) return undefined;
    const document = text.slice(index, end);
    if (end === undefined || !isJson(document)) {
      // A path would lead into what stands deeper, and nobody knows from where.
      const until = end ?? text.length;
      const isNamed = (path: string): boolean =>
        mayNameIn(document, path, MEMBER) || mayNameIn(document, path, BARE_MEMBER);
      if (until > looked && paths.some(({ path }) => isNamed(path))) return undefined;
      looked = Math.max(looked, until);
      continue;
    }
    const before = text.slice(from, index);
    outside += `${before} `;
    made += before + shown(document);
    from = end;
  }
  outside += text.slice(from);
  return paths.some(({ path }) => mayNameIn(outside, path, MEMBER)) ? undefined : made + text.slice(from);
}

/** Behind the bracket that closes the one at `from`; undefined without one. */
function endOf(text: string, from: number, most: number): number | undefined {
  let depth = 0;
  let isString = false;
  for (let at = from; at < text.length && at - from <= most; at++) {
    const char = text[at];
    if (isString) {
      if (char === '\\') at++;
      else if (char === '"') isString = false;
    } else if (char === '"') isString = true;
    else if (char === '{' || char === '[') depth++;
    else if ((char === '}' || char === ']') && --depth === 0) return at + 1;
  }
  return undefined;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

const MEMBER = /["'](?<name>[^"'\n]*)["']\s*:/g;
/** Also without quotes, as programs write them. Each word is tried from its beginning alone: it may be a text's whole length. */
const BARE_MEMBER = /(?<![^\s"',:[\]{}])(?<name>[^\s"',:[\]{}]+)["']?\s*:/g;

/** A member by the name that a path ends with, or by any where it ends with none. */
function mayNameIn(text: string, path: string, members: RegExp): boolean {
  const last = parseJsonPath(path)?.findLast(({ kind }) => kind !== 'element');
  for (const { groups } of text.matchAll(members)) {
    const name = groups?.['name'] ?? '';
    if (last?.kind !== 'key' || last.name === name || name.includes('\\')) return true;
  }
  return false;
}
