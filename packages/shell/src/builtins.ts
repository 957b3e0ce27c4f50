/**
 * What a shell does itself: it changes variables, directory, functions, aliases. POSIX.1-2024 2.15, bash manual "Shell Builtin
 * Commands". Where the outcome is the host's, names become unknown.
 */
import { calculate } from './arithmetic.ts';
import { type Frame, inside, type Runner } from './frame.ts';
import { placesOf } from './paths.ts';
import { joinFields, readEval, readSource } from './shells.ts';
import { type Field, type State, uncertain } from './values.ts';

type Builtin = (args: readonly Field[], frame: Frame, runner: Runner) => void;

/** Bash evaluates a subscript in these arguments, and what it names. */
const SUBSCRIPTS: ReadonlySet<string> = new Set([
  'test',
  '[',
  'printf',
  'read',
  'unset',
  'declare',
  'typeset',
  'local',
  'export',
  'readonly',
  'mapfile',
  'readarray',
  'let',
  'getopts',
  'wait',
]);

/** Their words are names of variables. */
const NAMES: ReadonlySet<string> = new Set([
  'unset',
  'declare',
  'typeset',
  'local',
  'export',
  'readonly',
  'read',
  'printf',
  'mapfile',
  'readarray',
]);

export function runBuiltin(program: string, args: readonly Field[], frame: Frame, runner: Runner): boolean {
  if (
    SUBSCRIPTS.has(program) &&
    args.some((field) => /\[[^\]]*[$`(]/.test(field.guess) || (!field.exact && field.guess.includes('[')))
  )
    runner.facts.note('arithmetic_code');
  if (SUBSCRIPTS.has(program))
    for (const { guess } of args) {
      const subscript = /^[A-Za-z_]\w*\[([^\]]*)\]/.exec(guess)?.[1];
      if (subscript !== undefined) calculate(subscript, { state: frame.state, note: runner.facts.note });
    }
  if (NAMES.has(program)) {
    const named = program === 'printf' ? (args[0]?.guess === '-v' ? args.slice(1, 2) : []) : args;
    // A name that is not known may have a subscript; `export` takes none, and may set anything.
    if (named.some(({ exact, guess }) => !exact && !/^[A-Za-z_]\w*(?:=|$)/.test(guess) && !/^[-+]./.test(guess)))
      runner.facts.note(program === 'export' || program === 'readonly' ? 'environment' : 'arithmetic_code');
  }
  const builtin = BUILTINS[program];
  if (builtin === undefined || !Object.hasOwn(BUILTINS, program)) return false;
  builtin(args, frame, runner);
  return true;
}

const BUILTINS: Readonly<Record<string, Builtin>> = {
  eval: readEval,
  '.': readSource,
  source: readSource,
  cd: (args, frame) => changeDirectory(args, frame.state),
  chdir: (args, frame) => changeDirectory(args, frame.state),
  pushd: (args, frame) => changeDirectory(args, frame.state),
  popd: (_args, { state }) => {
    state.directories = [];
  },
  set: (args, { state }, { facts }) => {
    if (args.some(({ guess }) => /^(?:history|histexpand)$/.test(guess))) facts.note('history');
    if (args.some(({ guess, exact }) => /^(?:-[a-z]*k|keyword|posix)/.test(guess) || (!exact && guess === '')))
      facts.note('shell_option');
    setPositional(args, state);
  },
  shift: (args, { state }) => {
    const count = args[0] === undefined ? 1 : Number(args[0].guess);
    if (!Number.isInteger(count) || args[0]?.exact === false) state.positionalExact = false;
    else state.positional = state.positional.slice(count);
  },
  export: declare,
  readonly: (args, frame, runner) => declare(args, frame, runner, true),
  declare,
  typeset: declare,
  local: declare,
  unset: (args, { state }, { facts }) => {
    for (const { guess } of operands(args)) {
      if (HISTORY.test(guess)) facts.note('history');
      // It may be read-only, and an unset name may be set outside.
      state.set(guess, { text: '', exact: false });
    }
  },
  read: (args, { state }, { facts }) => {
    readsDescriptor(args, state, facts.note);
    for (const { guess } of operands(args)) forget(state, guess);
    forget(state, 'REPLY');
  },
  mapfile: mapfile,
  readarray: mapfile,
  getopts: (args, { state }) => {
    for (const { guess } of args.slice(1, 2)) forget(state, guess);
  },
  printf: (args, { state }) => {
    if (args[0]?.guess.startsWith('-v') !== true) return;
    const name = args[0].guess === '-v' ? args[1]?.guess : args[0].guess.slice(2);
    const words = args.slice(args[0].guess === '-v' ? 2 : 1);
    if (name !== undefined) state.set(name, { text: printedBy(words)?.text ?? '', exact: false });
  },
  let: (args, { state }, { facts }) => {
    for (const { guess } of args) {
      for (const [name] of guess.matchAll(/[A-Za-z_]\w*/g)) {
        const value = state.variables.get(name);
        if (value !== undefined && (value.foreign === true || /[[$`]/.test(value.text))) facts.note('arithmetic_code');
        if (guess.includes('=') || guess.includes('+')) state.set(name, { text: '', exact: false });
      }
    }
  },
  alias: (args, frame, runner) => {
    for (const { guess, exact } of args) {
      const equals = guess.indexOf('=');
      if (equals <= 0) continue;
      runner.facts.note('alias');
      frame.state.aliases.set(guess.slice(0, equals), guess.slice(equals + 1));
      const text = guess.slice(equals + 1);
      runner.text({ text, guess: text, exact, glob: false, vanishes: false }, inside(frame, 'alias'), 'child');
    }
  },
  trap: (args, frame, runner) => {
    const words = args.filter((field) => !/^(?:--|-[lp])$/.test(field.guess));
    const code = words[0];
    if (code?.exact === false) runner.facts.note('eval');
    if (code === undefined || words.length < 2 || code.guess === '-' || code.guess === '') return;
    // It runs later, with whatever is set then.
    runner.text(code, inside(frame, 'trap', { state: uncertain(frame.state) }), 'child');
  },
  shopt: (args, _frame, { facts }) => {
    if (args.some(({ guess, exact }) => /^-[a-z]*[su]/.test(guess) || !exact)) facts.note('shell_option');
  },
  hash: (args, frame, runner) => {
    if (args.some(({ guess }) => /^-[a-z]*p/.test(guess))) runner.facts.note('alias');
    void frame;
  },
  enable: (args, _frame, { facts }) => {
    if (args.some(({ guess }) => guess.startsWith('-'))) facts.note('environment');
  },
  complete: (args, _frame, { facts }) => completes(args, facts.note),
  compgen: (args, _frame, { facts }) => completes(args, facts.note),
  bind: (_args, _frame, { facts }) => facts.note('eval'),
  fc: (_args, _frame, { facts }) => facts.note('eval'),
};

function completes(args: readonly Field[], note: (reason: string) => void): void {
  if (args.some(({ guess }) => /^-[a-zA-Z]*[CFW]/.test(guess))) note('eval');
}

const operands = (args: readonly Field[]): readonly Field[] => args.filter(({ guess }) => !guess.startsWith('-'));

const forget = (state: State, name: string): void => {
  state.set(name, { text: '', exact: false, foreign: true });
};

function changeDirectory(args: readonly Field[], state: State): void {
  const target = args.find(({ guess }) => !/^-[LPe@]+$/.test(guess) && guess !== '--');
  if (target === undefined) state.directories = [state.variables.get('HOME')?.text ?? '~'];
  else if (!target.exact || target.glob || target.guess.startsWith('-') || state.variables.has('CDPATH'))
    state.directories = [];
  else {
    const places = placesOf(target.guess, state.directories);
    state.directories = places.some((place) => place === '' || !/^[/~]/.test(place)) ? [] : places;
  }
}

function setPositional(args: readonly Field[], state: State): void {
  for (let at = 0; at < args.length; at++) {
    const word = args[at]!.guess;
    if (word === '--') {
      state.positional = args.slice(at + 1);
      state.positionalExact = state.positional.every((field) => field.exact && !field.glob);
      return;
    }
    if (!/^[-+]/.test(word)) {
      state.positional = args.slice(at);
      state.positionalExact = args.slice(at).every((field) => field.exact && !field.glob);
      return;
    }
    if (/^[-+][a-z]*o$/.test(word)) at++;
    // `set -k`, `set -a` and the like change what later assignments mean, never which program runs.
  }
}

function declare(args: readonly Field[], { state }: Frame, { facts }: Runner, fixed = false): void {
  const flags = args
    .filter(({ guess }) => /^[-+]/.test(guess))
    .map(({ guess }) => guess)
    .join('');
  // Attributes stay with the name; flags that are not known may be any.
  const attributes = fixed || /[^-+xgpfF]/.test(flags);
  const more = { ...(attributes ? { fixed: true } : {}), ...(/[in]/.test(flags) ? { evaluates: true } : {}) };
  if ((flags.includes('n') && !fixed) || args.some((field) => !field.exact && /^[-+]|^$/.test(field.guess)))
    state.unsure = true;
  for (const field of args) {
    if (/^[-+]/.test(field.guess)) continue;
    const equals = field.guess.indexOf('=');
    const name = (equals < 0 ? field.guess : field.guess.slice(0, equals)).replace(/\+$/, '');
    const before = state.variables.get(name);
    if (equals < 0) {
      // `export x` hands on what is there; `local x` and `declare x` may hide it.
      const value = before ?? { text: '', exact: false };
      const exact = value.exact && flags === '' && !fixed;
      state.variables.set(name, { ...value, exported: true, exact, ...more });
      if (more.evaluates === true && before?.foreign === true) facts.note('arithmetic_code');
      continue;
    }
    const text = field.guess.slice(equals + 1);
    noteEnvironment(name, text, facts.note);
    if (flags.includes('i') && (!field.exact || /[A-Za-z_]\w*\[|[$`]/.test(text))) facts.note('arithmetic_code');
    const exact =
      field.exact &&
      !field.glob &&
      flags.replace(/[-xgr]/g, '') === '' &&
      !fixed &&
      !field.guess.slice(0, equals).endsWith('+');
    state.set(name, { text, exact, exported: true, ...more });
    if (flags.includes('i')) calculate(text, { state, note: facts.note });
  }
}

/** `-u 10`, in its spellings. */
function readsDescriptor(args: readonly Field[], state: State, note: (reason: string) => void): void {
  args.forEach(({ guess, exact }, at) => {
    const attached = /^-[a-zA-Z]*u(.*)$/s.exec(guess)?.[1];
    if (attached === undefined) return;
    const value = attached === '' ? args[at + 1] : undefined;
    const number = value?.guess ?? attached;
    if (!exact || value?.exact === false || !(/^[012]$/.test(number) || state.descriptors.has(number)))
      note('descriptor');
  });
}

function mapfile(args: readonly Field[], frame: Frame, runner: Runner): void {
  readsDescriptor(args, frame.state, runner.facts.note);
  args.forEach(({ guess }, at) => {
    if (guess.startsWith('-C')) {
      const code = guess === '-C' ? args[at + 1] : { ...args[at]!, guess: guess.slice(2), text: guess.slice(2) };
      if (code !== undefined) runner.text({ ...code, exact: false }, inside(frame, 'mapfile'), 'same');
    }
  });
  for (const { guess } of operands(args)) forget(frame.state, guess);
  forget(frame.state, 'MAPFILE');
}

/** Variables that make programs load or run something else. */
const LOADERS =
  /^(?:HOME|LD_.*|GCONV_PATH|BASH_ENV|ENV|SHELLOPTS|BASHOPTS|BASH_FUNC_.*|PS4|PS0|PS1|PROMPT_COMMAND|COMMAND_NOT_FOUND|GIT_.*(?:SSH|COMMAND|EDITOR|PAGER|ASKPASS|EXEC_PATH|PROXY|TEMPLATE_DIR|CONFIG.*|EXTERNAL_DIFF)|GIT_SSH|PAGER|MANPAGER|MANOPT|BROWSER|EDITOR|VISUAL|FCEDIT|SUDO_EDITOR|SUDO_ASKPASS|SSH_ASKPASS.*|LESSOPEN|LESSCLOSE|LESS|MORE|PERL5OPT|PERL5LIB|PERLLIB|PERL5DB|PYTHONPATH|PYTHONSTARTUP|PYTHONHOME|PYTHONINSPECT|PYTHONBREAKPOINT|RUBYOPT|RUBYLIB|NODE_OPTIONS|NODE_PATH|JAVA_TOOL_OPTIONS|_JAVA_OPTIONS|JDK_JAVA_OPTIONS|CLASSPATH|LUA_INIT.*|LUA_PATH.*|LUA_CPATH.*|TAR_OPTIONS|TAR_RSH|RSYNC_RSH|RSYNC_PROXY|RSYNC_CONNECT_PROG|CVS_RSH|SVN_SSH|HGEDITOR|EXINIT|VIMINIT|MYVIMRC|GVIMINIT|TMUX_CONF|SCREENRC|GDBINIT|SYSTEMD_(?:EDITOR|PAGER|LESS)|GIT_PAGER|PSQL_.*|PSQLRC|MYSQL_.*|MAKEFLAGS|MAKEFILES|GNUMAKEFLAGS|CMAKE_.*|CC|CXX|SHELL|HISTFILE|HISTSIZE|HISTFILESIZE|HISTCONTROL|HISTIGNORE|PYTHONWARNINGS|OPENSSL_CONF|OPENSSL_ENGINES|OPENSSL_MODULES|SSLKEYLOGFILE|CURL_HOME|WGETRC|DBUS_SESSION_BUS_ADDRESS|XDG_CONFIG_HOME|GIT_DIR|GIT_WORK_TREE|GIT_COMMON_DIR|GIT_INDEX_FILE|GIT_OBJECT_DIRECTORY|HOSTALIASES|RESOLV_HOST_CONF|TERMINFO.*|TERMCAP|MALLOC_.*|GLIBC_TUNABLES|FPATH|ZDOTDIR|BASH_LOADABLES_PATH|EXECIGNORE|GLOBIGNORE)$/;
const HISTORY = /^HIST/;

export function noteEnvironment(name: string, _value: string, note: (reason: string) => void): void {
  if (name === 'PATH') note('path_changed');
  else if (HISTORY.test(name)) note('history');
  else if (LOADERS.test(name)) note('environment');
}

/** What `echo` or `printf` prints, where its words say it; undefined where they do not. */
export function printedBy(words: readonly Field[]): { readonly text: string; readonly exact: boolean } | undefined {
  const format = words[0];
  if (format === undefined) return undefined;
  const args = words.slice(1);
  let used = 0;
  const text = unescaped(format.guess).replaceAll(/%([sb%c])|%[^%sbc]*[a-zA-Z]/g, (_all, kind: string | undefined) =>
    kind === '%' ? '%' : (args[used++]?.guess ?? ''),
  );
  const plain = words.every((field) => field.exact && !field.glob) && !/[\\%]/.test(format.guess) && args.length === 0;
  return { text, exact: plain };
}

export function echoed(words: readonly Field[]): { readonly text: string; readonly exact: boolean } {
  let options = 0;
  while (/^-[neE]+$/.test(words[options]?.guess ?? '')) options++;
  const joined = joinFields(words.slice(options));
  // Shells differ on `-e` and on backslashes.
  const exact = joined.exact && options === 0 && !joined.guess.includes('\\');
  return { text: unescaped(joined.guess), exact };
}

const unescaped = (text: string): string =>
  text.includes('\\')
    ? text.replaceAll(
        /\\(n|t|r|\\|x([0-9a-fA-F]{1,2})|0?([0-7]{1,3}))/g,
        (all, kind: string, hex?: string, octal?: string) => {
          if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
          if (octal !== undefined) return String.fromCharCode(Number.parseInt(octal, 8));
          return { n: '\n', t: '\t', r: '\r', '\\': '\\' }[kind] ?? all;
        },
      )
    : text;
