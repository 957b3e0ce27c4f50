/**
 * Programs that run code of a language of their own. Their code is not read: the reason is `interpreter_code`. Shell commands
 * that stand in it as plain strings are guessed at, so that a rule about `rm` sees `perl -e 'system("rm …")'` too.
 */
import type { OpenCommand } from './collector.ts';
import { type Frame, inside, type Runner } from './frame.ts';
import { readInput } from './shells.ts';
import { isPlainAwk, isPlainSed } from './text-tools.ts';
import type { Field } from './values.ts';

/** Short options with code in them, for each interpreter. */
const CODE: readonly { readonly name: RegExp; readonly code: RegExp; readonly inert?: RegExp }[] = [
  {
    name: /^(?:python|pypy|micropython|ipython|jython)[\d.]*$/,
    code: /^-[a-zA-Z]*c/,
    inert: /^(?:-V+|--version|--help|-h)$/,
  },
  { name: /^perl[\d.]*$/, code: /^-[a-zA-Z0-9]*[eE]/, inert: /^(?:-v|-V|--version)$/ },
  { name: /^(?:ruby|jruby|irb)[\d.]*$/, code: /^-[a-zA-Z]*e/, inert: /^(?:-v|--version)$/ },
  {
    name: /^(?:node|nodejs|deno|bun|ts-node|qjs|js|rhino)$/,
    code: /^(?:-e|-p|-pe|--eval|--print)/,
    inert: /^(?:-v|--version)$/,
  },
  { name: /^php[\d.]*$/, code: /^-[rBRE]/, inert: /^(?:-v|-i|-m|--version)$/ },
  {
    name: /^(?:lua[\d.]*|luajit|tclsh[\d.]*|wish|expect|Rscript|R|julia|guile|gsi|csi|racket|sbcl|clisp|ecl|ocaml|erl|elixir|iex|scala|groovy|jshell|kotlin|swift|ghci|runghc|gst|gawk-csv|osascript|bsh|jrunscript|octave|gnuplot|maxima|sqlite3?|duckdb|mongo|mongosh|gdb|lldb|bpftrace|stap|nft-script|m4|pdb\d*|jq-script|make|gmake|bmake|ninja|cmake|rake|ant|mvn|gradle|just|task|invoke|fab|ansible|ansible-playbook|salt|salt-call|puppet|chef-client|nmap-script|tcc|go|cargo|dc|uv|uvx|poetry|pipenv|bundle|tox|nox|csvtool|slsh|octave-cli|npx|npm|yarn|pnpm|pip[\d.]*|gem|composer|java|dotnet|mono|wine|qemu-[\w-]+)$/,
    code: /^(?:-e|-c|-ex|--eval|-x)/,
    inert: /^(?:-v|-V|-version|--version|--help)$/,
  },
];
/** Guessing takes time that grows with the square of the length, so a long script is read piece by piece. */
const PIECE_CHARACTERS = 1_500;
/** What stands over the end of a piece stands in the next one whole. */
const NEXT_PIECE_CHARACTERS = 1_000;

function* piecesOf(text: string): Generator<string> {
  for (let at = 0; at === 0 || at + PIECE_CHARACTERS - NEXT_PIECE_CHARACTERS < text.length; at += NEXT_PIECE_CHARACTERS)
    yield text.slice(at, at + PIECE_CHARACTERS);
}
const AWK = /^(?:awk|gawk|mawk|nawk|original-awk|goawk)$/;
const SED = /^(?:sed|gsed)$/;
export const isTextTool = (program: string): boolean => AWK.test(program) || SED.test(program);
/** By a name that is no word of other programs. */
export const isInterpreter = (program: string): boolean =>
  CODE.slice(0, 3).some(({ name }) => name.test(program)) || /^(?:node|nodejs|php[\d.]*|lua[\d.]*)$/.test(program);

/** Its first operand is a script that it runs, as no option brings the code. */
export function runsScript(program: string, args: readonly Field[]): boolean {
  const entry = CODE.find(({ name }) => name.test(program));
  return entry !== undefined && !args.some((field) => entry.code.test(field.guess));
}

const IN_CODE =
  /(?:system|exec[lv]?p?e?|popen\d?|spawn\w*|shell_exec|passthru|backtick|run|call|check_output|check_call|getoutput|sh|qx|%x|os\.execute|IO\.popen|execSync|Popen)\s*[[({/]*\s*(["'])((?:\\.|(?!\1)[^\\])*)\1|`([^`]+)`|(?:qx|%x)\s*[{(/]([^})/]+)/g;

/** @returns whether it is one */
export function readInterpreter(
  program: string,
  args: readonly Field[],
  frame: Frame,
  runner: Runner,
  { pathsWritten }: OpenCommand,
): boolean {
  const { note } = runner.facts;
  if (AWK.test(program)) {
    if (!isPlainAwk(args)) {
      note('interpreter_code');
      guess(program, args, frame, runner);
      // `"rm -rf /" | getline`: what awk runs is a string.
      for (const piece of args.flatMap((field) => [...piecesOf(field.guess)]))
        for (const [, code] of piece.matchAll(/"((?:\\.|[^"\\]){1,2000})"\s*\)*\s*\|/g))
          guessText(code!, program, frame, runner);
    }
    return true;
  }
  if (SED.test(program)) {
    if (!isPlainSed(args, (file) => runner.facts.writes(file, frame.state.directories, pathsWritten))) {
      note('interpreter_code');
      for (const field of args) sedCommands(field, program, frame, runner);
    }
    return true;
  }
  const entry = CODE.find(({ name }) => name.test(program));
  if (entry === undefined) return false;
  const plain =
    args.length > 0 && !frame.appended && args.every((field) => field.exact && entry.inert?.test(field.guess) === true);
  if (plain) return true;
  if (args.some((field) => entry.code.test(field.guess))) note('interpreter_code');
  else if (args.every((field) => /^-./.test(field.guess))) {
    // No script: it reads its input.
    if (frame.input.kind === 'session') note('stdin_code');
    note('interpreter_code');
    if (frame.input.kind === 'pipe') readInput(inside(frame, program), runner, 'child');
  } else note('script');
  guess(program, args, frame, runner);
  return true;
}

function guess(program: string, args: readonly Field[], frame: Frame, runner: Runner): void {
  const texts = args.map((field) => field.guess);
  if (frame.input.kind === 'text') texts.push(frame.input.text);
  for (const text of texts.flatMap((each) => [...piecesOf(each)])) {
    let found = 0;
    for (const match of text.matchAll(IN_CODE)) {
      const code = match[2] ?? match[3] ?? match[4];
      if (code === undefined || ++found > 20) break;
      guessText(code.replaceAll(/\\(["'\\])/g, '$1'), program, frame, runner);
    }
  }
}

/** `s/x/rm -rf \//e`, `1e rm`, `e rm`. */
function sedCommands(field: Field, program: string, frame: Frame, runner: Runner): void {
  for (const piece of piecesOf(field.guess)) {
    const match = /(?:^|[;{}\n]|[\d$/!])\s*e\s+([^\n;}]+)/.exec(piece);
    if (match !== null) guessText(match[1]!, program, frame, runner);
    const replaced = /s(.)(?:\\.|(?!\1).)*\1((?:\\.|(?!\1).)*)\1[a-zA-Z0-9]*e/s.exec(piece);
    if (replaced !== null) guessText(replaced[2]!.replaceAll(/\\(.)/g, '$1'), program, frame, runner);
  }
}

/** Text that may be run by a shell: read, and never trusted. */
export function guessText(text: string, program: string, frame: Frame, runner: Runner): void {
  runner.text({ text, guess: text, exact: false, glob: false, vanishes: false }, inside(frame, program), 'child');
}
