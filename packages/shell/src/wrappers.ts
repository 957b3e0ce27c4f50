/**
 * Programs that run the program in their arguments: how their options are skipped. From their manual pages (GNU coreutils 9,
 * util-linux 2.38, sudo 1.9, findutils 4.9). Refuses to guess: an option that is not listed makes the reason `wrapper`.
 */
import type { Field } from './values.ts';

export interface WrapperSyntax {
  /** Short options that take a value. */
  readonly short?: string;
  /** Short options that take none; an unlisted one is not known. */
  readonly flags?: string;
  /** Long options that take a value as the next word (`--x=v` is always one word). */
  readonly long?: readonly string[];
  /** Words between options and program. */
  readonly operands?: number;
  /** `NAME=value` words may stand before the program. */
  readonly assignments?: boolean;
  /** Words are joined and read by a shell. */
  readonly shell?: boolean;
  /** Options that mean that nothing is run. */
  readonly inert?: RegExp;
  readonly privilege?: boolean;
  readonly network?: boolean;
  /** Options that name a file it writes. */
  readonly output?: readonly string[];
  /** Options that name where the program stands. */
  readonly chdir?: readonly string[];
}

const none: WrapperSyntax = {};
export const WRAPPERS: Readonly<Record<string, WrapperSyntax>> = {
  sudo: {
    short: 'CDgGhpRrTtUu',
    flags: 'AbBEeHiKklNnPSsVv',
    long: [
      'close-from',
      'chdir',
      'group',
      'host',
      'prompt',
      'chroot',
      'role',
      'command-timeout',
      'type',
      'other-user',
      'user',
    ],
    assignments: true,
    privilege: true,
    chdir: ['-D', '--chdir'],
  },
  doas: { short: 'aCu', flags: 'Lns', assignments: true, privilege: true },
  pkexec: { long: ['user', 'keep-cwd'], privilege: true },
  env: {
    short: 'uCSa',
    flags: 'i0v',
    long: ['unset', 'chdir', 'split-string', 'argv0'],
    assignments: true,
    chdir: ['-C', '--chdir'],
  },
  nohup: none,
  setsid: { flags: 'cfw' },
  nice: { short: 'n', flags: '0123456789-', long: ['adjustment'] },
  ionice: {
    short: 'cnpPu',
    flags: 't',
    long: ['class', 'classdata', 'pid', 'pgid', 'uid'],
    inert: /^(?:-[pPu]|--(?:pid|pgid|uid))/,
  },
  timeout: { short: 'ks', flags: 'fpv', long: ['kill-after', 'signal'], operands: 1 },
  stdbuf: { short: 'ioe', long: ['input', 'output', 'error'] },
  chroot: { long: ['userspec', 'groups'], operands: 1, privilege: true },
  unshare: {
    short: 'RSGw',
    flags: 'muipnUCTfrc',
    long: [
      'root',
      'wd',
      'setuid',
      'setgid',
      'map-user',
      'map-group',
      'map-users',
      'map-groups',
      'propagation',
      'setgroups',
      'monotonic',
      'boottime',
    ],
    privilege: true,
  },
  nsenter: { short: 'tSG', flags: 'amuipnCUTrwWFZ', long: ['target', 'setuid', 'setgid'], privilege: true },
  setpriv: {
    long: [
      'ambient-caps',
      'inh-caps',
      'bounding-set',
      'ruid',
      'euid',
      'rgid',
      'egid',
      'reuid',
      'regid',
      'groups',
      'securebits',
      'pdeathsig',
      'selinux-label',
      'apparmor-profile',
    ],
    flags: 'd',
    privilege: true,
  },
  taskset: { flags: 'ac', short: 'p', operands: 1, inert: /^(?:-[ac]*p|--pid)/ },
  chrt: {
    short: 'TPDp',
    flags: 'abdfiormvR',
    operands: 1,
    long: ['sched-runtime', 'sched-period', 'sched-deadline', 'pid'],
  },
  numactl: {
    short: 'imNCplH',
    flags: 'as',
    long: ['interleave', 'membind', 'cpunodebind', 'physcpubind', 'preferred'],
  },
  prlimit: { short: 'po', flags: '', long: ['pid', 'output'], inert: /^(?:-p|--pid)/ },
  time: { short: 'fo', flags: 'apqv', long: ['format', 'output'], output: ['-o', '--output'] },
  watch: { short: 'n', flags: 'bcdegptx', long: ['interval'], shell: true },
  strace: {
    short: 'abeEIoOpPsSuUX',
    flags: 'cCdDfFhikqrtTvVwxyYzZ',
    long: ['output', 'trace', 'env', 'user', 'attach', 'columns', 'string-limit'],
    inert: /^-p/,
    output: ['-o', '--output'],
  },
  ltrace: {
    short: 'aAbDeFlnopsuwx',
    flags: 'cCfhiLrStTV',
    long: ['output', 'library'],
    output: ['-o', '--output'],
  },
  valgrind: { flags: 'qvdh' },
  setarch: { short: 'p', flags: 'RFZLXBIST3v', operands: 1 },
  linux32: { flags: 'RFZLXBIST3v' },
  i386: { flags: 'RFZLXBIST3v' },
  x86_64: { flags: 'RFZLXBIST3v' },
  linux64: { flags: 'RFZLXBIST3v' },
  fakeroot: { short: 'lsibd', flags: 'huv', long: ['lib', 'faked'] },
  eatmydata: none,
  unbuffer: { flags: 'p' },
  chronic: { flags: 've' },
  proxychains: { short: 'f', flags: 'q', network: true },
  proxychains4: { short: 'f', flags: 'q', network: true },
  torsocks: { short: 'uaP', flags: 'id', network: true },
  torify: { network: true },
  catchsegv: none,
  busybox: { flags: '' },
  toybox: { flags: '' },
  faketime: { flags: 'fmp', operands: 1 },
  'dbus-run-session': { long: ['config-file', 'dbus-daemon'] },
  'systemd-run': {
    short: 'pHMuEtd',
    flags: 'rGPSq',
    long: [
      'property',
      'host',
      'machine',
      'unit',
      'setenv',
      'uid',
      'gid',
      'slice',
      'description',
      'service-type',
      'on-active',
      'on-calendar',
      'working-directory',
      'nice',
    ],
    privilege: true,
  },
  'systemd-inhibit': { long: ['what', 'who', 'why', 'mode'] },
  'ssh-agent': { short: 'aEtOP', flags: 'cDdks' },
  sshpass: { short: 'pfdP', flags: 'ehvV' },
  tini: { short: 'pe', flags: 'sgvwhl' },
  'dumb-init': { short: 'r', flags: 'cvV', long: ['rewrite'] },
  exec: { short: 'a', flags: 'cl' },
  command: { flags: 'pvV', inert: /^-[pvV]*[vV]/ },
  builtin: none,
  coproc: none,
  flock: { short: 'wE', flags: 'cesuxnoF', long: ['timeout', 'wait', 'conflict-exit-code'], operands: 1 },
  rlwrap: { short: 'abcCDefFgGhHilLmMnNoOpPqrRsStTuUvVwWXyzZ', flags: '' },
  ccache: none,
  distcc: none,
  choom: { short: 'np', long: ['adjust', 'pid'] },
  cpulimit: { short: 'epPlm', flags: 'zifvq', long: ['limit', 'exe', 'path', 'pid'] },
  grc: { short: 'c', flags: 'es', long: ['config', 'colour'] },
  multitime: { short: 'IinorRsl', flags: 'fq' },
  pexec: { short: 'nprzatieoulv', flags: 'chRSU' },
  schroot: { short: 'cusdD', flags: 'pqvr', privilege: true },
  proot: { short: 'rbwqkv', flags: '0R' },
  fakechroot: { short: 'lfecdb', flags: 'hvs' },
  genie: { short: 'c', flags: 'su' },
  // zsh's words in front of a command.
  noglob: none,
  nocorrect: none,
  '-': none,
  repeat: { operands: 1 },
  entr: { flags: 'acdnprsxz' },
  sem: none,
  run0: {
    short: 'ugD',
    flags: 'iP',
    long: [
      'user',
      'group',
      'chdir',
      'unit',
      'property',
      'description',
      'slice',
      'nice',
      'setenv',
      'background',
      'machine',
    ],
    assignments: true,
    privilege: true,
    chdir: ['-D', '--chdir'],
  },
  'sudo-rs': { short: 'CDgGhpRrTtUu', flags: 'AbBEeHiKklnPSsVv', assignments: true, privilege: true, chdir: ['-D'] },
  please: { short: 'adegmprtu', flags: 'bchkvw', privilege: true },
  gosu: { operands: 1, privilege: true },
  'su-exec': { operands: 1, privilege: true },
  setuidgid: { flags: 's', operands: 1, privilege: true },
  's6-setuidgid': { operands: 1, privilege: true },
  's6-applyuidgid': { short: 'ugG', flags: 'zU', privilege: true },
  envuidgid: { operands: 1, privilege: true },
  chpst: { short: 'uUbe/nmdofcrt', flags: 'vP012L', privilege: true },
  dzdo: { short: 'CDgGhpRrTtUu', flags: 'AbBEeHiKklnPSsVv', assignments: true, privilege: true },
  pfexec: { short: 'P', privilege: true },
  envdir: { operands: 1 },
  setlock: { flags: 'nNxX', operands: 1 },
  softlimit: { short: 'adfmorstlpc' },
  runcon: { short: 'turl', flags: 'c', operands: 1 },
  uclampset: { short: 'mMp', flags: 'asR' },
  coresched: { short: 'stdm' },
  'aa-exec': { short: 'pn', flags: 'idv', long: ['profile', 'namespace'] },
  'systemd-cat': { short: 'tp', long: ['identifier', 'priority', 'stderr-priority', 'level-prefix', 'namespace'] },
  'dbus-launch': { long: ['config-file'] },
  'xvfb-run': { short: 'efnpsw', flags: 'alh', long: ['error-file', 'auth-file', 'server-num', 'server-args'] },
  cgexec: { short: 'g', flags: 'h' },
  daemonize: { short: 'cEeloupP', flags: 'av' },
  lckdo: { short: 'WE', flags: 'weqs', operands: 1 },
  caffeinate: { short: 'tw', flags: 'dimsu' },
  hyperfine: { short: 'wmMrpcnSLu', flags: 'iN', shell: true },
};

/** Long options without a value. */
const LONG_FLAGS: ReadonlySet<string> = new Set(
  (
    'login non-interactive preserve-env stdin reset-timestamp background set-home shell list validate remove-timestamp edit ' +
    'askpass bell foreground preserve-status verbose ignore-environment null debug ctty fork wait no-run-if-empty interactive ' +
    'exit mount uts ipc net pid user cgroup time map-root-user map-current-user shared exclusive unlock nonblock close no-fork ' +
    'differences beep color errexit exec no-title precise chgexit append portability quiet skip-chdir scope pty pipe collect ' +
    'no-block all-tasks cpu-list batch fifo idle other rr follow-forks help version keep-going'
  ).split(' '),
);

export interface Unwrapped {
  /** Index of the inner program; equal to the length where there is none. */
  readonly at: number;
  readonly assignments: readonly Field[];
  /** Every option on the way was known. */
  readonly sure: boolean;
  readonly inert: boolean;
  /** Values by option, as `-c` or `--chdir`. */
  readonly values: ReadonlyMap<string, Field>;
}

const ASSIGNMENT = /^[A-Za-z_][A-Za-z0-9_]*=/;

/** @param args without the wrapper itself */
export function unwrap(args: readonly Field[], syntax: WrapperSyntax): Unwrapped {
  const { short = '', flags, long = [], inert } = syntax;
  let operands = syntax.operands ?? 0;
  const values = new Map<string, Field>();
  const assignments: Field[] = [];
  let sure = true;
  let at = 0;
  const result = (isInert = false): Unwrapped => ({
    at: Math.min(at, args.length),
    assignments,
    sure,
    inert: isInert,
    values,
  });
  const take = (name: string, inline: string | undefined): void => {
    if (inline === undefined) at++;
    const value = args[at];
    if (inline !== undefined) values.set(name, { ...args[at]!, text: inline, guess: inline });
    else if (value !== undefined) values.set(name, value);
  };
  for (; at < args.length; at++) {
    const field = args[at]!;
    // What may be no word, many, or files cannot be told from an option.
    if (!field.exact || field.glob) sure = false;
    if (field.vanishes) continue;
    const word = field.guess;
    if (word === '--') {
      at++;
      for (; operands > 0; operands--) at++;
      break;
    }
    if (inert?.test(word) === true) return result(true);
    if (word.startsWith('--')) {
      const equals = word.indexOf('=');
      const name = equals < 0 ? word.slice(2) : word.slice(2, equals);
      const known = long.find((option) => option === name) ?? long.find((option) => option.startsWith(name));
      if (equals >= 0)
        values.set(`--${known ?? name}`, { ...field, text: word.slice(equals + 1), guess: word.slice(equals + 1) });
      else if (known !== undefined) take(`--${known}`, undefined);
      else if (!LONG_FLAGS.has(name)) sure = false;
    } else if (word.startsWith('-') && word.length > 1) {
      // Behind an assignment it may be the program.
      if (assignments.length > 0) sure = false;
      for (let index = 1; index < word.length; index++) {
        const letter = word[index]!;
        if (short.includes(letter)) {
          const inline = word.slice(index + 1);
          take(`-${letter}`, inline === '' ? undefined : inline);
          break;
        }
        if (flags?.includes(letter) === true) values.set(`-${letter}`, field);
        else sure = false;
      }
    } else if (syntax.assignments === true && ASSIGNMENT.test(word)) assignments.push(field);
    else if (word === '-' && syntax.assignments === true) continue;
    else {
      for (; operands > 0; operands--) at++;
      break;
    }
  }
  return result();
}
