/**
 * SCIM filters and paths (RFC 7644 §3.4.2.2, figure 1; §3.5.2): text → a typed tree, or a refusal that names the place.
 * Refuses to know tables: filter-where.ts turns a tree into conditions with parameters. Linear, with limits on size and depth.
 */
import { LIMITS } from '@sallyport/core';
import { ScimError, type ScimType } from './scim-error.ts';

const OPERATORS = ['eq', 'ne', 'co', 'sw', 'ew', 'gt', 'ge', 'lt', 'le'] as const;
export type Operator = (typeof OPERATORS)[number];
export type Value = string | number | boolean | null;

export interface AttributePath {
  /** URN of the schema, lower case; undefined = the resource's own. */
  readonly schema?: string;
  /** Lower case, as is `sub`. */
  readonly attribute: string;
  readonly sub?: string;
}
export type Filter =
  | { readonly kind: 'compare'; readonly path: AttributePath; readonly operator: Operator; readonly value: Value }
  | { readonly kind: 'present'; readonly path: AttributePath }
  | { readonly kind: 'and' | 'or'; readonly terms: readonly Filter[] }
  | { readonly kind: 'not'; readonly term: Filter }
  /** Some value of a list fits the filter, whose paths are of the value. */
  | { readonly kind: 'some'; readonly path: AttributePath; readonly filter: Filter };

/** Where a PATCH operation acts. */
export interface PatchPath extends AttributePath {
  readonly filter?: Filter;
}

const WORD = /[A-Za-z$][A-Za-z0-9$_:.-]*/y;
const SPACE = /[ \t]+/y;
const STRING = /"(?:[^"\\\u0000-\u001f]|\\["\\/bfnrt]|\\u[0-9A-Fa-f]{4})*"/y;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.])/y;
const NAME = /^[a-z$][a-z0-9$_-]*$/;

class Reader {
  #at = 0;
  #terms = 0;
  readonly #text: string;
  readonly #error: ScimType;
  constructor(text: string, error: ScimType) {
    if (text.length > LIMITS.scimFilterCharsMax)
      throw new ScimError(error, `It is longer than ${LIMITS.scimFilterCharsMax} characters.`);
    this.#text = text;
    this.#error = error;
  }

  fail(expected: string): never {
    throw new ScimError(this.#error, `At character ${this.#at + 1}: ${expected} is expected.`);
  }
  take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }
  space(): boolean {
    return this.take(SPACE) !== undefined;
  }
  sign(sign: string): boolean {
    if (this.#text[this.#at] !== sign) return false;
    this.#at++;
    return true;
  }
  /** A word, only if it is this one; case does not matter. */
  keyword(word: string): boolean {
    const before = this.#at;
    if (this.take(WORD)?.toLowerCase() === word) return true;
    this.#at = before;
    return false;
  }
  end(): void {
    this.space();
    if (this.#at !== this.#text.length) this.fail('the end');
  }

  path(): AttributePath {
    const word = this.take(WORD)?.toLowerCase() ?? this.fail('an attribute');
    const colon = word.lastIndexOf(':');
    const [attribute = '', sub, ...more] = word.slice(colon + 1).split('.');
    const isName = (name: string | undefined) => name === undefined || NAME.test(name);
    if (!NAME.test(attribute) || !isName(sub) || more.length > 0) this.fail('an attribute');
    if (colon >= 0 && !word.startsWith('urn:')) this.fail('a schema that begins with urn:');
    return {
      ...(colon < 0 ? {} : { schema: word.slice(0, colon) }),
      attribute,
      ...(sub === undefined ? {} : { sub }),
    };
  }

  /** `or` binds least, then `and`, then `not` and parentheses. */
  either(depth: number): Filter {
    return this.#joined('or', () => this.#joined('and', () => this.#term(depth)));
  }

  #joined(kind: 'and' | 'or', next: () => Filter): Filter {
    const terms = [next()];
    for (;;) {
      const before = this.#at;
      if (!this.space() || !this.keyword(kind)) {
        this.#at = before;
        break;
      }
      if (!this.space() && this.#text[this.#at] !== '(') this.fail('a space');
      terms.push(next());
    }
    return terms.length === 1 ? terms[0]! : { kind, terms };
  }

  #term(depth: number): Filter {
    if (depth > LIMITS.scimFilterDepthMax) throw new ScimError(this.#error, 'It nests too deep.');
    if (++this.#terms > LIMITS.scimFilterTermsMax) throw new ScimError(this.#error, 'It has too many terms.');
    this.space();
    if (this.sign('(')) return this.#closed(')', depth);
    const before = this.#at;
    if (this.keyword('not')) {
      this.space();
      if (this.sign('(')) return { kind: 'not', term: this.#closed(')', depth) };
      this.#at = before;
    }
    const path = this.path();
    if (this.sign('[')) return this.#some(path, depth);
    if (!this.space()) this.fail('an operator');
    return this.#comparison(path);
  }

  /** `emails[type eq "work"]`, and Entra ID's `emails[type eq "work"].value eq "x"`. */
  #some(path: AttributePath, depth: number): Filter {
    const filter = this.#closed(']', depth);
    if (!this.sign('.')) return { kind: 'some', path, filter };
    const sub = this.path();
    if (!this.space()) this.fail('an operator');
    return { kind: 'some', path, filter: { kind: 'and', terms: [filter, this.#comparison(sub)] } };
  }

  #comparison(path: AttributePath): Filter {
    const word = this.take(WORD)?.toLowerCase();
    if (word === 'pr') return { kind: 'present', path };
    const operator = OPERATORS.find((one) => one === word) ?? this.fail('an operator (eq, ne, co, sw, ew, pr, gt, …)');
    if (!this.space()) this.fail('a space');
    return { kind: 'compare', path, operator, value: this.#value() };
  }

  #value(): Value {
    const string = this.take(STRING);
    if (string !== undefined) {
      const value = JSON.parse(string) as string;
      // U+0000 is in no text of PostgreSQL.
      return value.includes('\0') ? this.fail('a text without NUL') : value;
    }
    const number = this.take(NUMBER);
    if (number !== undefined) return Number(number);
    const word = this.take(WORD)?.toLowerCase();
    if (word === 'true' || word === 'false') return word === 'true';
    return word === 'null' ? null : this.fail('a value: "text", a number, true, false or null');
  }

  #closed(sign: ')' | ']', depth: number): Filter {
    this.space();
    const inner = this.either(depth + 1);
    this.space();
    return this.sign(sign) ? inner : this.fail(sign);
  }

  patchPath(): PatchPath {
    const path = this.path();
    if (!this.sign('[')) return path;
    const filter = this.#closed(']', 0);
    if (path.sub !== undefined) this.fail('a filter behind an attribute that has values');
    if (!this.sign('.')) return { ...path, filter };
    const { attribute: sub, schema, sub: deeper } = this.path();
    return schema === undefined && deeper === undefined ? { ...path, filter, sub } : this.fail('one attribute');
  }
}

/** @throws ScimError `invalidFilter` */
export function parseFilter(text: string): Filter {
  const reader = new Reader(text, 'invalidFilter');
  const filter = reader.either(0);
  reader.end();
  return filter;
}

/** @throws ScimError `invalidPath` */
export function parsePath(text: string): PatchPath {
  const reader = new Reader(text, 'invalidPath');
  const path = reader.patchPath();
  reader.end();
  return path;
}

const folded = (value: unknown): unknown => (typeof value === 'string' ? value.toLowerCase() : value);
/** Entra ID writes booleans as text. */
const sameValue = (given: unknown, wanted: Value): boolean =>
  typeof given === 'boolean' && typeof wanted === 'string'
    ? String(given) === wanted.toLowerCase()
    : folded(given) === folded(wanted);

/** Whether one value of a list fits, case aside. @throws ScimError `invalidFilter` for an operator that lists do not need */
export function fits(filter: Filter, value: Readonly<Record<string, unknown>>): boolean {
  const at = ({ schema, attribute, sub }: AttributePath): unknown => {
    if (schema !== undefined || sub !== undefined) throw new ScimError('invalidFilter', 'It reaches too deep.');
    return Object.entries(value).find(([name]) => name.toLowerCase() === attribute)?.[1];
  };
  switch (filter.kind) {
    case 'and':
      return filter.terms.every((term) => fits(term, value));
    case 'or':
      return filter.terms.some((term) => fits(term, value));
    case 'not':
      return !fits(filter.term, value);
    case 'present':
      return at(filter.path) !== undefined && at(filter.path) !== '';
    case 'some':
      throw new ScimError('invalidFilter', 'It reaches too deep.');
    case 'compare': {
      if (filter.operator !== 'eq' && filter.operator !== 'ne')
        throw new ScimError('invalidFilter', 'Inside of [ ] only eq, ne and pr are known.');
      return sameValue(at(filter.path), filter.value) === (filter.operator === 'eq');
    }
    default:
      return filter satisfies never;
  }
}
