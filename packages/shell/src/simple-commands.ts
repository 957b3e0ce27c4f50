/**
 * Reads simple commands: assignments, words, redirections, here-documents, and the name of a function. POSIX.1-2024 2.7, 2.9.1,
 * 2.10.2 rule 7; bash manual, "Redirections", "Arrays". Refuses (Unreadable) what shells would end at different places.
 * Longer than 200 lines: a here-document begins in a redirection and ends at a newline.
 */
import { type Assignment, BashOnly, type Command, type Redirect, Unreadable, type Word } from './syntax.ts';
import { WordReader } from './words.ts';

const REDIRECT = /[0-9]*(?:<<<|<<-|<<|<>|<&|<|>>|>\||>&|>)|&>>|&>/y;
const NAMED_DESCRIPTOR = /\{[A-Za-z_][A-Za-z0-9_]*\}(?=[<>])/y;
const ASSIGNED = /([A-Za-z_][A-Za-z0-9_]*)(\+?=|(?=\[))/y;
export const BLANK = /(?:[ \t]|\\\n)+/y;

export abstract class SimpleReader extends WordReader {
  protected readonly pending: {
    readonly redirect: Redirect;
    readonly end: string;
    readonly tabs: boolean;
    readonly quoted: boolean;
  }[] = [];
  /** Here-documents of the text around wait for a newline that stands in here: shells differ. */
  protected outer = 0;

  protected bashOnly(): never {
    throw new BashOnly();
  }

  protected simple(): Command {
    const assignments: Assignment[] = [];
    const words: Word[] = [];
    const redirects: Redirect[] = [];
    for (;;) {
      this.blanks();
      const redirect = this.redirect();
      if (redirect !== undefined) {
        redirects.push(redirect);
        continue;
      }
      const assignment = words.length === 0 ? this.assignment() : undefined;
      if (assignment !== undefined) {
        assignments.push(assignment);
        continue;
      }
      const start = this.at;
      const word = this.word();
      if (word === undefined) {
        if (this.peek() === '(' && words.length > 1 && !this.bash) this.bashOnly();
        if (this.peek() !== '(' || words.length !== 1 || assignments.length + redirects.length > 0) break;
        return this.definition(words[0]!);
      }
      words.push(word);
      // `declare a=(…)` and its like take an array where a word stands.
      if (this.peek() === '(' && words.length > 1 && /^[A-Za-z_][A-Za-z0-9_]*\+?=$/.test(word.source)) {
        words.pop();
        this.at = start;
        const declared = this.assignment() ?? this.fail();
        assignments.push(declared);
        words.push({ parts: [{ kind: 'bare', text: declared.name }], source: declared.name });
      }
    }
    if (assignments.length + words.length + redirects.length === 0) this.fail();
    return { kind: 'simple', assignments, words, redirects };
  }

  private definition(name: Word): Command {
    this.at++;
    this.blanks();
    if (this.peek() !== ')') this.fail();
    this.at++;
    this.skipLines();
    const text = name.parts.map((part) => (part.kind === 'bare' ? part.text : this.fail())).join('');
    return { kind: 'function', name: text, body: this.deeper(() => this.functionBody()) };
  }

  private assignment(): Assignment | undefined {
    ASSIGNED.lastIndex = this.at;
    const found = ASSIGNED.exec(this.text);
    if (found === null) return undefined;
    const [all, name, sign] = found as unknown as [string, string, string];
    const start = this.at;
    this.at += all.length;
    let index: Word | undefined;
    let append = sign === '+=';
    if (append || sign === '') this.differs = true;
    if (append && !this.bash) {
      this.at = start;
      return undefined;
    }
    if (sign === '') {
      const close = this.bash ? this.indexed() : undefined;
      if (close === undefined) {
        this.at = start;
        return undefined;
      }
      index = close.index;
      append = close.append;
    }
    if (this.peek() === '(' && index === undefined) {
      this.differs = true;
      if (!this.bash) this.bashOnly();
      return { name, append, index, value: { elements: this.deeper(() => this.elements()) } };
    }
    return { name, append, index, value: this.word() ?? { parts: [], source: '' } };
  }

  /** `[…]=` behind a name; undefined where it is no assignment but a pattern. */
  private indexed(): { readonly index: Word; readonly append: boolean } | undefined {
    const start = this.at;
    this.at++;
    try {
      const index = this.subscript();
      this.at++;
      const sign = this.match(/\+?=/y);
      if (sign !== undefined) return { index, append: sign === '+=' };
    } catch (error) {
      if (!(error instanceof Unreadable)) throw error;
      // A subscript that does not end, as in `a[ x`: shells read on, so this one does not.
      this.fail();
    }
    this.at = start;
    return undefined;
  }

  private elements(): readonly Word[] {
    this.at++;
    const words: Word[] = [];
    for (;;) {
      this.skipLines();
      if (this.peek() === ')') break;
      words.push(this.word() ?? this.fail());
    }
    this.at++;
    return words;
  }

  protected redirects(): readonly Redirect[] {
    const found: Redirect[] = [];
    for (;;) {
      this.blanks();
      const redirect = this.redirect();
      if (redirect === undefined) return found;
      found.push(redirect);
    }
  }

  private redirect(): Redirect | undefined {
    let descriptor = '';
    const start = this.at;
    if (this.peek() === '{') {
      const named = this.match(NAMED_DESCRIPTOR);
      if (named !== undefined) {
        this.differs = true;
        if (this.bash) descriptor = named;
        else this.at = start;
      }
    }
    const process = (this.peek() === '<' || this.peek() === '>') && this.peek(1) === '(';
    if (process && !this.bash) this.bashOnly();
    const found = process ? undefined : this.match(REDIRECT);
    if (found === undefined) {
      this.at = start;
      return undefined;
    }
    const digits = /^[0-9]*/.exec(found)![0];
    const operator = found.slice(digits.length);
    if (descriptor === '') descriptor = digits;
    if (operator === '<<<' || operator.startsWith('&>')) {
      this.differs = true;
      if (!this.bash) {
        if (operator === '<<<') this.bashOnly();
        this.at = start;
        return undefined;
      }
    }
    if (operator === '>&' || operator === '<&') {
      // `>&file` is bash's alone.
      this.differs ||= !/[0-9-]/.test(this.peek());
    }
    this.blanks();
    const target = this.word() ?? this.fail();
    if (operator === '<<' || operator === '<<-') return this.here(descriptor, operator, target);
    return { operator, descriptor, target, body: undefined };
  }

  private here(descriptor: string, operator: string, target: Word): Redirect {
    const quoted = target.parts.some((part) => part.kind === 'quote');
    const end = target.parts
      .map((part) => (part.kind === 'bare' || part.kind === 'quote' ? part.text : this.fail()))
      .join('');
    const redirect: Redirect = { operator: '<<', descriptor, target, body: undefined };
    this.pending.push({ redirect, end, tabs: operator === '<<-', quoted });
    return redirect;
  }

  /** Blanks, and comments where they may begin. */
  protected blanks(): void {
    this.match(BLANK);
    if (this.peek() === '#') {
      const end = this.text.indexOf('\n', this.at);
      this.at = end < 0 ? this.text.length : end;
    }
  }

  /** Blanks, comments and newlines; here-documents begin at the first newline. */
  protected skipLines(): void {
    for (;;) {
      this.blanks();
      if (this.peek() !== '\n') return;
      if (this.outer > 0) this.fail();
      this.at++;
      if (this.pending.length > 0) this.documents();
    }
  }

  private documents(): void {
    for (const { redirect, end, tabs, quoted } of this.pending.splice(0)) {
      let body = '';
      let joins = false;
      for (;;) {
        if (this.at >= this.text.length) this.fail();
        const newline = this.text.indexOf('\n', this.at);
        let line = this.text.slice(this.at, newline < 0 ? this.text.length : newline);
        this.at = newline < 0 ? this.text.length : newline + 1;
        if (tabs) line = line.replace(/^\t+/, '');
        if (line === end) {
          // Joined to the line before by its backslash, it does not end the document in every shell.
          if (joins) this.fail();
          break;
        }
        joins = !quoted && /(?:^|[^\\])(?:\\\\)*\\$/.test(line);
        body += `${line}\n`;
      }
      redirect.body = quoted ? { parts: [{ kind: 'quote', text: body }], source: '' } : this.expanded(body);
    }
  }

  /** The compound command behind `name()`. */
  protected abstract functionBody(): Command;
  /** A here-document's body with the expansions in it. */
  protected abstract expanded(body: string): Word;
}
