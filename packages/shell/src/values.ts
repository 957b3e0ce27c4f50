/**
 * What is known of a shell's state while a text is read: variables, positional parameters, functions, aliases, directory.
 * A value that is not `exact` is a guess (an unknown variable is guessed to be unset), good for rules, never for trust.
 */
import type { RedirectedPaths } from './collector.ts';
import type { Input } from './frame.ts';
import type { Command } from './syntax.ts';

export interface Value {
  readonly text: string;
  readonly exact: boolean;
  /** Of an array; `text` is its first element. */
  readonly list?: readonly string[];
  /** A child process sees it. */
  readonly exported?: boolean;
  /** Read-only, an integer, folded to lower case, …: what is assigned to it is not what it holds. */
  readonly fixed?: boolean;
  /** Came from outside: a file, the input, another program's output. */
  readonly foreign?: boolean;
  /** What it is given is read as arithmetic, or given to another name. */
  readonly evaluates?: boolean;
}

/** One word after expansion. */
export interface Field {
  /** As known, with what is not known in the spelling of the source (`$DIR`). */
  readonly text: string;
  /** As it is when every unknown variable is unset. */
  readonly guess: string;
  readonly exact: boolean;
  /** Unquoted `*`, `?` or `[`: it stands for files. */
  readonly glob: boolean;
  /** Unquoted and unknown, so it may be no word at all, or many. */
  readonly vanishes: boolean;
  /** It is a process substitution: what is read from it. */
  readonly process?: Input;
}

export const fieldOf = (text: string): Field => ({ text, guess: text, exact: true, glob: false, vanishes: false });

/** What is unknown in it, or a file found by it, may begin with a dash. */
export const mayBeOption = ({ exact, glob, guess }: Field): boolean =>
  (!exact && (guess === '' || guess.startsWith('-'))) || (glob && /^[*?[]/.test(guess));

/** A descriptor that is not known may be of an earlier line of a kept shell: what is behind it was judged for another program. */
export const NO_DESCRIPTORS: ReadonlyMap<string, RedirectedPaths> = new Map();

/** Shallow copies are made at branches; maps are replaced, never shared. */
export class State {
  readonly variables: Map<string, Value>;
  readonly functions: Map<string, readonly Command[]>;
  readonly aliases: Map<string, string>;
  positional: readonly Field[];
  positionalExact: boolean;
  /** Where it may stand; empty = unknown. `~` is the home directory when its path is not known. */
  directories: readonly string[];
  /** Those the text itself opened, by number, with the files behind them. The session's own three need not be here. */
  descriptors: ReadonlyMap<string, RedirectedPaths> = NO_DESCRIPTORS;
  /** Nothing is exact any more: a name may be another's, or what stood in the line may not have happened. */
  unsure = false;
  /** Takes reasons of `shell.opaque`. */
  readonly #note: (reason: string) => void;

  constructor(from: State | ((reason: string) => void)) {
    if (typeof from === 'function') {
      this.#note = from;
      this.variables = new Map();
      this.functions = new Map();
      this.aliases = new Map();
      this.positional = [];
      this.positionalExact = true;
      this.directories = [];
      return;
    }
    this.#note = from.#note;
    this.variables = new Map(from.variables);
    this.functions = new Map(from.functions);
    this.aliases = new Map(from.aliases);
    this.positional = from.positional;
    this.positionalExact = from.positionalExact;
    this.directories = from.directories;
    this.descriptors = from.descriptors;
    this.unsure = from.unsure;
  }

  copy(): State {
    return new State(this);
  }

  /** Every assignment comes this way: some names do not hold what they are given. */
  set(name: string, value: Value): void {
    const before = this.variables.get(name);
    const evaluates = before?.evaluates === true || INTEGERS.test(name);
    if (runsInSubscript(value) || (evaluates && value.foreign === true)) this.#note('arithmetic_code');
    if (before?.evaluates === true) value = { ...value, evaluates };
    if (before?.fixed === true) {
      // A refused assignment ends its line, and what stood behind it in the line did not happen.
      this.unsure = true;
      this.variables.set(name, { ...value, text: before.text, exact: false, fixed: true });
    } else this.variables.set(name, OWN.test(name) ? { ...value, exact: false } : value);
  }

  /** Takes over what another way through the text left: what differs is a guess from now on. */
  join(other: State): void {
    for (const [name, value] of other.variables) {
      const mine = this.variables.get(name);
      if (mine === value) continue;
      const evaluates = mine?.evaluates === true ? { evaluates: true } : {};
      this.variables.set(
        name,
        mine !== undefined && same(mine, value) ? { ...value, ...evaluates } : { ...value, exact: false, ...evaluates },
      );
    }
    for (const [name, value] of this.variables)
      if (!other.variables.has(name)) this.variables.set(name, { ...value, exact: false });
    for (const [name, bodies] of other.functions) {
      const mine = this.functions.get(name);
      this.functions.set(name, mine === undefined ? bodies : [...new Set([...mine, ...bodies])]);
    }
    for (const [name, text] of other.aliases) this.aliases.set(name, text);
    if (other.positional !== this.positional) this.positionalExact = false;
    this.directories = joinDirectories(this.directories, other.directories);
    if (other.descriptors !== this.descriptors) this.descriptors = NO_DESCRIPTORS;
    this.unsure ||= other.unsure;
  }
}

/** Set by the shell itself, or never by an assignment. */
const OWN =
  /^(?:_|UID|EUID|PPID|GROUPS|RANDOM|SRANDOM|SECONDS|EPOCH\w*|LINENO|PWD|OLDPWD|DIRSTACK|REPLY|OPT(?:ARG|IND|ERR)|MAPFILE|COPROC\w*|PIPESTATUS|FUNCNAME|HISTCMD|LINES|COLUMNS|SHELLOPTS|BASHOPTS|BASHPID|BASH_\w+|BASH|READLINE_\w+|COMP_\w+|SHLVL|HOSTNAME|HOSTTYPE|MACHTYPE|OSTYPE)$/;

/** Integers of bash from the start. */
const INTEGERS = /^(?:RANDOM|SRANDOM|OPTIND|HISTCMD|BASHPID)$/;
/** Wherever such a value is taken for a number, however far from here, bash runs what stands in its subscript. */
const SUBSCRIPT = /\w\[/;
const CODE = /\$[({[]|`|[<>]\(/;
/** In two steps: in one it would be read again from each bracket on. */
const hasCode = (text: string): boolean => {
  const at = text.search(SUBSCRIPT);
  return at >= 0 && CODE.test(text.slice(at));
};
const runsInSubscript = ({ text, list }: Value): boolean => hasCode(text) || list?.some(hasCode) === true;

const same = (a: Value, b: Value): boolean =>
  a.text === b.text && a.exact && b.exact && a.list === b.list && a.exported === b.exported;

const DIRECTORIES_MAX = 16;

export function joinDirectories(a: readonly string[], b: readonly string[]): readonly string[] {
  if (a === b) return a;
  if (a.length === 0 || b.length === 0) return [];
  const all = [...new Set([...a, ...b])];
  return all.length > DIRECTORIES_MAX ? [] : all;
}

/** The same names with nothing known for sure. */
export function uncertain(state: State): State {
  const copy = state.copy();
  for (const [name, value] of copy.variables) copy.variables.set(name, { ...value, exact: false });
  copy.positionalExact = false;
  return copy;
}
