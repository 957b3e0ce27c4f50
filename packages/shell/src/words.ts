/**
 * Reads words: quoting, parameters, substitutions. POSIX.1-2024 2.2, 2.6; bash manual, "Quoting" and "Shell Expansions".
 * Refuses (Unreadable) whatever two shells could end at different places. One pass; nesting is bounded by LIMITS.shellNestingMax.
 * Longer than 200 lines: quoting and substitution call each other.
 */
import { LIMITS } from '@sallyport/core';
import { unescapeAnsi } from './ansi-quote.ts';
import { type ParameterPart, type Part, type Script, Unreadable, type Word } from './syntax.ts';

/** What ends a word outside of quotes. `\r`, `\v` and Unicode's blanks are ordinary characters to a shell. */
const META = new Set([' ', '\t', '\n', '|', '&', ';', '<', '>', '(', ')']);
const RETRIES_MAX = 8;
/** Nobody calculates more; each attempt to read arithmetic reads it once. */
const ARITHMETIC_CHARACTERS_MAX = 4_096;
const NAME = /[A-Za-z_][A-Za-z0-9_]*/y;
const OPERATOR = /:?[-=?+]|##?|%%?|\/\/?|\^\^?|,,?|@|:/y;
const STOPS_BARE = /[ \t\n|&;<>()\\'"`$]/g;
const STOPS_DOUBLE = /[\\"`$]/g;

/** Where a word inside `${…}` stands, which says what quotes mean there. */
type Inside = 'word' | 'double' | 'brace' | 'double_brace' | 'heredoc' | 'arithmetic' | 'subscript' | 'regex';

export abstract class WordReader {
  readonly text: string;
  /** Bash's own words and operators are read; else they are what a POSIX shell takes them for. */
  readonly bash: boolean;
  /** Something was met that the two read differently. */
  differs = false;
  protected at = 0;
  protected depth: number;
  /** Nobody's grammar but our limits ended it. */
  refused = false;
  private retries = 0;
  private pieces = 0;

  constructor(text: string, bash: boolean, depth: number) {
    this.text = text;
    this.bash = bash;
    this.depth = depth;
  }

  /** Commands up to the `)` that closes a substitution; the cursor is behind it then. */
  protected abstract substitution(): Script;
  /** The same for a text of its own, as between backquotes. */
  protected abstract nested(text: string): Script;

  protected fail(): never {
    throw new Unreadable();
  }

  /** What is open goes on to the end of the text. */
  protected failAtEnd(): never {
    this.at = this.text.length;
    this.fail();
  }

  /** Not even another reading of the same text may go on. */
  protected refuse(): never {
    this.refused = true;
    throw new Unreadable();
  }

  protected deeper<T>(work: () => T): T {
    if (++this.depth > LIMITS.shellNestingMax) this.refuse();
    const result = work();
    this.depth--;
    return result;
  }

  protected peek(ahead = 0): string {
    return this.text[this.at + ahead] ?? '';
  }

  protected startsWith(text: string): boolean {
    return this.text.startsWith(text, this.at);
  }

  protected match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text)?.[0];
    if (found !== undefined) this.at += found.length;
    return found;
  }

  /** Words and expansions of one text are counted. */
  private count(): void {
    if (++this.pieces > LIMITS.shellWordsMax) this.refuse();
  }

  /** Up to the next meta character; undefined where none starts here. */
  protected word(inside: Inside = 'word'): Word | undefined {
    this.count();
    const start = this.at;
    const parts: Part[] = [];
    this.parts(parts, inside, '');
    if (mayBrace(parts)) this.differs = true;
    return parts.length === 0 ? undefined : { parts, source: this.text.slice(start, this.at) };
  }

  /** @param end the character that ends it where `inside` has one; it is not consumed */
  private parts(out: Part[], inside: Inside, end: string): void {
    const doubled = inside === 'double' || inside === 'double_brace' || inside === 'heredoc' || inside === 'arithmetic';
    let parens = 0;
    const push = (text: string): void => {
      const last = out.at(-1);
      const kind = doubled ? 'quote' : 'bare';
      if (last?.kind === kind) out[out.length - 1] = { kind, text: last.text + text };
      else out.push({ kind, text });
    };
    const start = this.at;
    for (;;) {
      const char = this.peek();
      if (inside === 'arithmetic' && this.at - start > ARITHMETIC_CHARACTERS_MAX) this.refuse();
      if (char === '') {
        if (inside === 'word' || inside === 'heredoc' || inside === 'regex') return;
        this.fail();
      }
      if (char === end && parens === 0) return;
      if (inside === 'word' && META.has(char)) {
        if ((char === '<' || char === '>') && this.peek(1) === '(' && this.process(out)) continue;
        return;
      }
      if (inside === 'regex') {
        // bash manual, "[[…]]": parentheses of a regular expression may hold blanks and bars.
        if (char === '(') parens++;
        else if (char === ')' && --parens < 0) return;
        else if (parens === 0 && META.has(char) && char !== '|' && char !== '<' && char !== '>') return;
        else if (char === '\n') this.fail();
      }
      if (inside === 'arithmetic' || inside === 'subscript') {
        if (char === '(' || char === '[') parens++;
        else if (char === ')' || char === ']') parens--;
        if (parens < 0) this.fail();
      }
      switch (char) {
        case '\\':
          this.backslash(out, doubled ? inside : 'word', push);
          break;
        case "'":
          // Shells disagree on whether it quotes there, and so on where the arithmetic ends.
          if (inside === 'arithmetic') this.refuse();
          if (doubled) {
            push(char);
            this.at++;
          } else this.single(out);
          break;
        case '"':
          if (inside === 'heredoc') {
            push(char);
            this.at++;
          } else this.double(out);
          break;
        case '`':
          this.backquote(out, doubled);
          break;
        case '$':
          this.dollar(out, doubled, push);
          break;
        default: {
          const stops = doubled ? STOPS_DOUBLE : STOPS_BARE;
          stops.lastIndex = this.at + 1;
          // Brackets are counted above, one at a time.
          let to =
            inside === 'word' || inside === 'heredoc'
              ? (stops.exec(this.text)?.index ?? this.text.length)
              : this.at + 1;
          if (inside === 'double') {
            to = stops.exec(this.text)?.index ?? this.text.length;
          }
          push(this.text.slice(this.at, to));
          this.at = to;
        }
      }
    }
  }

  private backslash(out: Part[], inside: Inside, push: (text: string) => void): void {
    const next = this.peek(1);
    if (next === '') {
      // A lone backslash at the end: shells differ in whether it stays.
      this.failAtEnd();
    }
    this.at += 2;
    if (next === '\n') return;
    if (inside === 'word') {
      out.push({ kind: 'quote', text: next });
      return;
    }
    const special = next === '$' || next === '`' || next === '\\';
    const quote = next === '"' && inside !== 'heredoc';
    if (special || quote || (inside === 'double_brace' && next === '}')) out.push({ kind: 'quote', text: next });
    else push(`\\${next}`);
  }

  protected single(out: Part[]): void {
    const end = this.text.indexOf("'", this.at + 1);
    if (end < 0) this.failAtEnd();
    out.push({ kind: 'quote', text: this.text.slice(this.at + 1, end) });
    this.at = end + 1;
  }

  protected double(out: Part[]): void {
    this.at++;
    out.push({ kind: 'quote', text: '' });
    this.deeper(() => this.parts(out, 'double', '"'));
    this.at++;
  }

  /** A here-document's body with its expansions. */
  protected document(): Word {
    const parts: Part[] = [];
    this.parts(parts, 'heredoc', '');
    return { parts, source: '' };
  }

  private backquote(out: Part[], quoted: boolean): void {
    this.count();
    const start = this.at++;
    let inner = '';
    for (;;) {
      const char = this.peek();
      if (char === '') this.fail();
      this.at++;
      if (char === '`') break;
      const next = this.peek();
      if (char === '\\' && (next === '`' || next === '\\' || next === '$' || (quoted && next === '"'))) {
        inner += next;
        this.at++;
      } else inner += char;
    }
    const source = this.text.slice(start, this.at);
    out.push({ kind: 'command', body: this.deeper(() => this.nested(inner)), quoted, source });
  }

  private process(out: Part[]): boolean {
    if (!this.bash) return false;
    this.differs = true;
    const start = this.at;
    this.at += 2;
    const body = this.deeper(() => this.substitution());
    out.push({ kind: 'process', body, source: this.text.slice(start, this.at) });
    return true;
  }

  private dollar(out: Part[], quoted: boolean, push: (text: string) => void): void {
    this.count();
    const start = this.at;
    const next = this.peek(1);
    if (next === '\\' && this.peek(2) === '\n') this.fail();
    if (next === '(') {
      this.at += 2;
      if (this.peek() === '(') {
        const parts = this.arithmetic();
        if (parts !== undefined) {
          out.push({ kind: 'arithmetic', parts, quoted, source: this.text.slice(start, this.at) });
          return;
        }
      }
      const body = this.deeper(() => this.substitution());
      out.push({ kind: 'command', body, quoted, source: this.text.slice(start, this.at) });
      return;
    }
    if (next === '{') {
      out.push(this.deeper(() => this.braced(quoted)));
      return;
    }
    if (next === '[') {
      this.differs = true;
      if (this.bash) {
        this.at += 2;
        const parts: Part[] = [];
        this.deeper(() => this.parts(parts, 'arithmetic', ']'));
        this.at++;
        out.push({ kind: 'arithmetic', parts, quoted, source: this.text.slice(start, this.at) });
        return;
      }
    }
    if (!quoted && (next === "'" || next === '"')) {
      this.differs = true;
      if (this.bash) {
        this.at++;
        if (next === "'") this.ansi(out);
        else this.double(out);
        return;
      }
    }
    this.at++;
    const name = this.match(NAME) ?? (/[0-9@*#?$!-]/.test(next) ? next : undefined);
    if (name === undefined) {
      push('$');
      return;
    }
    if (name === next) this.at = start + 2;
    out.push(plainParameter(name, quoted, this.text.slice(start, this.at)));
  }

  private ansi(out: Part[]): void {
    let end = this.at + 1;
    while (end < this.text.length && this.text[end] !== "'") end += this.text[end] === '\\' ? 2 : 1;
    if (end >= this.text.length) this.failAtEnd();
    const inner = this.text.slice(this.at + 1, end);
    out.push({ kind: 'quote', text: unescapeAnsi(inner) ?? this.fail() });
    this.at = end + 1;
  }

  /** Behind `$(` or at `((`'s second `(`; undefined where it is a subshell after all, and nothing is consumed then. */
  protected arithmetic(): readonly Part[] | undefined {
    const start = this.at;
    const depth = this.depth;
    const { differs } = this;
    try {
      this.at++;
      const parts: Part[] = [];
      this.deeper(() => this.parts(parts, 'arithmetic', ')'));
      if (this.peek(1) === ')') {
        this.at += 2;
        return parts;
      }
    } catch (error) {
      if (!(error instanceof Unreadable) || this.refused) throw error;
    }
    // Each retry reads the rest once more.
    if (++this.retries > RETRIES_MAX) this.refuse();
    this.at = start;
    this.depth = depth;
    this.differs = differs;
    return undefined;
  }

  private braced(quoted: boolean): Part {
    const start = this.at;
    this.at += 2;
    const first = this.peek();
    if (first === ' ' || first === '\t' || first === '\n' || first === '|') {
      // `${ command; }` of ksh and bash 5.3.
      return this.fail();
    }
    let length = false;
    let indirect = false;
    if (first === '#' && !/[}:=?+%/-]/.test(this.peek(1))) {
      length = true;
      this.at++;
    } else if (first === '!' && !/[}:=?+%/#-]/.test(this.peek(1))) {
      indirect = true;
      this.at++;
    }
    const name = this.match(NAME) ?? this.match(/[0-9]+|[@*#?$!-]/y) ?? this.fail();
    let index: Word | undefined;
    if (this.peek() === '[') {
      this.at++;
      this.differs = true;
      index = this.enclosed('subscript', ']');
      this.at++;
    }
    let operator = '';
    let operand: Word | undefined;
    if (this.peek() !== '}') {
      if (length) this.fail();
      operator = this.match(OPERATOR) ?? (indirect && this.peek() === '*' ? '*' : this.fail());
      if (operator === '*') this.at++;
      const posix = /^:?[-=?+]$|^[#%]/.test(operator);
      if (!posix) this.differs = true;
      const patterned = !/^:?[-=?+]$/.test(operator);
      operand = this.enclosed(quoted && !patterned ? 'double_brace' : 'brace', '}');
      // Where quotes stand inside both kinds of quotes, shells disagree on where the pattern ends.
      if (quoted && patterned && /['"]/.test(operand.source) && !posix) this.fail();
    }
    this.at++;
    return {
      kind: 'parameter',
      name,
      operator,
      operand,
      length,
      indirect,
      index,
      quoted,
      source: this.text.slice(start, this.at),
    };
  }

  private enclosed(inside: Inside, end: string): Word {
    const start = this.at;
    const parts: Part[] = [];
    this.parts(parts, inside, end);
    return { parts, source: this.text.slice(start, this.at) };
  }

  protected subscript(): Word {
    return this.deeper(() => this.enclosed('subscript', ']'));
  }
}

/** Bash may make several words of it. */
function mayBrace(parts: readonly Part[]): boolean {
  let open = false;
  for (const part of parts) {
    if (part.kind !== 'bare') continue;
    open ||= part.text.includes('{');
    if (open && (part.text.includes(',') || part.text.includes('..'))) return true;
  }
  return false;
}

function plainParameter(name: string, quoted: boolean, source: string): ParameterPart {
  return {
    kind: 'parameter',
    name,
    operator: '',
    operand: undefined,
    length: false,
    indirect: false,
    index: undefined,
    quoted,
    source,
  };
}
