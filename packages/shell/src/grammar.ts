/**
 * Reads commands: lists, pipelines, compound commands. POSIX.1-2024 2.3, 2.9, 2.10; bash manual,
 * "Shell Commands". Refuses (Unreadable) what neither grammar has. Recursive descent, one pass.
 * Longer than 200 lines: commands stand inside commands.
 */

import { BLANK, SimpleReader } from './simple-commands.ts';
import { type AndOr, BashOnly, type Command, type Pipeline, type Script, Unreadable, type Word } from './syntax.ts';

export interface ParsedText {
  readonly script: Script;
  /** False: only what stands before the error, on lines of its own, is in `script`. A shell runs that much, too. */
  readonly complete: boolean;
  /** Not complete by our limits: nothing is known of it. */
  readonly beyond: boolean;
  /** Not complete, and a POSIX shell would refuse it there, too: it has a construct of bash in it. */
  readonly refused: boolean;
  /** Bash and a POSIX shell read it differently. */
  readonly differs: boolean;
}

/** @param depth of texts this one stands in, counted with its own nesting */
export function parseShell(text: string, bash: boolean, depth = 0): ParsedText {
  const grammar = new Grammar(text, bash, depth);
  const done: AndOr[] = [];
  try {
    grammar.program(done);
    return { script: done, complete: true, beyond: false, refused: false, differs: grammar.differs };
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error;
    const refused = error instanceof BashOnly;
    return { script: done, complete: false, beyond: grammar.refused, refused, differs: grammar.differs };
  }
}

/** More lines may make it a text that is read: a quote, a substitution, a compound command or a here-document is open. */
export function isUnfinished(text: string): boolean {
  const grammar = new Grammar(text, true, 0);
  try {
    grammar.program([]);
    return false;
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error;
    return !grammar.refused && grammar.isAtEnd;
  }
}

const CLOSERS = new Set(['then', 'elif', 'else', 'fi', 'do', 'done', 'esac', '}']);
const OPENERS = new Set(['{', '!', 'if', 'while', 'until', 'for', 'case', 'in']);
const BASH_WORDS = new Set(['[[', 'function', 'select', 'coproc', 'time']);
const KEYWORD = /[^ \t\n|&;<>()\\'"`$]+/y;

class Grammar extends SimpleReader {
  get isAtEnd(): boolean {
    return this.at >= this.text.length;
  }

  program(out: AndOr[]): void {
    this.skipLines();
    while (this.peek() !== '') {
      out.push(...this.line());
      this.skipLines();
    }
    if (this.pending.length > 0) this.fail();
  }

  /** Complete commands up to the end of a line. */
  private line(): AndOr[] {
    const list: AndOr[] = [];
    do list.push(this.andOr());
    while (this.separator() && !this.atLineEnd());
    if (this.peek() !== '' && this.peek() !== '\n') this.fail();
    return list;
  }

  private atLineEnd(): boolean {
    this.blanks();
    return this.peek() === '' || this.peek() === '\n';
  }

  /** A list up to a closing word or `)`. At least one command, as every grammar demands. */
  private list(end: string): Script {
    const list: AndOr[] = [];
    this.skipLines();
    for (;;) {
      const char = this.peek();
      if (char === '' || (char === ')' && end !== ')')) this.fail();
      if (char === ')' || this.closes() || this.startsWith(';;') || this.startsWith(';&')) break;
      list.push(this.andOr());
      const more = this.separator();
      const line = this.peek() === '\n';
      this.skipLines();
      if (!more && !line) break;
    }
    return list;
  }

  private closes(): boolean {
    const word = this.keyword();
    return word !== undefined && CLOSERS.has(word);
  }

  /** Behind `;` or `&` (which `andOr` has taken) or at neither. */
  private separator(): boolean {
    this.blanks();
    if (this.taken) {
      this.taken = false;
      return true;
    }
    if (this.peek() === ';' && this.peek(1) !== ';' && !(this.bash && this.peek(1) === '&')) {
      this.at++;
      this.blanks();
      return true;
    }
    return false;
  }
  private taken = false;

  private andOr(): AndOr {
    const first = this.pipeline();
    const rest: { operator: '&&' | '||'; pipeline: Pipeline }[] = [];
    for (;;) {
      this.blanks();
      const operator = this.startsWith('&&') ? '&&' : this.startsWith('||') ? '||' : undefined;
      if (operator === undefined) break;
      this.at += 2;
      this.skipLines();
      rest.push({ operator, pipeline: this.pipeline() });
    }
    const background = this.peek() === '&' && this.peek(1) !== '&';
    if (background) {
      this.at++;
      this.taken = true;
    }
    return { first, rest, background };
  }

  private pipeline(): Pipeline {
    for (;;) {
      this.blanks();
      const word = this.keyword();
      if (word === '!') this.at++;
      else if (word === 'time' && this.bash) {
        this.differs = true;
        this.at += 4;
        this.blanks();
        if (this.keyword() === '-p') this.at += 2;
        this.blanks();
        if (this.keyword() === '--') this.at += 2;
        this.blanks();
        // `time` alone is a command.
        if (this.ends()) return { commands: [] };
      } else break;
    }
    const commands = [this.command()];
    for (;;) {
      this.blanks();
      if (this.peek() !== '|' || this.peek(1) === '|') break;
      this.at++;
      if (this.peek() === '&') {
        this.differs = true;
        if (!this.bash) this.bashOnly();
        this.at++;
      }
      this.skipLines();
      commands.push(this.command());
    }
    return { commands };
  }

  private ends(): boolean {
    const char = this.peek();
    return char === '' || char === '\n' || char === ';' || char === ')' || char === '&' || char === '|';
  }

  private command(): Command {
    this.blanks();
    if (this.peek() === '(') return this.deeper(() => this.parenthesis());
    const word = this.keyword();
    if (word !== undefined) {
      const compound = this.deeper(() => this.compound(word));
      if (compound !== undefined) return compound;
    }
    return this.simple();
  }

  private parenthesis(): Command {
    this.at++;
    if (this.peek() === '(') {
      this.differs = true;
      const parts = this.bash ? this.arithmetic() : undefined;
      if (parts !== undefined) return { kind: 'calculate', parts, redirects: this.redirects() };
    }
    const body = this.list(')');
    if (body.length === 0) this.fail();
    this.expect(')');
    return { kind: 'subshell', body, redirects: this.redirects() };
  }

  /** The word at the cursor when nothing in it is quoted; it is not consumed. */
  private keyword(): string | undefined {
    KEYWORD.lastIndex = this.at;
    const found = KEYWORD.exec(this.text)?.[0];
    if (found === undefined) return undefined;
    const after = this.text[this.at + found.length] ?? '';
    if (after === '\\' && this.text[this.at + found.length + 1] === '\n') return this.continued(this.at);
    return after === '' || !'\\\'"`$'.includes(after) ? found : undefined;
  }

  /** A keyword broken by backslash-newline is a keyword all the same, and nobody writes that in earnest. */
  private continued(from: number): undefined {
    const joined = /^[^ \t\n|&;<>()'"`$\\]*(?:\\\n[^ \t\n|&;<>()'"`$\\]*)*/
      .exec(this.text.slice(from, from + 200))![0]
      .replaceAll('\\\n', '');
    if (CLOSERS.has(joined) || BASH_WORDS.has(joined) || OPENERS.has(joined)) this.fail();
    return undefined;
  }

  private take(word: string): void {
    this.skipLines();
    if (this.keyword() !== word) this.fail();
    this.at += word.length;
  }

  private expect(char: string): void {
    this.skipLines();
    if (this.peek() !== char) this.fail();
    this.at++;
  }

  private body(end: string): Script {
    const body = this.list(end);
    if (body.length === 0) this.fail();
    return body;
  }

  private compound(word: string): Command | undefined {
    if (BASH_WORDS.has(word)) {
      this.differs = true;
      if (!this.bash) return undefined;
    }
    switch (word) {
      case '{': {
        this.at++;
        const body = this.body('}');
        this.take('}');
        return { kind: 'group', body, redirects: this.redirects() };
      }
      case 'if':
        return this.conditional();
      case 'while':
      case 'until': {
        this.at += word.length;
        const test = this.body('do');
        return { kind: 'loop', test, body: this.loopBody(), redirects: this.redirects() };
      }
      case 'for':
      case 'select':
        return this.forLoop(word.length);
      case 'case':
        return this.choice();
      case '[[':
        return this.test();
      case 'function':
        return this.functionWord();
      case 'coproc':
        return this.coprocess();
      default:
        // A closing word where a command is expected.
        if (CLOSERS.has(word)) this.fail();
        return undefined;
    }
  }

  private conditional(): Command {
    const clauses: { test: Script; body: Script }[] = [];
    let otherwise: Script | undefined;
    this.at += 2;
    for (;;) {
      const test = this.body('then');
      this.take('then');
      clauses.push({ test, body: this.body('fi') });
      this.skipLines();
      const word = this.keyword();
      if (word === 'elif') {
        this.at += 4;
        continue;
      }
      if (word === 'else') {
        this.at += 4;
        otherwise = this.body('fi');
      }
      this.take('fi');
      return { kind: 'if', clauses, otherwise, redirects: this.redirects() };
    }
  }

  private loopBody(): Script {
    this.skipLines();
    if (this.bash && this.keyword() === '{') {
      this.differs = true;
      this.at++;
      const body = this.body('}');
      this.take('}');
      return body;
    }
    this.take('do');
    const body = this.body('done');
    this.take('done');
    return body;
  }

  private forLoop(length: number): Command {
    this.at += length;
    this.blanks();
    if (this.startsWith('((')) {
      this.differs = true;
      if (!this.bash) this.bashOnly();
      this.at++;
      const parts = this.arithmetic() ?? this.fail();
      this.separator();
      return { kind: 'count', parts, body: this.loopBody(), redirects: this.redirects() };
    }
    const name = this.match(KEYWORD) ?? this.fail();
    this.blanks();
    let words: Word[] | undefined;
    if (this.peek() === ';') this.at++;
    this.skipLines();
    if (this.keyword() === 'in') {
      this.at += 2;
      words = [];
      for (;;) {
        this.blanks();
        const word = this.word();
        if (word === undefined) break;
        words.push(word);
      }
      if (!this.separator() && this.peek() !== '\n') this.fail();
    }
    return { kind: 'for', name, words, body: this.loopBody(), redirects: this.redirects() };
  }

  private choice(): Command {
    this.at += 4;
    this.blanks();
    const word = this.word() ?? this.fail();
    this.take('in');
    const arms: { patterns: Word[]; body: Script }[] = [];
    for (;;) {
      this.skipLines();
      if (this.keyword() === 'esac') break;
      if (this.peek() === '(') this.at++;
      const patterns: Word[] = [];
      do {
        this.blanks();
        patterns.push(this.word() ?? this.fail());
        this.blanks();
      } while (this.peek() === '|' && ++this.at > 0);
      if (this.peek() !== ')') this.fail();
      this.at++;
      const body = this.list('esac');
      arms.push({ patterns, body });
      this.skipLines();
      if (this.keyword() === 'esac') break;
      if (this.startsWith(';;&')) this.at += this.bash ? 3 : this.bashOnly();
      else if (this.startsWith(';;')) this.at += 2;
      else if (this.startsWith(';&')) this.at += this.bash ? 2 : this.bashOnly();
      else this.fail();
    }
    this.at += 4;
    return { kind: 'case', word, arms, redirects: this.redirects() };
  }

  private test(): Command {
    this.at += 2;
    const words: Word[] = [];
    let regex = false;
    for (;;) {
      this.skipLines();
      if (this.keyword() === ']]') break;
      const operator = this.match(/&&|\|\||[()<>]/y);
      if (operator !== undefined) continue;
      const word: Word = this.word(regex ? 'regex' : 'word') ?? this.fail();
      regex = word.source === '=~';
      words.push(word);
    }
    this.at += 2;
    return { kind: 'test', words, redirects: this.redirects() };
  }

  private functionWord(): Command {
    this.at += 'function'.length;
    this.blanks();
    const name = this.match(KEYWORD) ?? this.fail();
    this.blanks();
    if (this.peek() === '(') {
      this.at++;
      this.blanks();
      if (this.peek() !== ')') this.fail();
      this.at++;
    }
    this.skipLines();
    return { kind: 'function', name, body: this.functionBody() };
  }

  protected functionBody(): Command {
    const body = this.command();
    if (body.kind === 'simple' && this.bash) this.fail();
    return body;
  }

  private coprocess(): Command {
    this.at += 'coproc'.length;
    this.blanks();
    const start = this.at;
    const name = this.match(KEYWORD);
    if (name !== undefined && this.match(BLANK) !== undefined) {
      const word = this.keyword();
      const compound =
        this.peek() === '(' || (word !== undefined && /^(?:\{|if|while|until|for|case|select|\[\[)$/.test(word));
      if (compound) return { kind: 'coprocess', body: this.command() };
    }
    this.at = start;
    return { kind: 'coprocess', body: this.command() };
  }

  protected substitution(): Script {
    const waiting = this.pending.splice(0);
    this.outer += waiting.length;
    const taken = this.taken;
    this.taken = false;
    const body = this.list(')');
    if (this.pending.length > 0) this.fail();
    if (this.peek() !== ')') this.fail();
    this.at++;
    this.taken = taken;
    this.outer -= waiting.length;
    this.pending.push(...waiting);
    return body;
  }

  protected nested(text: string): Script {
    const reader = new Grammar(text, this.bash, this.depth);
    const out: AndOr[] = [];
    try {
      reader.program(out);
    } finally {
      this.refused ||= reader.refused;
    }
    this.differs ||= reader.differs;
    return out;
  }

  protected expanded(body: string): Word {
    const reader = new Grammar(body, this.bash, this.depth + 1);
    try {
      return reader.document();
    } finally {
      this.refused ||= reader.refused;
      this.differs ||= reader.differs;
    }
  }
}
