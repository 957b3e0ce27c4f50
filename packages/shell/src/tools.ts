/**
 * Programs that start others by one of their options: git, tar, rsync, ssh, editors, pagers and their like. What the option says
 * is read as the shell would, and the reason is `tool_code` (`editor` and `pager` where a key starts a shell).
 */
import type { OpenCommand } from './collector.ts';
import { type Frame, inside, type Runner } from './frame.ts';
import { readGit } from './git.ts';
import { guessText } from './interpreters.ts';
import { baseName, placesOf } from './paths.ts';
import { joinFields, readCommandOption, readInput } from './shells.ts';
import { type Field, mayBeOption, uncertain } from './values.ts';

type Tool = (args: readonly Field[], frame: Frame, runner: Runner, program: string, command: OpenCommand) => void;

/** @returns whether it is one */
export function readTool(
  program: string,
  args: readonly Field[],
  frame: Frame,
  runner: Runner,
  command: OpenCommand,
): boolean {
  const tool = TOOLS[program];
  if (tool === undefined || !Object.hasOwn(TOOLS, program)) return false;
  if (OPTIONS_RUN.has(program) && args.some(mayBeOption)) runner.facts.note('tool_code');
  tool(args, frame, runner, program, command);
  return true;
}

/** One of their options runs a program, so an argument that may be an option may be that one. */
const OPTIONS_RUN: ReadonlySet<string> = new Set([
  'tar',
  'gtar',
  'bsdtar',
  'rsync',
  'zip',
  'git',
  'ssh',
  'scp',
  'sftp',
  'man',
  'split',
  'sort',
  'tcpdump',
  'nc',
  'ncat',
  'socat',
]);

/** Code in a value: `tool_code`, and its commands as the shell reads them. */
function code(value: Field | undefined, text: string, program: string, frame: Frame, runner: Runner): void {
  runner.facts.note('tool_code');
  if (value === undefined) return;
  runner.text(
    { ...value, text, guess: text, exact: value.exact && value.guess === value.text },
    inside(frame, program),
    'child',
  );
}

/** Value of each option that `pattern` matches: its first group where the value is in the same word, else the next word. */
function options(args: readonly Field[], pattern: RegExp, found: (value: Field, text: string) => void): void {
  args.forEach((field, at) => {
    const match = pattern.exec(field.guess);
    if (match === null) return;
    const inline = match.slice(1).find((group) => group !== undefined);
    if (inline !== undefined && inline !== '') found(field, inline);
    else if (args[at + 1] !== undefined) found(args[at + 1]!, args[at + 1]!.guess);
  });
}

const HERE: Field = { text: '.', guess: '.', exact: true, glob: false, vanishes: false };

const tar: Tool = (args, frame, runner, program, { pathsWritten, pathsRead }) => {
  const { facts } = runner;
  options(args, /^--checkpoint-action(?:=(.*))?$/s, (value, text) => {
    const exec = /^exec=(.*)$/s.exec(text);
    if (exec !== null) code(value, exec[1]!, program, frame, runner);
  });
  options(
    args,
    /^(?:--(?:to-command|use-compress-program|info-script|new-volume-script|rsh-command|rmt-command)|--use-c[a-z-]*|--to-co[a-z-]*)(?:=(.*))?$/s,
    (value, text) => code(value, text, program, frame, runner),
  );
  options(args, /^-[a-zA-Z]*[IF](.*)$/s, (value, text) => code(value, text, program, frame, runner));
  // The first word may be letters without a dash; their values stand behind it.
  if (/^[a-zA-Z]*[IF][a-zA-Z]*$/.test(args[0]?.guess ?? ''))
    for (const field of args.slice(1)) code(field, field.guess, program, frame, runner);
  if (
    args.some(({ guess }, at) => /^--abs|^-[a-zA-Z]*P/.test(guess) || (at === 0 && /^[a-zA-Z]*P[a-zA-Z]*$/.test(guess)))
  )
    facts.note('tool_code');
  options(args, /^(?:-[a-zA-Z]*T|--files-from)(?:=(.*))?$/s, (value, text) => {
    facts.note('tool_code');
    facts.reads({ ...value, text, guess: text }, frame.state.directories, pathsRead);
  });
  // Abbreviated long options that would start something.
  if (
    args.some(
      ({ guess }) =>
        /^--(?:checkpoint-a|info|new-v|rsh|rmt)/.test(guess) && !/^--checkpoint-action=(?!exec)/.test(guess),
    )
  )
    facts.note('tool_code');
  const first = args[0]?.guess ?? '';
  const modes = /^-?[a-zA-Z]+$/.test(first) && !first.startsWith('--') ? first : '';
  const has = (letter: string, long: string): boolean =>
    modes.includes(letter) ||
    args.some(({ guess }) => guess === `--${long}` || (/^-[a-zA-Z]+$/.test(guess) && guess.includes(letter)));
  const archive = args.findIndex(({ guess }) => /^-?[a-zA-Z]*f$/.test(guess));
  const file = archive < 0 ? undefined : args[archive + 1];
  const { directories } = frame.state;
  const places: Field[] = [];
  options(args, /^(?:-[a-zA-Z]*C|--dir[a-z]*=?)(.*)$/s, (value, text) => places.push({ ...value, text, guess: text }));
  if (has('x', 'extract') || has('x', 'get')) {
    if (file !== undefined) facts.reads(file, directories, pathsRead);
    for (const place of places.length > 0 ? places : [HERE]) facts.writes(place, directories, pathsWritten);
  } else if (has('c', 'create') || has('r', 'append') || has('u', 'update')) {
    if (file !== undefined) facts.writes(file, directories, pathsWritten);
    let from = directories;
    for (const place of places) from = place.exact ? placesOf(place.guess, from) : [];
    for (const field of args.slice(Math.min(1, args.length)))
      if (!field.guess.startsWith('-') && field !== file && !places.some(({ guess }) => guess === field.guess)) {
        facts.reads(field, directories, pathsRead);
        if (from !== directories) facts.reads(field, from, pathsRead);
      }
  }
};

const ssh: Tool = (args, frame, runner, program) => {
  const { facts } = runner;
  readSshOptions(args, frame, runner, program);
  const values = /^-[46AaCfGgKkMNnqsTtVvXxYy]*[BbcDEeFIiJLlmOoPpQRSWw]$/;
  let at = 0;
  let host = false;
  // Options may stand behind the host, too: what follows them is the command.
  for (; at < args.length; at++) {
    const word = args[at]!.guess;
    if (!args[at]!.exact) facts.note('wrapper');
    if (values.test(word)) at++;
    else if (word === '--') {
      if (host) {
        at++;
        break;
      }
    } else if (!/^-./.test(word)) {
      if (host) break;
      host = true;
    }
  }
  const remote = args.slice(at);
  if (remote.length > 0)
    runner.text(joinFields(remote), inside(frame, program, { state: uncertain(frame.state) }), 'child');
  // A shell there reads what is typed here, or what stands on its input.
  else if (host && !args.some(({ guess }) => /^-[a-zA-Z0-9]*[NVGOQ]/.test(guess)))
    readInput(inside(frame, program), runner, 'child');
};

function readSshOptions(args: readonly Field[], frame: Frame, runner: Runner, program: string): void {
  options(args, /^-[46AaCfGgKkMNnqsTtVvXxYy3rBp]*o(.*)$/s, (value, text) => {
    const match =
      /^\s*(ProxyCommand|LocalCommand|KnownHostsCommand|RemoteCommand|PKCS11Provider|SecurityKeyProvider|XAuthLocation|ProxyUseFdpass|Include)\s*[=\s]\s*(.*)$/is.exec(
        text,
      );
    if (match !== null && !/^none$/i.test(match[2]!)) code(value, match[2]!, program, frame, runner);
  });
  options(args, /^-[FISD](.*)$/s, (value) => {
    if (program === 'scp' || program === 'sftp') {
      const option = args[args.indexOf(value) - 1]?.guess ?? value.guess;
      if (/^-[SD]/.test(option)) code(value, value.guess.replace(/^-[SD]/, ''), program, frame, runner);
    }
    if (args.some(({ guess }) => /^-[FI]/.test(guess))) runner.facts.note('tool_code');
  });
}

const rsync: Tool = (args, frame, runner, program) => {
  options(args, /^(?:-[a-zA-Z]*e|--rsh=?|--rs)(.*)$/s, (value, text) => {
    if (args.some(({ guess }) => guess === '--server')) return;
    // The transport alone is no code.
    if (/^(?:\/usr\/bin\/)?ssh(?: +-(?:p *\d+|[46aCqTvx]|i +[\w./~-]+|l +[\w.-]+))*$/.test(text.trim())) return;
    code(value, text, program, frame, runner);
  });
  options(args, /^--(?:rsync-path|early-input|password-file)(?:=(.*))?$/s, (value, text) => {
    if (value.guess.startsWith('--rsync-path') || args.some(({ guess }) => guess === '--rsync-path'))
      code(value, text, program, frame, runner);
  });
};

/** `vim -c '!rm'`, `+!rm`, `ed` with `!rm` on its input: a shell is one key away in each of them. */
const editor: Tool = (args, frame, runner, program) => {
  runner.facts.note('editor');
  const read = (text: string): void => {
    for (const match of text.matchAll(/!\s*([^\n|]+)|system\(\s*(['"])(.*?)\2/g))
      guessText((match[1] ?? match[3])!, program, frame, runner);
    const shell = /\(shell-command\s+"((?:\\.|[^"\\])*)"/.exec(text);
    if (shell !== null) guessText(shell[1]!, program, frame, runner);
  };
  for (const { guess } of args) if (/[!(]/.test(guess)) read(guess);
  if (frame.input.kind === 'text') read(frame.input.text);
};

const pager: Tool = (args, frame, runner, program) => {
  const { facts } = runner;
  facts.note('pager');
  for (const { guess } of args) {
    const bang = /^\+.*?!(.*)$/s.exec(guess);
    if (bang !== null) guessText(bang[1]!, program, frame, runner);
  }
};

const man: Tool = (args, frame, runner, program) => {
  runner.facts.note('pager');
  options(args, /^(?:-[PH]|--pager=?|--html=?|--preprocessor)(.*)$/s, (value, text) =>
    code(value, text, program, frame, runner),
  );
  if (args.some(({ guess }) => /^-[a-zA-Z]*[CH]|^--config/.test(guess))) runner.facts.note('tool_code');
};

/** Options that name a program, by the program they belong to. */
const byOption =
  (pattern: RegExp): Tool =>
  (args, frame, runner, program) =>
    options(args, pattern, (value, text) => code(value, text, program, frame, runner));

/** `fd . / -x rm`: what follows the option is run on each file. */
const finder: Tool = (args, frame, runner, program) => {
  const exec = args.findIndex(({ guess }) => /^(?:-[a-zA-Z]*[xX]|--exec|--exec-batch)$/.test(guess));
  if (!args.some(({ guess }) => /^(?:-[a-zA-Z]*[xX]|--exec)/.test(guess))) return;
  runner.facts.note('tool_code');
  if (exec < 0) return;
  const starts = args.slice(0, exec).filter(({ guess }) => guess.includes('/'));
  const found = starts.map((field) => ({ ...field, exact: false }));
  runner.run([...args.slice(exec + 1), ...found], inside(frame, program, { appended: true }));
};

/** `socat EXEC:…`, `SYSTEM:…`. */
const socat: Tool = (args, frame, runner, program) => {
  for (const field of args) {
    const match = /(?:^|[^a-z])(?:exec|system|shell)\s*:\s*"?([^,"]*)/i.exec(field.guess);
    if (match !== null) code(field, match[1]!, program, frame, runner);
  }
};

const sqlClient: Tool = (args, _frame, runner) => {
  const { facts } = runner;
  for (const { guess } of args) {
    if (/\\!|\\[oig]\b|\\copy|\bsystem\b|\\sh\b|copy\s.*program/i.test(guess)) facts.note('tool_code');
  }
  if (args.some(({ guess }) => /^(?:-f|--file)/.test(guess))) facts.note('script');
};

const container: Tool = (args, frame, runner, program) => {
  runner.facts.note('container');
  const verb = args.findIndex(({ guess }) => /^(?:run|exec|create)$/.test(guess));
  if (verb < 0) return;
  // Where options end cannot be told for every version: each word may be the first of the command.
  const rest = args.slice(verb + 1);
  const separator = rest.findIndex(({ guess }) => guess === '--');
  const from = separator >= 0 ? separator + 1 : rest.findIndex(({ guess }) => SHELL_WORDS.has(baseName(guess)));
  if (from >= 0 && from < rest.length) runner.run(rest.slice(from), inside(frame, program));
};
const SHELL_WORDS = new Set([
  'sh',
  'bash',
  'dash',
  'ash',
  'rm',
  'dd',
  'chroot',
  'nsenter',
  'env',
  'sudo',
  'su',
  'python3',
  'python',
  'perl',
]);

/** Asks for other programs in their configuration or by `-o`. */
const packages: Tool = (args, _frame, { facts }, program) => {
  // Macros run programs: `rpm -E '%(id)'`.
  if (
    program === 'rpm' &&
    args.some(({ guess }) => /^(?:-[a-zA-Z]*[ED]|--(?:eval|define|pipe|load|macros|rcfile|predefine))/.test(guess))
  )
    facts.note('tool_code');
  if (
    args.some(({ guess }) => /invoke|dpkg::|pre-|post-|exec/i.test(guess)) ||
    args.some(({ guess }) => /^(?:-c|--config-file)/.test(guess))
  )
    facts.note('tool_code');
};

/** Files that are called what their address ends in. */
function downloads(args: readonly Field[], frame: Frame, { facts }: Runner, { pathsWritten }: OpenCommand): void {
  for (const field of args) {
    const name = /^(?:\w+:\/\/)?[^/\s]+\/(?:[^?#]*\/)?([^/?#]+)(?:[?#].*)?$/s.exec(field.guess)?.[1];
    if (name === undefined || field.guess.startsWith('-')) continue;
    const text = decoded(name);
    facts.writes({ ...field, text, guess: text }, frame.state.directories, pathsWritten);
  }
}

function decoded(text: string): string {
  return text.replaceAll(/%([0-9a-fA-F]{2})/g, (_all, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

const terminal: Tool = (args, frame, runner, program) => {
  // screen and tmux keep a terminal of their own, where lines can be sent to.
  runner.facts.note('terminal');
  for (const { guess } of args) if (/\s/.test(guess)) guessText(guess, program, frame, runner);
  const from = args.findIndex(({ guess }) =>
    /^(?:new|new-session|new-window|neww|split-window|run-shell|run|if-shell|respawn-pane|-dm|-dmS|-d|-m)$/.test(guess),
  );
  if (from >= 0) {
    const rest = args.slice(from + 1).filter(({ guess }) => !guess.startsWith('-'));
    if (rest.length > 0) guessText(rest.map(({ guess }) => guess).join(' '), program, frame, runner);
  }
};

const startStop: Tool = (args, frame, runner, program) => {
  const separator = args.findIndex(({ guess }) => guess === '--');
  const rest = separator < 0 ? [] : args.slice(separator + 1);
  options(
    args.slice(0, separator < 0 ? undefined : separator),
    /^(?:-[a-zA-Z]*[xa]|--exec|--startas)(?:=(.*))?$/s,
    (value, text) => runner.run([{ ...value, text, guess: text }, ...rest], inside(frame, program)),
  );
};

const ip: Tool = (args, frame, runner, program) => {
  const object = args.findIndex(({ guess }) => /^(?:netn?s?|vrf?)$/.test(guess));
  const exec = args.findIndex(({ guess }, at) => at > object && /^e(?:x(?:ec?)?)?$/.test(guess));
  if (args.some(({ guess }) => /^-b(?:a|$)/.test(guess))) runner.facts.note('script');
  if (object < 0 || exec < 0) return;
  runner.run(args.slice(exec + 2), inside(frame, program));
};

/** The dynamic linker: `ld.so /bin/rm`. */
const loader: Tool = (args, frame, runner, program) => {
  let at = 0;
  while (at < args.length && args[at]!.guess.startsWith('-'))
    at += /^--(?:library-path|inhibit-rpath|audit|preload|argv0|glibc-hwcaps-.*)$/.test(args[at]!.guess) ? 2 : 1;
  if (args.some(({ guess }) => /^--(?:preload|audit|library-path)/.test(guess))) runner.facts.note('environment');
  if (at < args.length) runner.run(args.slice(at), inside(frame, program));
};

const TOOLS: Readonly<Record<string, Tool>> = {
  git: (args, frame, runner, _program, command) => readGit(args, frame, runner, command),
  tar,
  gtar: tar,
  bsdtar: tar,
  ssh,
  slogin: ssh,
  rsh: ssh,
  autossh: ssh,
  mosh: ssh,
  scp: (args, frame, runner, program) => readSshOptions(args, frame, runner, program),
  sftp: (args, frame, runner, program) => {
    readSshOptions(args, frame, runner, program);
    if (args.some(({ guess }) => guess === '-b')) runner.facts.note('script');
  },
  rsync,
  vi: editor,
  vim: editor,
  nvim: editor,
  view: editor,
  vimtutor: editor,
  vidir: editor,
  vimdiff: editor,
  rvim: editor,
  gvim: editor,
  ex: editor,
  ed: editor,
  red: editor,
  emacs: editor,
  emacsclient: editor,
  nano: editor,
  pico: editor,
  joe: editor,
  mcedit: editor,
  micro: editor,
  helix: editor,
  hx: editor,
  kak: editor,
  mc: editor,
  ranger: editor,
  nnn: editor,
  vifm: editor,
  less: pager,
  more: pager,
  most: pager,
  zless: pager,
  zmore: pager,
  pg: pager,
  info: pager,
  top: pager,
  htop: pager,
  ftp: pager,
  lftp: pager,
  telnet: pager,
  mail: pager,
  mailx: pager,
  mutt: pager,
  bc: pager,
  cscope: pager,
  man,
  visudo: editor,
  vipw: editor,
  vigr: editor,
  systemctl: (args, _frame, { facts }) => {
    if (args.some(({ guess }) => guess === 'edit')) facts.note('editor');
  },
  crontab: (args, _frame, { facts }) => {
    if (args.some(({ guess }) => /^-[a-z]*e/.test(guess))) facts.note('editor');
  },
  split: byOption(/^--filter(?:=(.*))?$/s),
  sort: byOption(/^--compress-prog[a-z]*(?:=(.*))?$/s),
  zip: byOption(/^(?:-TT|--unzip-command)(?:=(.*))?$/s),
  tcpdump: byOption(/^-z(.*)$/s),
  nc: byOption(/^(?:-[a-zA-Z]*[ec]|--exec|--sh-exec|--lua-exec)(?:=(.*))?$/s),
  ncat: byOption(/^(?:-[a-zA-Z]*[ec]|--exec|--sh-exec|--lua-exec)(?:=(.*))?$/s),
  netcat: byOption(/^(?:-[a-zA-Z]*[ec]|--exec)(?:=(.*))?$/s),
  wget: (args, frame, runner, program, command) => {
    byOption(/^--use-askpass(?:=(.*))?$/s)(args, frame, runner, program, command);
    if (args.some(({ guess }) => /^(?:-[a-zA-Z]*e|--exec|--config)/.test(guess))) runner.facts.note('script');
    downloads(args, frame, runner, command);
  },
  curl: (args, frame, runner, _program, command) => {
    if (args.some(({ guess }) => /^(?:-[a-zA-Z]*K|--conf)/.test(guess))) runner.facts.note('script');
    if (args.some(({ guess }) => /^(?:-[a-zA-Z#]*[OJ]|--remote-[a-z-]+)/.test(guess)))
      downloads(args, frame, runner, command);
    for (const field of args) {
      const file = /^(?:--url=)?file:(?:\/\/[^/]*)?(\/.*)$/is.exec(field.guess)?.[1];
      if (file === undefined) continue;
      // curl has braces and brackets of its own, and takes `%73` for a letter.
      const text = decoded(file).replaceAll(/[{}[\]]/g, '?');
      runner.facts.reads({ ...field, text, guess: text }, frame.state.directories, command.pathsRead);
      if (/[{[%]/.test(file)) runner.facts.note('unknown_code');
    }
  },
  gpg: byOption(/^--(?:agent-program|dirmngr-program|gpg-agent-program|photo-viewer|pinentry-program)(?:=(.*))?$/s),
  logsave: (args, frame, runner, program) =>
    void runner.run(args.filter(({ guess }) => !guess.startsWith('-')).slice(1), inside(frame, program)),
  'run-parts': (_args, _frame, { facts }) => facts.note('script'),
  'run-mailcap': (_args, _frame, { facts }) => facts.note('script'),
  socat,
  fd: finder,
  fdfind: finder,
  cpio: (args, frame, runner, program, command) => {
    byOption(/^--rsh-command(?:=(.*))?$/s)(args, frame, runner, program, command);
    // Which files it takes stands on its input.
    if (args.some(({ guess }) => /^-[a-zA-Z]*[op]|^--(?:create|pass)/.test(guess))) runner.facts.note('tool_code');
  },
  msgfilter: byOption(/^-P(.*)$/s),
  openvpn: byOption(/^--(?:up|down|route-up|ipchange|client-connect|tls-verify|plugin|config)$/),
  gcc: byOption(/^-(?:wrapper|fplugin=|specs=?|B)(.*)$/s),
  cc: byOption(/^-(?:wrapper|fplugin=|specs=?|B)(.*)$/s),
  openssl: (args, _frame, { facts }) => {
    if (args.some(({ guess }) => /^-?engine$|^-provider/.test(guess))) facts.note('tool_code');
  },
  'ssh-keygen': byOption(/^-[Dw](.*)$/s),
  'ssh-add': byOption(/^-[sS](.*)$/s),
  nmap: (args, _frame, { facts }) => {
    if (args.some(({ guess }) => /^--(?:script|interactive)/.test(guess))) facts.note('tool_code');
  },
  svn: byOption(/^--(?:editor-cmd|diff-cmd|diff3-cmd|config-option)(?:=(.*))?$/s),
  hg: byOption(/^--config(?:=(.*))?$/s),
  psql: sqlClient,
  mysql: sqlClient,
  mariadb: sqlClient,
  'redis-cli': sqlClient,
  docker: container,
  podman: container,
  nerdctl: container,
  kubectl: container,
  lxc: container,
  'lxc-attach': container,
  crictl: container,
  ctr: container,
  runc: container,
  'docker-compose': container,
  oc: container,
  machinectl: container,
  'systemd-nspawn': container,
  bwrap: container,
  firejail: container,
  incus: container,
  virsh: container,
  apt: packages,
  'apt-get': packages,
  aptitude: packages,
  yum: packages,
  dnf: packages,
  zypper: packages,
  pacman: packages,
  rpm: packages,
  dpkg: packages,
  snap: packages,
  apk: packages,
  tmux: terminal,
  screen: terminal,
  byobu: terminal,
  dtach: terminal,
  zellij: terminal,
  abduco: terminal,
  'start-stop-daemon': startStop,
  capsh: (args, frame, runner) =>
    readCommandOption(
      'capsh',
      args.filter(({ guess }) => guess.length > 0),
      frame,
      runner,
    ),
  ip,
  'ld.so': loader,
  logrotate: (_args, _frame, { facts }) => facts.note('script'),
  'update-alternatives': (_args, _frame, { facts }) => facts.note('tool_code'),
};
