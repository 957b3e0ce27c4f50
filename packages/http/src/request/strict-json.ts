/**
 * A JSON document as rules read it, in one reading that leaves no doubt: numbers as they are written, no key twice in one object
 * whatever its case, no text that is not UTF-8. Refuses the rest as unread, since whoever gets it next may read it otherwise.
 * RFC 8259; Limits: bodyDepthMax, bodyFieldsMax.
 */
import { LIMITS } from '@sallyport/core';
import { type BodyField, fieldNumber, pathKey } from '@sallyport/model';

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const SPACE = /[ \t\n\r]*/y;
const LITERALS = [
  ['true', 'bool'],
  ['false', 'bool'],
  ['null', 'null'],
] as const;

/** The text, or undefined for what is not UTF-8. */
export function utf8Text(bytes: Uint8Array): string | undefined {
  try {
    return UTF8.decode(bytes);
  } catch {
    return undefined;
  }
}

/** @returns every value with its path; undefined for what is no JSON, or ambiguous, or too deep, or too much */
export function strictJsonFields(bytes: Uint8Array): readonly BodyField[] | undefined {
  const text = utf8Text(bytes);
  return text === undefined ? undefined : new Reader(text).fields();
}

class Reader {
  readonly #text: string;
  #at = 0;
  readonly #fields: BodyField[] = [];

  constructor(text: string) {
    this.#text = text;
  }

  fields(): readonly BodyField[] | undefined {
    const isRead = this.#value('', 0);
    this.#space();
    return isRead && this.#at === this.#text.length ? this.#fields : undefined;
  }

  #value(path: string, depth: number): boolean {
    if (depth > LIMITS.bodyDepthMax || this.#fields.length >= LIMITS.bodyFieldsMax) return false;
    this.#space();
    switch (this.#text[this.#at]) {
      case '{':
        return this.#object(path, depth);
      case '[':
        return this.#array(path, depth);
      case '"': {
        const value = this.#string();
        if (value === undefined) return false;
        this.#fields.push({ path, value, number: fieldNumber(value), kind: 'string' });
        return true;
      }
      default:
        return this.#word(path);
    }
  }

  #object(path: string, depth: number): boolean {
    this.#at++;
    const keys = new Set<string>();
    if (this.#takes('}')) {
      this.#fields.push({ path, value: '', number: 0, kind: 'object' });
      return true;
    }
    for (;;) {
      this.#space();
      const key = this.#string();
      if (key === undefined) return false;
      // Some readers match names without regard to case, and take the last.
      const folded = key.toUpperCase().toLowerCase();
      if (keys.has(folded) || !this.#takes(':')) return false;
      keys.add(folded);
      const at = pathKey(key);
      if (!this.#value(path === '' ? at : `${path}.${at}`, depth + 1)) return false;
      if (this.#takes('}')) return true;
      if (!this.#takes(',')) return false;
    }
  }

  #array(path: string, depth: number): boolean {
    this.#at++;
    if (this.#takes(']')) {
      this.#fields.push({ path, value: '', number: 0, kind: 'array' });
      return true;
    }
    for (let i = 0; ; i++) {
      if (!this.#value(`${path}[${i}]`, depth + 1)) return false;
      if (this.#takes(']')) return true;
      if (!this.#takes(',')) return false;
    }
  }

  #word(path: string): boolean {
    for (const [word, kind] of LITERALS) {
      if (!this.#text.startsWith(word, this.#at)) continue;
      this.#at += word.length;
      this.#fields.push({ path, value: kind === 'null' ? '' : word, number: 0, kind });
      return true;
    }
    const value = this.#match(NUMBER);
    if (value === undefined) return false;
    this.#fields.push({ path, value, number: Number(value), kind: 'number' });
    return true;
  }

  #string(): string | undefined {
    const quoted = this.#match(STRING);
    if (quoted === undefined) return undefined;
    const text: unknown = JSON.parse(quoted);
    return typeof text === 'string' ? text : undefined;
  }

  #takes(character: string): boolean {
    this.#space();
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }
  #space(): void {
    this.#match(SPACE);
  }
  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text)?.[0];
    if (match !== undefined) this.#at += match.length;
    return match;
  }
}
