/**
 * Which arguments of a program are paths that it writes or reads, from the manual pages (GNU coreutils 9.1, Debian 12's
 * programs). Only the table: program-paths.ts applies it. Options are written as the manual has them, separated by blanks.
 */
export interface PathSyntax {
  /** Every operand is written. */
  readonly writes?: boolean;
  readonly reads?: boolean;
  /** The last operand is written, the others read. */
  readonly copies?: boolean;
  /** As `copies`, and what is moved away is written, too. */
  readonly moves?: boolean;
  /** First operands that are no paths: a mode, an owner, a pattern; an option `-e` or `-f` stands for them. */
  readonly skip?: number;
  /** Options whose next word is no operand. */
  readonly values?: string;
  /** Options whose value is written or read. */
  readonly output?: string;
  readonly input?: string;
  /** `name=value` operands with a path. */
  readonly outputWord?: RegExp;
  readonly inputWord?: RegExp;
  /** It writes where it stands, unless an option of `output` says where. */
  readonly here?: boolean;
  /** A word with which it reads all its operands. */
  readonly sends?: RegExp;
  /** A word with which it writes nothing where it stands. */
  readonly lists?: RegExp;
}

const W: PathSyntax = { writes: true };
const R: PathSyntax = { reads: true };
const COPY = '-t --target-directory';
const packer: PathSyntax = { writes: true, values: '-S --suffix' };
const EMPTY: PathSyntax = {};
const COMPILER: PathSyntax = { reads: true, output: '-o', values: '-x -D -l -L' };

export const PATHS: Readonly<Record<string, PathSyntax>> = {
  rm: W,
  rmdir: W,
  unlink: W,
  shred: { writes: true, values: '-n -s --iterations --size', input: '--random-source' },
  srm: W,
  wipe: W,
  truncate: { writes: true, values: '-s -r --size', input: '--reference' },
  touch: { writes: true, values: '-d -r -t --date --time', input: '--reference' },
  mkdir: { writes: true, values: '-m --mode' },
  mkfifo: { writes: true, values: '-m --mode' },
  mknod: W,
  tee: W,
  sponge: W,
  chmod: { writes: true, skip: 1, input: '--reference' },
  chown: { writes: true, skip: 1, values: '--from', input: '--reference' },
  chgrp: { writes: true, skip: 1, input: '--reference' },
  chattr: { writes: true, skip: 1 },
  chcon: { writes: true, skip: 1 },
  setfacl: { writes: true, values: '-m -x --modify --remove', input: '-M --restore' },
  setfattr: { writes: true, values: '-n -v -x' },
  setcap: { writes: true, skip: 1 },
  cp: { copies: true, values: '-S --suffix', output: COPY },
  mv: { moves: true, values: '-S --suffix', output: COPY },
  ln: { copies: true, values: '-S --suffix', output: COPY },
  link: { copies: true },
  install: { copies: true, values: '-m -o -g -S --mode --owner --group --suffix', output: COPY },
  rsync: {
    copies: true,
    sends: /^--sender$/,
    values:
      '-e -f -B -T -M --rsh --exclude --include --filter --bwlimit --port --timeout --max-size --min-size --chmod --chown',
    output: '--log-file --write-batch --only-write-batch --backup-dir --partial-dir --temp-dir',
    input: '--files-from --exclude-from --include-from --read-batch --password-file',
  },
  scp: { copies: true, values: '-c -D -F -i -J -l -o -P -S -X' },
  dd: { outputWord: /^of=(.*)$/s, inputWord: /^if=(.*)$/s },
  mkfs: W,
  mke2fs: W,
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
  patch: { writes: true, output: '-o -r --output --reject-file', input: '-i --input' },
  gzip: packer,
  gunzip: packer,
  bzip2: packer,
  bunzip2: packer,
  xz: packer,
  unxz: packer,
  zstd: { writes: true, output: '-o --output-dir-flat --output-dir-mirror' },
  zip: { writes: true, output: '-O --output-file -b', values: '-x -i -n -P' },
  unzip: { reads: true, output: '-d', values: '-x -P', here: true, lists: /^-[a-zA-Z]*[lptvzZ]/ },
  bsdunzip: { reads: true, output: '-d', values: '-x -P', here: true },
  unrar: { reads: true, here: true, lists: /^[lvtp][a-z]*$/ },
  unar: { reads: true, output: '-o -output-directory', here: true },
  '7z': { reads: true, output: '-o', skip: 1, here: true, lists: /^[aldthiu]$/ },
  '7za': { reads: true, output: '-o', skip: 1, here: true, lists: /^[aldthiu]$/ },
  '7zr': { reads: true, output: '-o', skip: 1, here: true, lists: /^[aldthiu]$/ },
  ar: { writes: true, skip: 1, output: '--output', here: true, lists: /^-?[a-zA-Z]*[tpq]/ },
  cpio: { reads: true, output: '-D --directory -O', input: '-F -I -E --file', values: '-H -C -R -M', here: true },
  pax: { reads: true, values: '-b -o -x -E -p -G -U -T -B', input: '-f', output: '-s', here: true },
  split: { copies: true, values: '-a -b -C -l -n -t' },
  csplit: { reads: true, values: '-b -n', output: '-f --prefix', here: true },
  mktemp: EMPTY,
  'ssh-keygen': { reads: true, output: '-f -K -Y', values: '-b -C -t -N -P -n -I -V -z -O -m -a -Z -E -R -F -l' },
  crontab: { reads: true, values: '-u' },
  curl: {
    output:
      '-o --output -D --dump-header -c --cookie-jar --output-dir --trace --trace-ascii --stderr --etag-save --libcurl --hsts --alt-svc',
    input:
      '-T --upload-file -K --config -b --cookie --netrc-file --cert --key -E --cacert --capath --crlfile --proto-redir --unix-socket --etag-compare',
    values:
      '-d -F -H -X -u -A -e -m -w -x -y -Y -z -C -r -t -P -Q -h -U --data --data-raw --data-ascii --data-binary --data-urlencode --form --form-string --header --request --user --user-agent --referer --max-time --write-out --proxy --connect-timeout --retry --retry-delay --retry-max-time --resolve --json --url-query --limit-rate --max-redirs --interface --range --url --ciphers --proxy-user --connect-to --parallel-max',
  },
  wget: {
    output:
      '-O --output-document -P --directory-prefix -o --output-file -a --append-output --save-cookies --warc-file --hsts-file --rejected-log',
    input:
      '-i --input-file --post-file --body-file --load-cookies --config --certificate --private-key --ca-certificate',
    values:
      '-U -e -t -T -w -Q -l -A -R -D -I -X -B --header --user --password --post-data --tries --timeout --user-agent --referer --method',
    here: true,
  },
  openssl: {
    output: '-out -keyout -writerand -sign_other -CAserial',
    input: '-in -key -cert -CAfile -inkey -passin -passout -config',
  },
  gpg: {
    reads: true,
    output: '-o --output --status-file --logger-file --export-ownertrust',
    values: '-r -u --recipient --local-user',
  },
  sort: {
    reads: true,
    output: '-o --output -T --temporary-directory',
    values: '-k -S -t --key --buffer-size --field-separator --parallel --batch-size',
    input: '--files0-from --random-source',
  },
  shuf: { reads: true, output: '-o --output', values: '-i -n --input-range --head-count', input: '--random-source' },
  uniq: { copies: true, values: '-f -s -w --skip-fields --skip-chars --check-chars' },
  iconv: { reads: true, output: '-o --output', values: '-f -t --from-code --to-code' },
  head: { reads: true, values: '-n -c --lines --bytes' },
  tail: { reads: true, values: '-n -c -s --lines --bytes --pid --sleep-interval' },
  strings: { reads: true, values: '-n -t -e -s --bytes --radix --encoding' },
  od: { reads: true, values: '-j -N -S -t -w -A' },
  xxd: { copies: true, values: '-c -g -l -s -o -n' },
  hexdump: { reads: true, values: '-n -s -e', input: '-f' },
  hd: { reads: true, values: '-n -s -e', input: '-f' },
  base64: { reads: true, values: '-w --wrap' },
  base32: { reads: true, values: '-w --wrap' },
  basenc: { reads: true, values: '-w --wrap' },
  file: { reads: true, input: '-f --files-from -m --magic-file', values: '-F -P -e' },
  stat: { reads: true, values: '-c --format --printf' },
  cut: { reads: true, values: '-b -c -d -f --bytes --characters --delimiter --fields --output-delimiter' },
  paste: { reads: true, values: '-d --delimiters' },
  fold: { reads: true, values: '-w --width' },
  column: { reads: true, values: '-s -t -c -o -N -R -H -E -T' },
  diff: { reads: true, values: '-F -I -U -C -W -x --label', input: '-X --from-file --to-file' },
  sdiff: { reads: true, output: '-o --output', values: '-I -w' },
  date: { input: '-f --file -r --reference', values: '-d -s --date --set' },
  logger: { input: '-f --file', output: '-u --socket', values: '-p -t -n -P -i -e' },
  dig: { input: '-f -k', values: '-b -c -p -q -t -x -y' },
  xargs: EMPTY,
  grep: {
    reads: true,
    skip: 1,
    values: '-A -B -C -m -e -D -d --after-context --before-context --context --max-count --regexp',
    input: '-f --file --exclude-from',
  },
  egrep: { reads: true, skip: 1, values: '-A -B -C -m -e -D -d', input: '-f' },
  fgrep: { reads: true, skip: 1, values: '-A -B -C -m -e -D -d', input: '-f' },
  zgrep: { reads: true, skip: 1, values: '-A -B -C -m -e', input: '-f' },
  rg: { reads: true, skip: 1, values: '-A -B -C -m -e -g -t -T -j -r', input: '-f --file --ignore-file' },
  ag: { reads: true, skip: 1, values: '-A -B -C -m -G', input: '-p' },
  ack: { reads: true, skip: 1, values: '-A -B -C -m' },
  jq: { reads: true, skip: 1, input: '-f --from-file', values: '--arg --argjson -L' },
  yq: { reads: true, skip: 1 },
  sed: { reads: true, skip: 1, values: '-e -l --expression --line-length', input: '-f --file' },
  awk: { reads: true, skip: 1, values: '-F -v', input: '-f --file -i' },
  gawk: { reads: true, skip: 1, values: '-F -v', input: '-f --file -i' },
  mawk: { reads: true, skip: 1, values: '-F -v', input: '-f' },
  nawk: { reads: true, skip: 1, values: '-F -v', input: '-f' },
  'original-awk': { reads: true, skip: 1, values: '-F -v', input: '-f' },
  rename: { writes: true, skip: 1 },
  mmv: W,
  objcopy: { copies: true, values: '-I -O -B -j -R -K -N' },
  strip: { writes: true, output: '-o', values: '-K -N -R' },
  gcc: COMPILER,
  'g++': COMPILER,
  cc: COMPILER,
  'c++': COMPILER,
  clang: COMPILER,
  tcc: COMPILER,
  ld: COMPILER,
  nmap: { reads: true, output: '-oN -oX -oG -oA -oS', input: '-iL' },
  ss: { output: '-D --diag', input: '-F --filter', values: '-f -A -N' },
  svn: { copies: true, values: '-r -m --username --password' },
  hg: { copies: true, values: '-r -m -b' },
  aria2c: { output: '-d --dir -o --out -l --log', input: '-i --input-file', here: true },
  convert: { copies: true },
  magick: { copies: true },
  ffmpeg: { writes: true, values: '-f', input: '-i' },
  'dpkg-deb': { copies: true },
  jar: { reads: true, here: true, lists: /^-{0,2}t[a-zA-Z]*$/ },
  dos2unix: W,
  unix2dos: W,
  tcpdump: { output: '-w', input: '-r -F', values: '-i -c -C -G -s -W -z' },
  tar: EMPTY,
  gtar: EMPTY,
  bsdtar: EMPTY,
  find: EMPTY,
  gfind: EMPTY,
};
for (const name of (
  'cat tac nl less more most view zcat zless zmore bzcat xzcat zstdcat wc ls dir tree du comm cmp vimdiff join rev fmt pr expand ' +
  'unexpand sha256sum sha1sum sha512sum sha224sum sha384sum b2sum md5sum cksum sum readlink realpath getfacl lsattr insmod source ' +
  'ptx tsort look diff3 bat batcat'
).split(' '))
  (PATHS as Record<string, PathSyntax>)[name] = R;

/**
 * Programs that read no file that is named to them, or nothing but its name, size or owner: their words are no paths. Of every
 * other program without a line above each word may be one.
 */
export const PATHLESS: ReadonlySet<string> = new Set(
  (
    '. : [ [[ test echo printf true false cd pushd popd chdir export readonly declare typeset local unset set shift read eval exec ' +
    'command builtin type which whereis hash alias unalias trap wait jobs fg bg kill pkill killall pgrep pidof ps sleep usleep exit ' +
    'return break continue let getopts times umask ulimit shopt enable disown caller logout mapfile readarray history help bind ' +
    'complete compgen compopt basename dirname pathchk pwd id whoami groups users who w last lastlog uname hostname hostnamectl ' +
    'uptime free df lsblk blkid findmnt mountpoint nproc arch env printenv date cal seq expr yes tty stty clear tput reset tr ' +
    'systemctl service journalctl loginctl timedatectl localectl apropos whatis man info ip ifconfig route ping host nslookup ' +
    'apt apt-get apt-cache aptitude dpkg dpkg-query yum dnf rpm zypper pacman apk snap git docker podman kubectl helm ' +
    'lsof fuser lscpu lsmod lspci lsusb dmidecode vmstat iostat mpstat sar top htop uuidgen sudo su mkfs reboot shutdown halt ' +
    'poweroff init telinit numfmt factor getconf getopt nohup ssh'
  ).split(' '),
);
