/**
 * The tree of a shell text, as POSIX.1-2024 "Shell Command Language" and bash's manual read it.
 * Refuses to know what a program does. `source` is the text as written, for people: never parsed again.
 */

/** A piece of a word. `quoted` is inside double quotes: its value is neither split nor a pattern. */
export type Part =
  | { readonly kind: 'bare'; readonly text: string }
  | { readonly kind: 'quote'; readonly text: string }
  | ParameterPart
  | { readonly kind: 'command'; readonly body: Script; readonly quoted: boolean; readonly source: string }
  | {
      readonly kind: 'arithmetic';
      readonly parts: readonly Part[];
      readonly quoted: boolean;
      readonly source: string;
    }
  | { readonly kind: 'process'; readonly body: Script; readonly source: string };

export interface ParameterPart {
  readonly kind: 'parameter';
  readonly name: string;
  /** '' for a plain one; else `-`, `:-`, `=`, `:=`, `+`, `:+`, `?`, `:?`, `#`, `##`, `%`, `%%`, `/`, `^`, `,`, `@`, `:` and so on. */
  readonly operator: string;
  readonly operand: Word | undefined;
  /** `${#x}`. */
  readonly length: boolean;
  /** `${!x}`. */
  readonly indirect: boolean;
  /** What stands in `[…]`; undefined without. */
  readonly index: Word | undefined;
  readonly quoted: boolean;
  readonly source: string;
}

export interface Word {
  readonly parts: readonly Part[];
  readonly source: string;
}

export interface Assignment {
  readonly name: string;
  readonly append: boolean;
  readonly index: Word | undefined;
  readonly value: Word | { readonly elements: readonly Word[] };
}

export interface Redirect {
  /** `<`, `>`, `>>`, `>|`, `<>`, `<&`, `>&`, `&>`, `&>>`, `<<`, `<<<`. */
  readonly operator: string;
  /** '' = the operator's own; digits, or `{name}`. */
  readonly descriptor: string;
  readonly target: Word;
  /** Of a here-document. */
  body: Word | undefined;
}

export interface SimpleCommand {
  readonly kind: 'simple';
  readonly assignments: readonly Assignment[];
  readonly words: readonly Word[];
  readonly redirects: readonly Redirect[];
}
export type Command =
  | SimpleCommand
  | { readonly kind: 'group'; readonly body: Script; readonly redirects: readonly Redirect[] }
  | { readonly kind: 'subshell'; readonly body: Script; readonly redirects: readonly Redirect[] }
  | {
      readonly kind: 'if';
      readonly clauses: readonly { readonly test: Script; readonly body: Script }[];
      readonly otherwise: Script | undefined;
      readonly redirects: readonly Redirect[];
    }
  | { readonly kind: 'loop'; readonly test: Script; readonly body: Script; readonly redirects: readonly Redirect[] }
  | {
      readonly kind: 'for';
      readonly name: string;
      /** undefined = the positional parameters. */
      readonly words: readonly Word[] | undefined;
      readonly body: Script;
      readonly redirects: readonly Redirect[];
    }
  | {
      readonly kind: 'count';
      readonly parts: readonly Part[];
      readonly body: Script;
      readonly redirects: readonly Redirect[];
    }
  | {
      readonly kind: 'case';
      readonly word: Word;
      readonly arms: readonly { readonly patterns: readonly Word[]; readonly body: Script }[];
      readonly redirects: readonly Redirect[];
    }
  | { readonly kind: 'test'; readonly words: readonly Word[]; readonly redirects: readonly Redirect[] }
  | { readonly kind: 'calculate'; readonly parts: readonly Part[]; readonly redirects: readonly Redirect[] }
  | { readonly kind: 'function'; readonly name: string; readonly body: Command }
  | { readonly kind: 'coprocess'; readonly body: Command };

export interface Pipeline {
  readonly commands: readonly Command[];
}
export interface AndOr {
  readonly first: Pipeline;
  readonly rest: readonly { readonly operator: '&&' | '||'; readonly pipeline: Pipeline }[];
  readonly background: boolean;
}
export type Script = readonly AndOr[];

/** The text is not a shell's, or not one that is read here: the statement is refused. Never leaves this package. */
export class Unreadable extends Error {}

/** Bash's alone: a POSIX shell refuses the line it stands in, and has run the lines before it. */
export class BashOnly extends Unreadable {}
