/**
 * Paths that a program's words name, by path-table.ts, and which programs change rights or reach the network. Every word of a
 * program that is not listed may be a path it reads. Refuses to know what is on the host.
 */
import type { Collector, OpenCommand } from './collector.ts';
import type { Frame } from './frame.ts';
import { runsScript } from './interpreters.ts';
import { PATHLESS, PATHS, type PathSyntax } from './path-table.ts';
import { baseName } from './paths.ts';
import type { Field } from './values.ts';
import { WRAPPERS } from './wrappers.ts';

type Kind = 'value' | 'output' | 'input';

interface Options {
  /** Of one letter, which may stand among others: `-so file`, `-sofile`. */
  readonly letters: ReadonlyMap<string, Kind>;
  readonly names: ReadonlyMap<string, Kind>;
}

const compiled = new Map<PathSyntax, Options>();

function optionsOf(syntax: PathSyntax): Options {
  const known = compiled.get(syntax);
  if (known !== undefined) return known;
  const letters = new Map<string, Kind>();
  const names = new Map<string, Kind>();
  const add = (kind: Kind, list = ''): void => {
    for (const name of list.split(' ')) {
      if (/^-[^-]$/.test(name)) letters.set(name[1]!, kind);
      else if (name !== '') names.set(name, kind);
    }
  };
  add('value', syntax.values);
  add('input', syntax.input);
  add('output', syntax.output);
  const options = { letters, names };
  compiled.set(syntax, options);
  return options;
}

/** GNU takes the beginning of a long option for the option. */
function kindOf(name: string, { names }: Options): Kind | undefined {
  const exact = names.get(name);
  if (exact !== undefined || !/^--./.test(name)) return exact;
  for (const wanted of ['output', 'input', 'value'] as const)
    for (const [each, kind] of names) if (kind === wanted && each.startsWith(name)) return kind;
  return undefined;
}

/** Of a program that nobody knows: options under which programs name what they write. */
const OUTPUT_OPTION = /^(?:-[oOwC]|--?(?:out|dest|dir|target|to|save|log|trace|write|dump|prefix|export)[a-z-]*)$/;
const ANY: PathSyntax = { reads: true };
/** Of an interpreter: its script is the reason `script`, not a file that is read. */
const SCRIPTED: PathSyntax = { reads: true, skip: 1 };

export function readPaths(
  program: string,
  args: readonly Field[],
  frame: Frame,
  facts: Collector,
  command: OpenCommand,
): void {
  const mkfs = program.startsWith('mkfs.') ? 'mkfs' : program;
  const listed = Object.hasOwn(PATHS, mkfs) ? PATHS[mkfs] : undefined;
  if (listed === undefined && (PATHLESS.has(program) || frame.state.functions.has(program))) return;
  const syntax = listed ?? (runsScript(program, args) ? SCRIPTED : ANY);
  new PathReader(args, frame, facts, command).read(syntax);
}

/** One program's words, read once. */
class PathReader {
  readonly #args: readonly Field[];
  readonly #directories: readonly string[];
  readonly #facts: Collector;
  readonly #command: OpenCommand;
  readonly #operands: Field[] = [];
  #pattern = false;
  #placed: Field | undefined;

  constructor(args: readonly Field[], { state }: Frame, facts: Collector, command: OpenCommand) {
    this.#args = args;
    this.#directories = state.directories;
    this.#facts = facts;
    this.#command = command;
  }

  read(syntax: PathSyntax): void {
    const options = optionsOf(syntax);
    for (let at = 0; at < this.#args.length; at++) {
      const field = this.#args[at]!;
      const word = field.guess;
      if (word === '--' && !isAny(syntax)) {
        for (const rest of this.#args.slice(at + 1)) this.#operands.push(rest);
        break;
      }
      if (syntax.outputWord !== undefined) this.#assigned(field, syntax);
      else if (/^-./.test(word)) at = this.#option(at, options, syntax);
      else this.#operands.push(field);
    }
    this.#own(syntax);
  }

  /** @returns where the last word of it stands */
  #option(at: number, options: Options, syntax: PathSyntax): number {
    const field = this.#args[at]!;
    const word = field.guess;
    const equals = word.indexOf('=');
    const name = equals < 0 ? word : word.slice(0, equals);
    if (syntax.skip !== undefined && syntax !== SCRIPTED && /^-[a-zA-Z]*[ef]|^--(?:reg|exp|file|from-file)/.test(name))
      this.#pattern = true;
    const kind = isAny(syntax) && OUTPUT_OPTION.test(name) ? 'output' : kindOf(name, options);
    if (kind !== undefined) {
      const value = equals < 0 ? this.#args[at + 1] : valueOf(field, word.slice(equals + 1));
      this.#value(kind, value);
      // Of a program that nobody knows, the next word may be an operand.
      return equals < 0 && !isAny(syntax) ? at + 1 : at;
    }
    if (!word.startsWith('--')) {
      for (let index = 1; index < word.length; index++) {
        const letter = options.letters.get(word[index]!);
        if (letter === undefined) continue;
        const inline = word.slice(index + 1);
        this.#value(letter, inline === '' ? this.#args[at + 1] : valueOf(field, inline));
        return inline === '' ? at + 1 : at;
      }
    }
    const path = /[=:@]?([/~].*|\.\.?\/.*)$/s.exec(word)?.[1];
    if (path !== undefined) this.#reads(valueOf(field, path));
    return at;
  }

  #value(kind: Kind, value: Field | undefined): void {
    if (value === undefined) return;
    if (kind === 'output') {
      this.#placed = value;
      this.#writes(value);
    } else if (kind === 'input') this.#reads(value);
    else this.#mentioned(value);
  }

  #own(syntax: PathSyntax): void {
    const operands = this.#operands;
    const own = operands.slice(this.#pattern ? 0 : (syntax.skip ?? 0));
    const sends = syntax.sends !== undefined && this.#args.some(({ guess }) => syntax.sends!.test(guess));
    const copies = (syntax.copies === true && !sends) || syntax.moves === true;
    const target = copies ? (this.#placed ?? (own.length > 1 ? own.at(-1) : HERE)) : undefined;
    own.forEach((field, at) => {
      const last = at === own.length - 1;
      const isTarget = copies && last && own.length > 1 && this.#placed === undefined;
      if (syntax.writes === true || syntax.moves === true || isTarget) this.#writes(field);
      if (syntax.reads === true || sends || (copies && !isTarget)) this.#reads(field);
      if (target !== undefined && !isTarget) this.#intoDirectory(field, target);
      if (isAny(syntax)) this.#mentioned(field);
    });
    const lists = syntax.lists !== undefined && this.#args.some(({ guess }) => syntax.lists!.test(guess));
    if (syntax.here === true && !lists && this.#placed === undefined) this.#writes(HERE);
  }

  /** `cp x/.bashrc ~` writes `~/.bashrc`. */
  #intoDirectory(source: Field, target: Field): void {
    let end = source.guess.length;
    while (end > 0 && source.guess[end - 1] === '/') end--;
    const name = baseName(source.guess.slice(0, end));
    if (name === '' || name === '.' || name === '..') return;
    const join = (directory: string): string => `${directory.replace(/\/$/, '')}/${name}`;
    const exact = source.exact && target.exact;
    this.#writes({ ...target, text: join(target.text), guess: join(target.guess), exact });
  }

  /** `dd of=x`. */
  #assigned(field: Field, { outputWord, inputWord }: PathSyntax): void {
    const out = outputWord?.exec(field.guess)?.[1];
    const input = inputWord?.exec(field.guess)?.[1];
    if (out !== undefined) this.#writes(valueOf(field, out));
    if (input !== undefined) this.#reads(valueOf(field, input));
  }

  /** Paths that stand in a word: `x=/etc/passwd`, `@/etc/passwd`, `load_file('/etc/passwd')`. */
  #mentioned(field: Field): void {
    let found = 0;
    for (const [, path] of field.guess.matchAll(/(?:^|[\s'"=(@,<:])((?:~|\.\.)?\/[^\s'",;)]*)/g)) {
      if (path!.startsWith('//') || ++found > 10) break;
      this.#reads(valueOf(field, path!));
    }
  }

  #writes(field: Field): void {
    this.#facts.writes(field, this.#directories, this.#command.pathsWritten);
  }

  #reads(field: Field): void {
    this.#facts.reads(field, this.#directories, this.#command.pathsRead);
  }
}

const HERE: Field = { text: '.', guess: '.', exact: true, glob: false, vanishes: false };
const isAny = (syntax: PathSyntax): boolean => syntax === ANY || syntax === SCRIPTED;

const valueOf = (field: Field, text: string): Field => ({ ...field, text, guess: text });

const PRIVILEGED: ReadonlySet<string> = new Set(
  (
    'sudo su doas runuser pkexec sudoedit setpriv nsenter unshare chroot newgrp sg machinectl systemd-run capsh setcap visudo ' +
    'dzdo pbrun calife op super userv login useradd usermod userdel groupadd groupmod groupdel gpasswd passwd chpasswd chgpasswd ' +
    'chsh chfn vipw vigr adduser deluser addgroup delgroup newusers pwconv setenforce semanage aa-disable aa-complain polkit'
  ).split(' '),
);

export function isPrivileged(program: string, args: readonly Field[]): boolean {
  if (PRIVILEGED.has(program) || (Object.hasOwn(WRAPPERS, program) && WRAPPERS[program]!.privilege === true))
    return true;
  // Set-user-id and set-group-id modes.
  return (
    program === 'chmod' &&
    args.some(
      ({ guess }) => /^(?:[ugoa]*[+=][rwxXt]*s|[+=]?0*[2467]\d{3}$)/.test(guess) || /,[ugoa]*[+=][rwxXt]*s/.test(guess),
    )
  );
}

const NETWORK: ReadonlySet<string> = new Set(
  (
    'curl wget nc ncat netcat socat ssh scp sftp rsync telnet ftp lftp tftp aria2c axel fetch lynx links w3m elinks http https httpie ' +
    'nmap masscan zmap ping ping6 traceroute mtr dig host nslookup whois openssl rclone aws gsutil gcloud az s3cmd mc sendmail mail ' +
    'mailx mutt msmtp swaks iperf iperf3 chisel ngrok cloudflared frpc ssh-copy-id autossh mosh telnetd psql mysql mariadb redis-cli ' +
    'mongo mongosh kubectl helm smbclient rpcclient ldapsearch snmpwalk rdesktop xfreerdp vncviewer irssi GET POST lwp-request tor'
  ).split(' '),
);
const GIT_NETWORK = /^(?:clone|fetch|pull|push|ls-remote|remote|submodule|archive)$/;

export function isNetwork(program: string, args: readonly Field[]): boolean {
  if (program === 'git') return args.some(({ guess }) => GIT_NETWORK.test(guess));
  if (program === 'rsync') return args.some(({ guess }) => /^[^/]*:|^rsync:/.test(guess));
  if (program === 'openssl') return args.some(({ guess }) => /^s_(?:client|server|time)$|^ocsp$/.test(guess));
  return NETWORK.has(program);
}
