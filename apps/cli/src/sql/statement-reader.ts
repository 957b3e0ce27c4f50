/**
 * Collects lines until a statement is whole: a semicolon outside of quotes, dollar quotes, comments and parentheses.
 * Refuses to understand SQL, and judges nothing: what is sent is judged by the agent, whatever this made of it.
 * PostgreSQL, "Lexical Structure".
 */

export interface StatementReader {
  /** Adds text; @returns the statements that are whole now, each with its semicolon. */
  push(text: string): readonly string[];
  /** What waits for its end, trimmed. */
  pending(): string;
  clear(): void;
}

export function statementReader(): StatementReader {
  let buffer = '';
  return {
    push: (text) => {
      buffer += text;
      const whole: string[] = [];
      for (let end = endOfStatement(buffer); end !== undefined; end = endOfStatement(buffer)) {
        const statement = buffer.slice(0, end).trim();
        if (statement !== ';') whole.push(statement);
        buffer = buffer.slice(end);
      }
      if (buffer.trim() === '') buffer = '';
      return whole;
    },
    pending: () => buffer.trim(),
    clear: () => {
      buffer = '';
    },
  };
}

/** Index after the first semicolon that ends a statement; undefined when there is none yet. */
export function endOfStatement(text: string): number | undefined {
  let depth = 0;
  for (let at = 0; at < text.length; ) {
    const character = text[at]!;
    if (character === ';' && depth === 0) return at + 1;
    if (character === '(') depth++;
    else if (character === ')') depth = Math.max(0, depth - 1);
    const next = skipToken(text, at);
    if (next === undefined) return undefined;
    at = next;
  }
  return undefined;
}

/** Past the token at `at`; undefined when its end is not in the text yet. */
function skipToken(text: string, at: number): number | undefined {
  const two = text.slice(at, at + 2);
  if (two === '--') return after(text, '\n', at + 2);
  if (two === '/*') return skipComment(text, at + 2);
  const character = text[at]!;
  if (character === "'") return skipQuoted(text, at + 1, "'", /[eE]$/.test(wordBefore(text, at)));
  if (character === '"') return skipQuoted(text, at + 1, '"', false);
  if (character === '$' && !/[\w$\u0080-\uffff]/.test(text[at - 1] ?? '')) {
    const tag = /^\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$/.exec(text.slice(at, at + 130))?.[0];
    if (tag !== undefined) return after(text, tag, at + tag.length);
  }
  return at + 1;
}

const after = (text: string, mark: string, from: number): number | undefined => {
  const found = text.indexOf(mark, from);
  return found < 0 ? undefined : found + mark.length;
};

/** The E of E'…', which stands alone before the quote. */
const wordBefore = (text: string, at: number): string =>
  /(?:^|[^\w$])([eE])$/.exec(text.slice(Math.max(0, at - 2), at))?.[1] ?? '';

function skipQuoted(text: string, from: number, quote: string, escapes: boolean): number | undefined {
  for (let at = from; at < text.length; at++) {
    if (escapes && text[at] === '\\') at++;
    else if (text[at] === quote) {
      if (text[at + 1] !== quote) return at + 1;
      at++;
    }
  }
  return undefined;
}

/** Comments nest in PostgreSQL. */
function skipComment(text: string, from: number): number | undefined {
  let depth = 1;
  for (let at = from; at < text.length; at++) {
    const two = text.slice(at, at + 2);
    if (two === '/*') depth++;
    else if (two === '*/') depth--;
    else continue;
    if (depth === 0) return at + 2;
    at++;
  }
  return undefined;
}
