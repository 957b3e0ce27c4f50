/**
 * Which arguments of a program are paths that it writes or reads, and which programs change rights or reach the network.
 * From the manual pages; a program that is not listed names no paths. Refuses to know what is on the host.
 */
import type { Collector, OpenCommand } from './collector.ts';
import type { Frame } from './frame.ts';
import type { Field } from './values.ts';

/** Options that take the next word, so that it is no path. */
interface PathSyntax {
  /** Every operand is written. */
  readonly writes?: boolean;
  readonly reads?: boolean;
  /** The last operand is written, the others read. */
  readonly copies?: boolean;
  /** As `copies`, and what is moved away is written, too. */
  readonly moves?: boolean;
  /** First operands that are no paths: a mode, an owner, a pattern. */
  readonly skip?: number;
  readonly values?: RegExp;
  /** Options whose value is written or read. */
  readonly output?: RegExp;
  readonly input?: RegExp;
  /** `name=value` operands with a path. */
  readonly outputWord?: RegExp;
  readonly inputWord?: RegExp;
}

const W: PathSyntax = { writes: true };
const R: PathSyntax = { reads: true };
const PATHS: Readonly<Record<string, PathSyntax>> = {
  rm: W,
  rmdir: W,
  unlink: W,
  shred: { writes: true, values: /^-[ns]$/ },
  srm: W,
  wipe: W,
  truncate: { writes: true, values: /^-[sr]$/ },
  touch: { writes: true, values: /^-[drt]$/ },
  mkdir: { writes: true, values: /^-m$/ },
  mkfifo: { writes: true, values: /^-m$/ },
  mknod: W,
  tee: W,
  sponge: W,
  chmod: { writes: true, skip: 1 },
  chown: { writes: true, skip: 1 },
  chgrp: { writes: true, skip: 1 },
  chattr: { writes: true, skip: 1 },
  chcon: { writes: true, skip: 1 },
  setfacl: { writes: true, values: /^-[mxM]$/ },
  setfattr: { writes: true, values: /^-[nvx]$/ },
  setcap: { writes: true, skip: 1 },
  cp: { copies: true, values: /^(?:-S|--suffix)$/, output: /^(?:-[a-zA-Z]*t|--target-directory)$/ },
  mv: { moves: true, values: /^(?:-S|--suffix)$/, output: /^(?:-[a-zA-Z]*t|--target-directory)$/ },
  ln: { copies: true, values: /^(?:-S|--suffix)$/, output: /^(?:-[a-zA-Z]*t|--target-directory)$/ },
  link: { copies: true },
  install: { copies: true, values: /^-[mogS]$/, output: /^-[a-zA-Z]*t$/ },
  rsync: {
    copies: true,
    values:
      /^(?:-e|-f|-B|-T|-M|--rsh|--exclude|--include|--filter|--bwlimit|--port|--timeout|--max-size|--min-size|--chmod|--chown)$/,
  },
  scp: { copies: true, values: /^-[cDFiJloPSX]$/ },
  dd: { outputWord: /^of=(.*)$/s, inputWord: /^if=(.*)$/s },
  mkswap: W,
  wipefs: W,
  fdisk: W,
  sfdisk: W,
  cfdisk: W,
  parted: W,
  sgdisk: W,
  gdisk: W,
  blkdiscard: W,
  hdparm: W,
  badblocks: W,
  cryptsetup: W,
  pvcreate: W,
  vgremove: W,
  lvremove: W,
  mount: R,
  swapon: R,
  losetup: R,
  ed: W,
  ex: W,
  vi: W,
  vim: W,
  nano: W,
  pico: W,
  emacs: W,
  sudoedit: W,
  patch: { writes: true, output: /^-o$/, input: /^-i$/ },
  gzip: W,
  gunzip: W,
  bzip2: W,
  bunzip2: W,
  xz: W,
  unxz: W,
  zstd: W,
  zip: W,
  unzip: { reads: true, output: /^-d$/ },
  split: { reads: true },
  csplit: { reads: true },
  mktemp: {},
  'ssh-keygen': { output: /^-f$/ },
  crontab: R,
  curl: {
    output: /^(?:-o|--output|-D|--dump-header|-c|--cookie-jar|--output-dir|--trace|--trace-ascii|--stderr)$/,
    input: /^(?:-T|--upload-file|-K|--config|-b|--netrc-file|--cert|--key|-E|--cacert)$/,
    values: /^-[dFHXuAebmwxyzCrtPQ]$/,
  },
  wget: {
    output: /^(?:-O|--output-document|-P|--directory-prefix|-o|--output-file|-a|--append-output)$/,
    input: /^(?:-i|--input-file|--post-file|--body-file)$/,
  },
  openssl: { output: /^-out$/, input: /^-(?:in|key|cert|CAfile)$/ },
  gpg: { output: /^(?:-o|--output)$/ },
  sort: { reads: true, output: /^(?:-o|--output)$/, values: /^-[kStT]$/ },
  uniq: { copies: true, values: /^-[fsw]$/ },
  cat: R,
  tac: R,
  nl: R,
  less: R,
  more: R,
  most: R,
  view: R,
  head: { reads: true, values: /^(?:-[nc]|--lines|--bytes)$/ },
  tail: { reads: true, values: /^(?:-[ncs]|--lines|--bytes|--pid)$/ },
  zcat: R,
  zless: R,
  bzcat: R,
  xzcat: R,
  strings: { reads: true, values: /^-[ntes]$/ },
  od: { reads: true, values: /^-[jNStwA]$/ },
  xxd: { reads: true, values: /^-[cgls]$/ },
  hexdump: { reads: true, values: /^-[nseC]$/ },
  base64: { reads: true, values: /^(?:-w|--wrap)$/ },
  base32: { reads: true, values: /^(?:-w|--wrap)$/ },
  wc: R,
  file: R,
  stat: { reads: true, values: /^(?:-c|--format|--printf)$/ },
  ls: R,
  dir: R,
  tree: R,
  du: R,
  cut: { reads: true, values: /^-[bcdf]$/ },
  paste: { reads: true, values: /^-d$/ },
  comm: R,
  cmp: R,
  diff: R,
  sdiff: R,
  vimdiff: R,
  join: R,
  tr: {},
  rev: R,
  fold: { reads: true, values: /^-w$/ },
  fmt: R,
  pr: R,
  column: { reads: true, values: /^-[stc]$/ },
  expand: R,
  grep: { reads: true, skip: 1, values: /^-[ABCmefD]$/, input: /^-f$/ },
  egrep: { reads: true, skip: 1, values: /^-[ABCmef]$/ },
  fgrep: { reads: true, skip: 1, values: /^-[ABCmef]$/ },
  zgrep: { reads: true, skip: 1 },
  rg: { reads: true, skip: 1 },
  jq: { reads: true, skip: 1 },
  yq: { reads: true, skip: 1 },
  sha256sum: R,
  sha1sum: R,
  sha512sum: R,
  md5sum: R,
  cksum: R,
  readlink: R,
  realpath: R,
  getfacl: R,
  lsattr: R,
  dos2unix: W,
  unix2dos: W,
  insmod: R,
  source: R,
  tcpdump: { output: /^-w$/, input: /^-r$/, values: /^-[ciCGsWz]$/ },
  tar: {},
};

export function readPaths(
  program: string,
  args: readonly Field[],
  frame: Frame,
  facts: Collector,
  { pathsWritten, pathsRead }: OpenCommand,
): void {
  const syntax = /^mkfs(?:\..*)?$|^mke2fs$/.test(program) ? W : PATHS[program];
  if (syntax === undefined || (syntax !== W && !Object.hasOwn(PATHS, program))) return;
  const { directories } = frame.state;
  const operands: Field[] = [];
  let options = true;
  let pattern = false;
  for (let at = 0; at < args.length; at++) {
    const field = args[at]!;
    const word = field.guess;
    if (options && word === '--') {
      options = false;
      continue;
    }
    if (syntax.outputWord !== undefined) {
      const out = syntax.outputWord.exec(word)?.[1];
      const input = syntax.inputWord?.exec(word)?.[1];
      if (out !== undefined) facts.writes(valueOf(field, out), directories, pathsWritten);
      if (input !== undefined) facts.reads(valueOf(field, input), directories, pathsRead);
      continue;
    }
    if (options && /^-./.test(word)) {
      const equals = word.startsWith('--') ? word.indexOf('=') : -1;
      const name = equals < 0 ? word : word.slice(0, equals);
      const write = syntax.output?.test(name) === true;
      const read = syntax.input?.test(name) === true;
      if (/^-[ef]$|^--(?:regexp|file)\b/.test(name) && syntax.skip === 1) pattern = true;
      if (write || read) {
        const value = equals < 0 ? args[++at] : valueOf(field, word.slice(equals + 1));
        if (value !== undefined && write) facts.writes(value, directories, pathsWritten);
        if (value !== undefined && read) facts.reads(value, directories, pathsRead);
      } else if (equals < 0 && syntax.values?.test(name) === true) at++;
      else if (equals < 0 && !word.startsWith('--') && word.length > 2) {
        // `-ofile`: the value is written to its option.
        const short = word.slice(0, 2);
        if (syntax.output?.test(short) === true) facts.writes(valueOf(field, word.slice(2)), directories, pathsWritten);
        else if (syntax.input?.test(short) === true) facts.reads(valueOf(field, word.slice(2)), directories, pathsRead);
      }
      continue;
    }
    operands.push(field);
  }
  const own = operands.slice(pattern ? 0 : (syntax.skip ?? 0));
  own.forEach((field, at) => {
    const last = at === own.length - 1;
    if (syntax.writes === true || syntax.moves === true || (syntax.copies === true && last && own.length > 1))
      facts.writes(field, directories, pathsWritten);
    if (syntax.reads === true || (syntax.copies === true && (!last || own.length === 1)))
      facts.reads(field, directories, pathsRead);
  });
}

const valueOf = (field: Field, text: string): Field => ({ ...field, text, guess: text });

const PRIVILEGED: ReadonlySet<string> = new Set(
  (
    'sudo su doas runuser pkexec sudoedit setpriv nsenter unshare chroot newgrp sg machinectl systemd-run capsh setcap visudo ' +
    'dzdo pbrun calife op super userv login useradd usermod userdel groupadd groupmod groupdel gpasswd passwd chpasswd chgpasswd ' +
    'chsh chfn vipw vigr adduser deluser addgroup delgroup newusers pwconv setenforce semanage aa-disable aa-complain polkit'
  ).split(' '),
);

export function isPrivileged(program: string, args: readonly Field[]): boolean {
  if (PRIVILEGED.has(program)) return true;
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
