/**
 * One program with its arguments: written down as a command, and what is known of the program applied. Refuses to know more of
 * a program than that it runs others, reads code, or names paths: tools.ts, interpreters.ts and program-paths.ts have the lists.
 */
import { echoed, noteEnvironment, printedBy, runBuiltin } from './builtins.ts';
import type { OpenCommand } from './collector.ts';
import { type Frame, inside, type Printed, type Runner } from './frame.ts';
import { isTextTool, readInterpreter } from './interpreters.ts';
import { PATHS } from './path-table.ts';
import { baseName, normalPath, placesOf } from './paths.ts';
import { isNetwork, isPrivileged, readPaths } from './program-paths.ts';
import { joinFields, readCommandOption, readInput, readShell, SHELLS } from './shells.ts';
import { readTool } from './tools.ts';
import { readUnlisted } from './unlisted.ts';
import { type Field, mayBeOption, uncertain } from './values.ts';
import { unwrap, WRAPPERS, type WrapperSyntax } from './wrappers.ts';

/** Where a system keeps its programs: a path to another place is a script or somebody's own program. */
const SYSTEM_PLACE =
  /^\/(?:usr\/(?:local\/)?)?(?:s?bin|libexec(?:\/openssh)?|lib\/(?:openssh|ssh|git-core)|lib(?:32|64|x32)?(?=\/ld[-.])|lib\/[a-z0-9_]+-linux-gnu(?=\/ld[-.]))\/[^/]+$/;

export function runProgram(fields: readonly Field[], frame: Frame, runner: Runner): Printed {
  const { facts } = runner;
  // With what is unknown unset, the first word that is left is the program.
  const at = Math.max(
    0,
    fields.findIndex((field) => !field.vanishes),
  );
  const head = fields[at];
  if (head === undefined) return undefined;
  const args = fields.slice(at + 1);
  const unknown = fields.slice(0, at + 1).find((field) => !field.exact);
  const glob = head.glob;
  const written = head.exact ? head.text : head.guess === '' ? head.text : head.guess;
  const path = written.includes('/') ? normalPath(written) : written;
  // zsh reads `=rm` as the path of rm.
  const program = baseName(path)
    .replace(/^=(?=.)/, '')
    // The dynamic linker has its version in its name: `ld-2.36.so`.
    .replace(/^ld-.*\.so(?:\.\d+)*$/, 'ld.so');
  if (unknown !== undefined)
    facts.note(/^(?:"?\$\(|`)/.test(unknown.text) ? 'unknown_substitution' : 'variable_program');
  if (glob) facts.note('glob_program');
  if (written.includes('/') && head.exact && !SYSTEM_PLACE.test(path)) facts.note('script');
  const command = facts.emit(
    {
      program,
      path: written,
      arguments: args.map((field) => field.text),
      resolved: unknown === undefined && !glob,
      depth: frame.depth,
      via: frame.via,
      assignments: frame.assignments,
      redirects: frame.redirects,
      dynamic: frame.appended || unknown !== undefined || glob || args.some((field) => !field.exact),
    },
    frame.redirected,
  );
  const alias = frame.state.aliases.get(program);
  if (alias !== undefined && !frame.via.includes(`alias ${program}`)) {
    facts.note('alias');
    const text = [alias, ...args.map((field) => quoted(field.guess))].join(' ');
    runner.text(
      { text, guess: text, exact: false, glob: false, vanishes: false },
      inside(frame, `alias ${program}`),
      'same',
    );
  }
  return known(program, args, frame, runner, command);
}

const quoted = (text: string): string => (/^[\w./:=@%+,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

function known(program: string, args: readonly Field[], frame: Frame, runner: Runner, command: OpenCommand): Printed {
  const { facts } = runner;
  if (isPrivileged(program, args)) facts.privilege = true;
  if (isNetwork(program, args)) facts.network = true;
  if (namesPaths(program)) readPaths(program, args, frame, facts, command);
  if (SHELLS.has(program)) {
    readShell(program, args, frame, runner);
    return undefined;
  }
  if (runBuiltin(program, args, frame, runner)) {
    if (program === 'printf') return printf(args);
    return QUIET_BUILTINS.has(program) && args.length > 0 ? { text: '', exact: true } : undefined;
  }
  const special = SPECIAL[program];
  if (special !== undefined && Object.hasOwn(SPECIAL, program)) {
    special(args, frame, runner, command);
    return undefined;
  }
  const wrapper = WRAPPERS[program];
  if (wrapper !== undefined && Object.hasOwn(WRAPPERS, program))
    return wrapped(program, args, wrapper, frame, runner, command);
  if (readInterpreter(program, args, frame, runner, command)) {
    if (!isTextTool(program)) readUnlisted(program, args, frame, runner);
    return undefined;
  }
  if (!readTool(program, args, frame, runner, command) || HOLDS_PROGRAMS.has(program))
    readUnlisted(program, args, frame, runner);
  if (program === 'echo') {
    const { text, exact } = echoed(args);
    return { text: `${text}\n`, exact };
  }
  if (program === 'cat' && args.length === 0 && frame.input.kind === 'text')
    return { text: frame.input.text, exact: frame.input.exact };
  return SILENT.has(program) ? { text: '', exact: true } : undefined;
}

/** Tools whose words may be a program's, at a place that is not known for every version. */
const HOLDS_PROGRAMS = new Set(
  'bwrap firejail systemd-nspawn machinectl lxc-attach virsh dtach abduco zellij autossh mosh openvpn'.split(' '),
);

/** Words of a wrapper or a shell are another program's, or a text. */
const namesPaths = (program: string): boolean =>
  Object.hasOwn(PATHS, program) ||
  !(SHELLS.has(program) || Object.hasOwn(WRAPPERS, program) || Object.hasOwn(SPECIAL, program));

const SILENT = new Set([':', 'true', 'false', 'test', '[', 'sleep', 'exit', 'return', 'break', 'continue']);
/** With arguments they print nothing. */
const QUIET_BUILTINS = new Set(['unset', 'shift', 'read', 'let']);

const printf = (args: readonly Field[]): Printed =>
  args[0]?.guess.startsWith('-v') === true ? { text: '', exact: true } : printedBy(args);

function wrapped(
  program: string,
  args: readonly Field[],
  syntax: WrapperSyntax,
  frame: Frame,
  runner: Runner,
  command: OpenCommand,
): Printed {
  const { facts } = runner;
  const { at, assignments, sure, inert, values } = unwrap(args, syntax);
  if (inert) return undefined;
  if (!sure) facts.note('wrapper');
  const rest = args.slice(at);
  const keeps = KEEPS_ENVIRONMENT.has(program) && !(program === 'exec' && values.size > 0);
  const plain =
    program === 'env' && values.size === 0 && !args.slice(0, at).some((field) => field.guess.startsWith('-'));
  const state = keeps || plain ? frame.state.copy() : uncertain(frame.state);
  for (const name of syntax.output ?? []) {
    const file = values.get(name);
    if (file === undefined) continue;
    facts.writes(file, frame.state.directories, command.pathsWritten);
    // `strace -o '|program'`
    if (program !== 'strace' || !/^[|!]/.test(file.guess)) continue;
    facts.note('tool_code');
    const text = file.guess.slice(1);
    runner.text({ ...file, text, guess: text }, inside(frame, program), 'child');
  }
  for (const name of syntax.chdir ?? []) {
    const to = values.get(name);
    if (to !== undefined) state.directories = to.exact ? placesOf(to.guess, state.directories) : [];
  }
  if (program === 'run0' && values.has('-i')) facts.note('script');
  const shown: { name: string; value: string }[] = [];
  for (const { guess, exact } of assignments) {
    const equals = guess.indexOf('=');
    const name = guess.slice(0, equals);
    const value = guess.slice(equals + 1);
    shown.push({ name, value });
    noteEnvironment(name, '', facts.note);
    state.set(name, { text: value, exact: exact && program === 'env', exported: true });
  }
  const child = inside(frame, program, { state, assignments: shown });
  const split = values.get('-S') ?? values.get('--split-string');
  if (program === 'env' && split !== undefined) {
    facts.note('wrapper');
    const text = joinFields([split, ...rest]);
    runner.text(text, child, 'child');
    return undefined;
  }
  if (program === 'sudo' && (values.has('-e') || args.some((field) => field.guess === '--edit'))) {
    facts.note('editor');
    for (const field of rest) facts.writes(field, frame.state.directories, command.pathsWritten);
    return undefined;
  }
  const own = rest.findIndex((field) => !field.vanishes);
  if (own < 0) {
    if (frame.appended || args.some((field) => field.vanishes)) facts.note('variable_program');
    // sudo -s, chroot, unshare, env -i … without a program: a shell on what stands on its input, or nothing.
    else if (
      STARTS_SHELL.has(program) ||
      (program === 'sudo' && ['-s', '-i'].some((option) => values.has(option))) ||
      (program === 'sudo' && args.some((field) => /^--(?:shell|login)$/.test(field.guess)))
    )
      readInput(child, runner, 'child');
    return undefined;
  }
  if (syntax.shell === true && !values.has('-x')) {
    runner.text(joinFields(rest), child, 'child');
    return undefined;
  }
  if (program === 'flock') {
    const option = args.findIndex(({ guess }) => /^(?:-c|--command)$/.test(guess));
    const text = option < 0 ? undefined : args[option + 1];
    if (text !== undefined) runner.text(text, child, 'child');
    // A `-c` further on is the program's own.
    if (rest[0]!.guess.startsWith('-')) return undefined;
  }
  // What is skipped is not always asked for: `setarch -R rm`, `runcon -t x rm`.
  if (program === 'setarch' || program === 'runcon') runner.run(args.slice(at - 1), child);
  return runner.run(rest, child);
}
/** What runs in them finds the variables that are exported here. */
const KEEPS_ENVIRONMENT = new Set([
  'nohup',
  'setsid',
  'nice',
  'ionice',
  'timeout',
  'stdbuf',
  'time',
  'command',
  'builtin',
  'exec',
  'chrt',
  'taskset',
  'flock',
  'watch',
]);
const STARTS_SHELL = new Set([
  'run0',
  'sudo-rs',
  'chroot',
  'unshare',
  'nsenter',
  'doas',
  'setarch',
  'linux32',
  'linux64',
  'i386',
  'x86_64',
  'fakeroot',
  'torify',
  'rlwrap',
]);

type Special = (args: readonly Field[], frame: Frame, runner: Runner, command: OpenCommand) => void;

const SPECIAL: Readonly<Record<string, Special>> = {
  su: (args, frame, runner) => readCommandOption('su', args, frame, runner),
  sg: (args, frame, runner) => readCommandOption('sg', args, frame, runner),
  newgrp: (args, frame, runner) => readCommandOption('newgrp', args, frame, runner),
  script: (args, frame, runner, command) => {
    const file = args.findLast(
      ({ guess }, at) => !guess.startsWith('-') && !/^-[a-zA-Z]*[cBEIOTm]$/.test(args[at - 1]?.guess ?? ''),
    );
    if (file !== undefined) runner.facts.writes(file, frame.state.directories, command.pathsWritten);
    args.forEach(({ guess }, at) => {
      const next = args[at + 1];
      if (/^-[a-zA-Z]*[BIOT]$|^--log-[a-z]+$/.test(guess) && next !== undefined)
        runner.facts.writes(next, frame.state.directories, command.pathsWritten);
    });
    readCommandOption('script', args, frame, runner);
  },
  scriptlive: (args, frame, runner) => readCommandOption('scriptlive', args, frame, runner),
  runuser: (args, frame, runner) => {
    const user = args.findIndex((field) => /^(?:-u|--user(?:=.*)?)$/.test(field.guess));
    if (user < 0) return readCommandOption('runuser', args, frame, runner);
    const from = args.findIndex((field) => field.guess === '--');
    const skip = from >= 0 ? from + 1 : user + (args[user]!.guess.includes('=') ? 1 : 2);
    if (skip < args.length) runner.run(args.slice(skip), inside(frame, 'runuser'));
  },
  xargs: readXargs,
  parallel: readParallel,
  find: readFind,
  gfind: readFind,
  at: (_args, frame, runner) => readInput(inside(frame, 'at'), runner, 'child'),
  batch: (_args, frame, runner) => readInput(inside(frame, 'batch'), runner, 'child'),
};

const XARGS: WrapperSyntax = {
  short: 'adEILnPs',
  flags: '0toprxeil',
  long: ['arg-file', 'delimiter', 'max-lines', 'max-args', 'max-procs', 'max-chars', 'process-slot-var'],
};

function readXargs(args: readonly Field[], frame: Frame, runner: Runner): void {
  // `-i`, `-e` and `-l` take a value only when it is written to them.
  const plain = args.map((field) =>
    /^-[iel]./.test(field.guess) ? { ...field, guess: field.guess.slice(0, 2) } : field,
  );
  const { at, sure, values } = unwrap(plain, XARGS);
  if (!sure) runner.facts.note('wrapper');
  const list = values.get('-a') ?? values.get('--arg-file');
  if (list !== undefined) runner.facts.reads(list, frame.state.directories);
  const rest = args.slice(at);
  const attached = args
    .slice(0, at)
    .find((field) => /^-i./.test(field.guess))
    ?.guess.slice(2);
  const replace =
    values.get('-I')?.guess ??
    attached ??
    (values.has('-i') || args.slice(0, at).some((field) => field.guess.startsWith('--replace')) ? '{}' : undefined);
  const { input } = frame;
  const items = input.kind === 'text' ? input.text.split(/[\0\s]+|\\0/).filter((item) => item !== '') : [];
  const child = inside(frame, 'xargs', { appended: true });
  if (rest.length === 0) {
    // echo is what it runs then.
    return;
  }
  if (replace !== undefined && replace !== '') {
    const filled = rest.map((field) =>
      field.guess.includes(replace)
        ? {
            ...field,
            guess: items.length === 0 ? field.guess : field.guess.replaceAll(replace, items.join(' ')),
            exact: false,
          }
        : field,
    );
    runner.run(filled, child);
    return;
  }
  runner.run([...rest, ...items.slice(0, 50).map(guessed)], child);
}

function readParallel(args: readonly Field[], frame: Frame, runner: Runner): void {
  const separator = args.findIndex((field) => /^:::?:?\+?$/.test(field.guess));
  const own = separator < 0 ? args : args.slice(0, separator);
  let at = 0;
  while (at < own.length && own[at]!.guess.startsWith('-'))
    at +=
      /^-(?:j|P|n|N|I|S|a|d|L|-jobs|-arg-file|-sshlogin|-delay|-timeout|-joblog|-results|-tmpdir|-colsep|-max-args)$/.test(
        own[at]!.guess,
      )
        ? 2
        : 1;
  runner.facts.note('wrapper');
  const child = inside(frame, 'parallel', { appended: true });
  const words = own.slice(at);
  // Without a command, what it is given are the commands.
  if (words.length === 0) {
    if (separator >= 0) for (const field of args.slice(separator + 1)) runner.text(field, child, 'child');
    else readInput(child, runner, 'child');
    return;
  }
  const text = joinFields([...words, ...(separator < 0 ? [] : args.slice(separator + 1))]);
  runner.text({ ...text, exact: false }, child, 'child');
}

function readFind(args: readonly Field[], frame: Frame, runner: Runner, command: OpenCommand): void {
  const { facts } = runner;
  const { directories } = frame.state;
  const starts: Field[] = [];
  let expression = false;
  for (let at = 0; at < args.length; at++) {
    const field = args[at]!;
    const word = field.guess;
    if (mayBeOption(field)) facts.note('wrapper');
    if (/^-(?:exec|execdir|ok|okdir)$/.test(word)) {
      expression = true;
      const inner: Field[] = [];
      for (at++; at < args.length; at++) {
        const each = args[at]!;
        if (each.guess === ';' || (each.guess === '+' && args[at - 1]!.guess === '{}')) break;
        inner.push(each.guess.includes('{}') ? foundBy(each, starts[0]) : each);
      }
      if (inner.length > 0) runner.run(inner, inside(frame, 'find'));
    } else if (word === '-delete') {
      expression = true;
      for (const start of starts.length === 0 ? [HERE] : starts) facts.writes(start, directories, command.pathsWritten);
    } else if (/^-f(?:print0?|ls|printf)$/.test(word)) {
      expression = true;
      const file = args[++at];
      if (file !== undefined) facts.writes(file, directories, command.pathsWritten);
    } else if (/^-files0-from$/.test(word)) {
      facts.note('wrapper');
      const list = args[++at];
      if (list !== undefined) facts.reads(list, directories, command.pathsRead);
      if (frame.input.kind === 'text')
        for (const text of frame.input.text.split(/[\0\s]+/).slice(0, 20)) if (text !== '') starts.push(guessed(text));
    } else if (word === '--') continue;
    else if (/^[-(!,]/.test(word)) expression ||= !/^-(?:[HLPOD]|O\d|D.*)$/.test(word);
    else if (!expression) {
      starts.push(field);
      facts.reads(field, directories, command.pathsRead);
    }
  }
}
const guessed = (text: string): Field => ({ text, guess: text, exact: false, glob: false, vanishes: false });

/** `{}` of `find /srv -exec` is some file below /srv. */
function foundBy(field: Field, start: Field | undefined): Field {
  const text = field.guess.replaceAll('{}', `${(start?.guess ?? '.').replace(/\/$/, '')}/{}`);
  return { ...field, text, guess: text, exact: false };
}
const HERE: Field = { text: '.', guess: '.', exact: true, glob: false, vanishes: false };
