/**
 * Shells and what feeds them text: `sh -c`, a script, standard input, `eval`, `.`, `trap`, `su -c`.
 * Refuses to read files: a script is the reason `script`.
 */
import { type Frame, inside, type Runner } from './frame.ts';
import { type Field, uncertain } from './values.ts';

export const SHELLS: ReadonlySet<string> = new Set([
  'sh',
  'bash',
  'dash',
  'ash',
  'ksh',
  'ksh93',
  'mksh',
  'oksh',
  'lksh',
  'pdksh',
  'zsh',
  'rbash',
  'rzsh',
  'rksh',
  'posh',
  'yash',
  'fish',
  'csh',
  'tcsh',
  'hush',
  'lash',
  'msh',
  'sash',
  'bsh',
  'xonsh',
  'nu',
  'elvish',
  'pwsh',
  'rc',
  'es',
]);
/** Whose texts are not read as they read them. */
const OTHER_GRAMMARS: ReadonlySet<string> = new Set([
  'fish',
  'csh',
  'tcsh',
  'xonsh',
  'nu',
  'elvish',
  'pwsh',
  'rc',
  'es',
  'zsh',
  'rzsh',
]);

const DECODERS =
  /^(?:base32|base64|basenc|xxd|od|openssl|gunzip|zcat|gzip|bzip2|bzcat|xz|xzcat|zstd|zstdcat|uudecode|rev|tr|gpg|hexdump|printf|sed|awk|perl|python.*)$/;
const DOWNLOADERS = /^(?:curl|wget|nc|ncat|netcat|socat|fetch|aria2c|lwp-request|GET|ftp|tftp|scp|ssh)$/;

const OWN_INPUT = /^(?:-|\/dev\/stdin|\/dev\/fd\/0|\/proc\/(?:self|\d+|thread-self)\/fd\/0|\/dev\/\.\/stdin)$/;

/** Code on standard input. */
export function readInput(frame: Frame, runner: Runner, how: 'same' | 'child'): void {
  const { input } = frame;
  const { note } = runner.facts;
  switch (input.kind) {
    case 'text':
      readText(input.text, input.exact, frame, runner, how);
      return;
    case 'file':
      note('script');
      return;
    case 'session':
      note('stdin_code');
      return;
    case 'pipe':
      note(reasonOf(input.programs));
      return;
    default:
      input satisfies never;
  }
}

/**
 * A shell reads its input line by line, and what it runs reads from the same: a program that reads its input takes lines away,
 * as `read x` before `cat <<X`. Only texts whose programs do not are what they seem.
 */
function readText(text: string, exact: boolean, frame: Frame, runner: Runner, how: 'same' | 'child'): void {
  const { facts } = runner;
  const from = facts.commands.length;
  runner.text({ text, guess: text, exact, glob: false, vanishes: false }, frame, how);
  const lines = text.trimEnd().includes('\n');
  if (lines && !facts.commands.slice(from).every(({ program }) => INPUTLESS.has(program))) facts.note('stdin_code');
}
const INPUTLESS: ReadonlySet<string> = new Set(
  (
    'echo printf cd ls rm rmdir mkdir cp mv ln touch chmod chown export unset set test [ : true false exit sleep date hostname id ' +
    'whoami uname uptime df du free ps kill systemctl service stat pwd sync mkfifo truncate shutdown reboot mount umount find ' +
    'sudo env nohup nice timeout wait umask basename dirname readlink realpath which type command'
  ).split(' '),
);

export function reasonOf(programs: readonly string[]): string {
  if (programs.some((program) => DOWNLOADERS.test(program))) return 'download_to_shell';
  if (programs.some((program) => DECODERS.test(program))) return 'decode_to_shell';
  return 'pipe_to_shell';
}

/** @param args of `sh`, `bash` and so on, without the name */
export function readShell(program: string, args: readonly Field[], frame: Frame, runner: Runner): void {
  const { note } = runner.facts;
  if (OTHER_GRAMMARS.has(program)) note('dialect');
  let command = false;
  let stdin = false;
  let at = 0;
  for (; at < args.length; at++) {
    const field = args[at]!;
    if ((!field.exact || field.glob) && field.process === undefined) note('unknown_code');
    const word = field.guess;
    if (field.vanishes) continue;
    if (word === '--' || word === '-') {
      at++;
      break;
    }
    if (word === '--rcfile' || word === '--init-file') {
      note('script');
      at++;
    } else if (word.startsWith('--')) {
      if (/^--(?:rcfile|init-file)=/.test(word)) note('script');
      if (word === '--command') command = true;
      continue;
    } else if (/^[-+]./.test(word)) {
      if (word.includes('c')) command = true;
      if (word.includes('s')) stdin = true;
      // An interactive shell reads its start files.
      if (word.includes('i')) note('script');
      // `-o name`, `-O name` take the next word, each time they are given.
      at += word.split('').filter((letter) => letter === 'o' || letter === 'O').length;
    } else break;
  }
  const rest = args.slice(at);
  const child = inside(frame, program);
  if (command) {
    const code = rest[0];
    if (code === undefined || (frame.appended && rest.length === 0)) {
      if (frame.appended) note('unknown_code');
      if (frame.appended && frame.input.kind === 'pipe') note(reasonOf(frame.input.programs));
      return;
    }
    if (frame.appended && rest.length === 1) note('unknown_code');
    runner.text(code, child, 'child', rest.slice(1));
    return;
  }
  const script = stdin ? undefined : rest.find((field) => !field.vanishes);
  if (script !== undefined && !OWN_INPUT.test(script.guess)) {
    if (script.process !== undefined) return readInput({ ...child, input: script.process }, runner, 'child');
    note('script');
    runner.facts.reads(script, frame.state.directories);
    return;
  }
  if (frame.appended) note('script');
  readInput(child, runner, 'child');
}

/** `.` and `source`. */
export function readSource(args: readonly Field[], frame: Frame, runner: Runner): void {
  const file = args.find((field) => field.guess !== '--' && !field.vanishes);
  if (file === undefined) return runner.facts.note('source');
  if (OWN_INPUT.test(file.guess) && file.exact) return readInput(inside(frame, 'source'), runner, 'same');
  if (file.process !== undefined) return readInput(inside(frame, 'source', { input: file.process }), runner, 'same');
  runner.facts.note('source');
  frame.state.unsure = true;
  runner.facts.reads(file, frame.state.directories);
}

/** `eval`: its words are joined by one blank each. */
export function readEval(args: readonly Field[], frame: Frame, runner: Runner): void {
  const words = args[0]?.guess === '--' ? args.slice(1) : args;
  const code = joinFields(words);
  if (!code.exact) runner.facts.note('eval');
  runner.text(code, inside(frame, 'eval'), 'same');
}

export const joinFields = (fields: readonly Field[]): Field => ({
  text: fields.map((field) => field.text).join(' '),
  guess: fields
    .filter((field) => !field.vanishes)
    .map((field) => field.guess)
    .join(' '),
  exact: fields.every((field) => field.exact && !field.glob),
  glob: false,
  vanishes: false,
});

/** `su`, `runuser`, `sg`, `script`: a shell that gets `-c`. */
export function readCommandOption(program: string, args: readonly Field[], frame: Frame, runner: Runner): void {
  const { note } = runner.facts;
  const child = inside(frame, program, { state: uncertain(frame.state) });
  let found = false;
  for (let at = 0; at < args.length; at++) {
    const field = args[at]!;
    if (!field.exact || field.glob) note('wrapper');
    const word = field.guess;
    const joined = /^--(?:command|session-command)=(.*)$/s.exec(word);
    const short = /^-[a-zA-Z]*c(.*)$/s.exec(word);
    const inline = joined?.[1] ?? (word.startsWith('--') ? undefined : short?.[1]);
    if (inline !== undefined && inline !== '') {
      runner.text({ ...field, text: inline, guess: inline }, child, 'child');
      found = true;
    } else if (short !== null || /^--(?:com|session-c)/.test(word)) {
      const code = args[++at];
      if (code === undefined) note('unknown_code');
      else
        runner.text(
          code,
          child,
          'child',
          args.slice(at + 1).map((word) => ({ ...word, exact: false })),
        );
      found = true;
    } else if (/^-[a-zA-Z]*s$/.test(word) || word === '--shell') {
      // Another shell reads the text.
      const shell = args[at + 1];
      if (shell !== undefined) runner.run([shell], child);
      at++;
    }
  }
  if (!found) readInput(child, runner, 'child');
}
