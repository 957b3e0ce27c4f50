/**
 * git: what its options and subcommands start, and what they write. Subcommands that are listed do what they say; any other may be
 * an alias of a configuration that nobody reads here, so it is `tool_code`. A repository's own hooks and configuration are the
 * host's: docs/reference/ssh-rules.md. git 2.39.
 */
import type { OpenCommand } from './collector.ts';
import { type Frame, inside, type Runner } from './frame.ts';
import { guessText } from './interpreters.ts';
import { placesOf } from './paths.ts';
import { joinFields } from './shells.ts';
import type { Field } from './values.ts';

const SETTINGS =
  /^(?:core\.(?:sshcommand|pager|editor|fsmonitor|hookspath|gitproxy|askpass|worktree|attributesfile|excludesfile)|alias\.|pager\.|diff\.|merge\.|mergetool\.|difftool\.|filter\.|credential\.|gpg\.|sequence\.editor|uploadpack\.|receive\.|remote\.|url\.|protocol\.|ssh\.|web\.browser|browser\.|man\.|instaweb\.|include|trailer\.|sendemail\.|http\..*proxy|init\.templatedir|gc\.|log\.|interactive\.difffilter|submodule\.|safe\.|commit\.template|extensions\.|maintenance\.|fetch\.|blame\.|help\.)/i;

/** They do what they say, whatever a configuration calls otherwise: an alias cannot have the name of a command. */
const PLAIN = new Set(
  (
    'add annotate apply archive blame branch bundle cat-file check-ignore checkout cherry cherry-pick clean clone commit config ' +
    'count-objects describe diff diff-tree fetch for-each-ref format-patch fsck gc grep init log ls-files ls-remote ls-tree merge ' +
    'merge-base mv name-rev notes prune pull push range-diff rebase reflog remote reset restore rev-list rev-parse revert rm ' +
    'shortlog show show-branch show-ref sparse-checkout stash status submodule switch symbolic-ref tag update-index update-ref var ' +
    'version worktree upload-pack upload-archive receive-pack bisect filter-branch help'
  ).split(' '),
);
/** They open an editor unless one of these says otherwise. */
const EDITS: Readonly<Record<string, RegExp>> = {
  commit: /^(?:-[a-zA-Z]*[mFC]|--(?:mess|file|reuse-m|no-edit|fixup|squash|dry-run))/,
  revert: /^--(?:no-edit|no-commit|abort|quit|skip)|^-n$/,
};
/** Words under which any of them opens an editor or asks on a terminal. */
const INTERACTIVE: Readonly<Record<string, RegExp>> = {
  add: /^(?:-[a-zA-Z]*[eip]|--(?:edit|interactive|patch))/,
  rebase: /^(?:-[a-zA-Z]*[ix]|--(?:interactive|edit-todo|exec))/,
  config: /^(?:-e|--edit|edit)$/,
  notes: /^(?:edit|add|append)$/,
  tag: /^(?:-[a-zA-Z]*[ase]|--(?:annotate|sign|edit))$/,
  branch: /^--edit-description/,
  merge: /^(?:-e|--edit)$/,
  'cherry-pick': /^(?:-e|--edit)$/,
  submodule: /^(?:update|foreach|add|init)$/,
  apply: /^--unsafe-paths/,
  diff: /^--(?:ext-diff|textconv|no-index)/,
  log: /^--(?:ext-diff|textconv)/,
  show: /^--(?:ext-diff|textconv)/,
  help: /^(?:-[wim]|--(?:web|info|man))/,
};
const GLOBAL_VALUES = /^(?:-C|-c|--git-dir|--work-tree|--namespace|--exec-path|--config-env|--super-prefix)$/;

export function readGit(args: readonly Field[], frame: Frame, runner: Runner, command: OpenCommand): void {
  new GitReader(args, frame, runner, command).read();
}

class GitReader {
  readonly #args: readonly Field[];
  readonly #frame: Frame;
  readonly #runner: Runner;
  readonly #command: OpenCommand;
  #directories: readonly string[];

  constructor(args: readonly Field[], frame: Frame, runner: Runner, command: OpenCommand) {
    this.#args = args;
    this.#frame = frame;
    this.#runner = runner;
    this.#command = command;
    this.#directories = frame.state.directories;
  }

  read(): void {
    const at = this.#globals();
    const verb = this.#args[at]?.guess;
    const rest = this.#args.slice(at + 1);
    for (const field of this.#args) {
      const ext = /^ext::(.*)$/s.exec(field.guess);
      if (ext !== null) this.#code(field, ext[1]!);
      else if (/^(?!https?:|git:|ssh:|file:)[\w+-]+::/.test(field.guess)) this.#note();
    }
    if (verb === undefined) return;
    if (!PLAIN.has(verb)) this.#note();
    if (Object.hasOwn(EDITS, verb) && !rest.some(({ guess }) => EDITS[verb]!.test(guess))) {
      this.#runner.facts.note('editor');
    }
    if (Object.hasOwn(INTERACTIVE, verb) && rest.some(({ guess }) => INTERACTIVE[verb]!.test(guess))) {
      // A message that is given is not asked for.
      const given =
        (verb === 'tag' || verb === 'notes') && rest.some(({ guess }) => /^(?:-[a-zA-Z]*[mF]|--mess)/.test(guess));
      if (!given) this.#note();
    }
    this.#programs(verb, rest);
    this.#paths(verb, rest);
  }

  /** @returns where the subcommand stands */
  #globals(): number {
    let at = 0;
    for (; at < this.#args.length; at++) {
      const field = this.#args[at]!;
      const word = field.guess;
      if (!word.startsWith('-')) break;
      const equals = word.indexOf('=');
      const name = equals < 0 ? word : word.slice(0, equals);
      const takes = GLOBAL_VALUES.test(word);
      const value = takes
        ? this.#args[at + 1]
        : equals < 0
          ? undefined
          : { ...field, guess: word.slice(equals + 1), text: word.slice(equals + 1) };
      if (takes) at++;
      if (/^-c./s.test(word)) this.#configure(field, word.slice(2));
      else if (name === '-c' && value !== undefined) this.#configure(value, value.guess);
      else if (name === '-C' && value !== undefined)
        this.#directories = value.exact ? placesOf(value.guess, this.#directories) : [];
      else if (/^--(?:config-env|exec-path|git-dir|namespace)$/.test(name) && (value !== undefined || takes))
        this.#note();
      else if (name === '--work-tree' && value !== undefined) {
        this.#note();
        this.#runner.facts.writes(value, this.#directories, this.#command.pathsWritten);
      }
    }
    return at;
  }

  #programs(verb: string, rest: readonly Field[]): void {
    this.#options(rest, /^(?:--upload-pack|--receive-pack|--exec|-x)(?:=(.*))?$/s, (value, text) =>
      this.#code(value, text),
    );
    if (verb === 'clone') this.#options(rest, /^-u(.*)$/s, (value, text) => this.#code(value, text));
    if (verb === 'clone')
      this.#options(rest, /^(?:-c|--config)=?(.*)$/s, (value, text) => this.#configure(value, text));
    if (verb === 'grep' && rest.some(({ guess }) => /^-[a-zA-Z]*O/.test(guess))) this.#note();
    this.#options(rest, /^--(?:template|extcmd|tool|open-files[a-z-]*|smtp-server|access-hook)=?(.*)$/s, () =>
      this.#note(),
    );
    // `git config` can leave the same behind.
    if (verb === 'config' && rest.some(({ guess }) => SETTINGS.test(guess))) {
      this.#note();
      for (const { guess } of rest)
        if (guess.startsWith('!')) guessText(guess.slice(1), 'git', this.#frame, this.#runner);
    }
    if (verb === 'bisect' && rest[0]?.guess === 'run') {
      this.#note();
      this.#runner.run(rest.slice(1), inside(this.#frame, 'git'));
    }
    const each = verb === 'submodule' ? rest.findIndex(({ guess }) => guess === 'foreach') : -1;
    if (each >= 0) {
      const text = joinFields(rest.slice(each + 1).filter(({ guess }) => !/^--?\w/.test(guess)));
      this.#code(text, text.guess);
    }
    if (verb === 'filter-branch')
      this.#options(rest, /^--\w+-filter(?:=(.*))?$/s, (value, text) => this.#code(value, text));
  }

  #paths(verb: string, rest: readonly Field[]): void {
    const write = (field: Field, text = field.guess): void =>
      this.#runner.facts.writes({ ...field, text, guess: text }, this.#directories, this.#command.pathsWritten);
    this.#options(rest, /^--(?:output|output-directory|separate-git-dir|directory)(?:=(.*))?$/s, write);
    if (verb === 'archive' || verb === 'format-patch') this.#options(rest, /^-o(.*)$/s, write);
    const operands = rest.filter(({ guess }) => !guess.startsWith('-'));
    const [first, second] = operands;
    if (verb === 'clone' && operands.length > 0) {
      const target = operands.length > 1 ? operands.at(-1)! : first!;
      write(target, operands.length > 1 ? target.guess : target.guess.replace(/^.*[/:]/s, '').replace(/\.git$/, ''));
    } else if (verb === 'init' && first !== undefined) write(first);
    else if ((verb === 'worktree' || verb === 'bundle') && second !== undefined) write(second);
    else if (verb === 'mv' || verb === 'rm') for (const field of operands) write(field);
  }

  #configure(value: Field, text: string): void {
    if (!SETTINGS.test(text)) return;
    this.#code(value, text.slice(text.indexOf('=') + 1).replace(/^!/, ''));
  }

  #code(value: Field, text: string): void {
    this.#note();
    const exact = value.exact && value.guess === value.text;
    this.#runner.text({ ...value, text, guess: text, exact }, inside(this.#frame, 'git'), 'child');
  }

  #note(): void {
    this.#runner.facts.note('tool_code');
  }

  #options(args: readonly Field[], pattern: RegExp, found: (value: Field, text: string) => void): void {
    args.forEach((field, at) => {
      const match = pattern.exec(field.guess);
      if (match === null) return;
      const value = match[1] === undefined || match[1] === '' ? args[at + 1] : field;
      if (value !== undefined) found(value, value === field ? match[1]! : value.guess);
    });
  }
}
