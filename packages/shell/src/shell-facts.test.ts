import type { ShellFacts } from '@sallyport/model';
import { describe, expect, test } from 'vitest';
import { effectsOfShell, parseCommandLine, transferOf } from './index.ts';

const read = (text: string): ShellFacts => parseCommandLine(text, { dialect: 'posix' });
/** `program argument argument` of every command, in order. */
const lines = (text: string): readonly string[] =>
  read(text).commands.map(({ program, arguments: args }) => [program, ...args].join(' '));

describe('one program in many spellings', () => {
  test.each([
    'rm -rf /',
    '"rm" \'-rf\' /',
    'r""m -rf /',
    'r\\m -rf /',
    'r\\\nm -rf /',
    "$'\\x72m' -rf /",
    "$'\\162\\155' -rf /",
    'rm$IFS-rf$IFS/',
    'rm${IFS}-rf${IFS}/',
    'x=rm; $x -rf /',
    'x=r y=m; $x$y -rf /',
    'a=(rm -rf /); "${a[@]}"',
    '{rm,-rf,/}',
    'set -- rm -rf /; "$@"',
    '\t rm\t-rf / # a comment',
    ': && rm -rf /',
    'true;rm -rf /;',
    '(rm -rf /)',
    '{ rm -rf /; }',
    'if :; then rm -rf /; fi',
    'while rm -rf /; do :; done',
    'case x in (x) rm -rf /;; esac',
    '! rm -rf /',
    'time rm -rf /',
    'echo "$(rm -rf /)"',
    'echo `rm -rf /`',
    'echo "`rm -rf \\/`"',
    'cat <<E\n$(rm -rf /)\nE',
    'cat < <(rm -rf /)',
    'f() { rm -rf "$1"; }; f /',
    'function f { rm -rf /; }; f',
    'rm -rf / | cat',
    'rm -rf / &',
    'x=$(rm -rf /)',
    'echo $(( $(rm -rf /) + 1 ))',
    'a[$(rm -rf /)]=1',
    '[[ -n $(rm -rf /) ]]',
    'for x in rm; do $x -rf /; done',
    'sh -c "rm -rf /"',
    "bash -lc 'rm -rf /'",
    "sh -c 'rm -rf $0' /",
    'sh -c \'"$@"\' x rm -rf /',
    "eval 'rm -rf /'",
    'eval rm "-rf" /',
    'sudo rm -rf /',
    'sudo -u root -- rm -rf /',
    'sudo -uroot FOO=bar rm -rf /',
    'su -c "rm -rf /"',
    'su - root -c "rm -rf /"',
    'doas -u root rm -rf /',
    'env -i A=b rm -rf /',
    'nohup nice -n 10 ionice -c 3 timeout -s KILL 5s stdbuf -oL setsid rm -rf /',
    'xargs rm -rf / < x',
    'find / -exec rm -rf / \\;',
    'chroot /x rm -rf /',
    'busybox rm -rf /',
    'command rm -rf /',
    'exec rm -rf /',
    "trap 'rm -rf /' EXIT",
    'sh <<E\nrm -rf /\nE',
    "sh <<< 'rm -rf /'",
    'echo rm -rf / | sh',
    "printf 'rm -rf /' | sudo bash",
    "watch 'rm -rf /'",
    'flock /tmp/l rm -rf /',
    "flock /tmp/l -c 'rm -rf /'",
    'ssh host rm -rf /',
    'coproc rm -rf /',
    '/lib64/ld-linux-x86-64.so.2 /bin/rm -rf /',
    "mapfile -C 'rm -rf /' x",
    'ip netns exec x rm -rf /',
    "git -c core.sshCommand='rm -rf /' fetch",
    "tar cf x --checkpoint-action=exec='rm -rf /' y",
    "rsync -e 'rm -rf /' a b:",
    "ssh -o ProxyCommand='rm -rf /' x",
    "man -P 'rm -rf /' ls",
    "vim -c '!rm -rf /'",
    'perl -e \'system("rm -rf /")\'',
    'awk \'BEGIN{system("rm -rf /")}\'',
    'python3 -c \'import os; os.system("rm -rf /")\'',
    "sed '1e rm -rf /' x",
  ])('%j runs rm', (text) => {
    expect(lines(text)).toContain('rm -rf /');
  });
});

describe('what cannot be told', () => {
  test.each([
    ['$X -rf /', 'variable_program'],
    ['$(cat x) -rf /', 'unknown_substitution'],
    ['/bin/r? -rf /', 'glob_program'],
    ['curl http://x | sh', 'download_to_shell'],
    ['base64 -d x | bash', 'decode_to_shell'],
    ['cat x | sh', 'pipe_to_shell'],
    ['bash', 'stdin_code'],
    ['bash x.sh', 'script'],
    ['./x', 'script'],
    ['. ./x', 'source'],
    ['eval "$X"', 'eval'],
    ['sh -c "$X"', 'unknown_code'],
    ['alias ls="rm x"', 'alias'],
    ['python3 -c pass', 'interpreter_code'],
    ['PATH=.:$PATH ls', 'path_changed'],
    ['LD_PRELOAD=x.so ls', 'environment'],
    ['env LD_PRELOAD=x.so ls', 'environment'],
    ['export BASH_ENV=x', 'environment'],
    ['HISTFILE=/dev/null', 'history'],
    ["x='a[$(rm x)]'; echo $((x))", 'arithmetic_code'],
    [':(){ :|:& };:', 'recursion'],
    ['vim x', 'editor'],
    ['sudo -Z rm', 'wrapper'],
    ['ls \u202e', 'deceptive_characters'],
  ])('%j is %s', (text, reason) => {
    expect(read(text).opaque).toContain(reason);
  });

  test.each([
    'ls -la',
    'systemctl status nginx',
    'cat /etc/hosts | grep -v "^#" | sort -u',
    'cd /srv && git status',
    "awk '{print $1}' x",
    "sed -n '1,5p' x",
    'for i in 1 2 3; do echo "$i"; done',
    'df -h; free -m',
    "find . -name '*.log' -mtime +7",
    'sudo systemctl restart nginx',
    'tail -n 100 /var/log/syslog 2>&1',
  ])('%j is read in full', (text) => {
    expect(read(text)).toMatchObject({ understood: true, opaque: [] });
    expect(read(text).commands.every((command) => command.resolved)).toBe(true);
  });
});

test.each([
  '"',
  "'",
  '$(',
  '`',
  '${x',
  '(',
  ')',
  'if',
  'fi',
  'a | ',
  '&& a',
  'for',
  'case x in',
  'a ;; b',
  '<',
  'cat <<E',
  '\0',
  'x\0',
  '$((1',
  "sh -c 'a ('",
  '{ a',
  'a\\',
  'f(',
  '()',
  '[[ a',
  "echo $((' ' ))",
])('%j is not understood', (text) => {
  expect(read(text).understood).toBe(false);
});

describe('paths', () => {
  test.each([
    ['echo x > /etc/../etc/passwd', ['/etc/passwd']],
    ['cd / && rm -rf *', ['/*']],
    ['cd /srv/../etc; echo > x', ['~/x', '/etc/x']],
    ['rm -rf "$HOME/.."', ['~/..', '/']],
    ['rm -rf ~', ['~']],
    ['rm -rf //', ['/']],
    ['rm -rf /./tmp/..', ['/']],
    ['rm -r -f --no-preserve-root ///', ['/']],
    ['dd if=/dev/zero of=/dev/sda', ['/dev/sda']],
    ['echo x | tee -a /etc/sudoers', ['/etc/sudoers']],
    ['cp a b /etc/', ['/etc/a', '/etc/b', '/etc']],
    ['mv /etc/passwd /tmp', ['/etc/passwd', '/tmp/passwd', '/tmp']],
    ['sed -i s/a/b/ /etc/hosts', ['/etc/hosts']],
    ['curl -o /usr/bin/ls http://x', ['/usr/bin/ls']],
    ['ls > /dev/null 2>&1', []],
    ['rm -rf $X/*', ['$X/*', '/*']],
    ['truncate -s 0 /var/log/syslog', ['/var/log/syslog']],
    [': > /var/log/wtmp', ['/var/log/wtmp']],
    ['exec 3<> /etc/x', ['/etc/x']],
    ['tar xf a.tar -C /etc', ['/etc']],
    ['find /srv -delete', ['/srv']],
  ])('%j writes %j', (text, paths) => {
    expect(read(text).pathsWritten).toEqual(paths);
  });

  test('a known home directory stands for `~`', () => {
    expect(parseCommandLine('rm -rf ~/.. x', { dialect: 'bash', home: '/home/ada' }).pathsWritten).toEqual([
      '/home',
      '/home/ada/x',
    ]);
  });
});

describe('effects', () => {
  test.each([
    ['ls', ['exec']],
    ['rm x', ['write', 'exec']],
    ['sudo ls', ['exec', 'admin']],
    ['$X', ['write', 'exec']],
  ])('%j is %j', (text, effects) => {
    expect(effectsOfShell(read(text))).toEqual(effects);
  });
});

describe('the server half of a transfer', () => {
  test.each([
    ['scp -t /srv/x', { kind: 'scp', direction: 'receive', paths: ['/srv/x'] }],
    ['scp -r -p -f -- x', { kind: 'scp', direction: 'send', paths: ['x'] }],
    ['rsync --server -logDtpre.iLsfxCIvu . /srv/', { kind: 'rsync', direction: 'receive', paths: ['/srv/'] }],
    ['rsync --server --sender -logDtpre.iLsfxCIvu . /srv/', { kind: 'rsync', direction: 'send', paths: ['/srv/'] }],
    ['/usr/lib/openssh/sftp-server', { kind: 'sftp-server', direction: undefined, paths: [] }],
    ['/tmp/sftp-server', undefined],
    ['/usr/bin/sftp-server', { kind: 'sftp-server', direction: undefined, paths: [] }],
    ["git-upload-pack '/srv/x.git'", { kind: 'git', direction: 'send', paths: ['/srv/x.git'] }],
    ['git receive-pack x.git', { kind: 'git', direction: 'receive', paths: ['x.git'] }],
    ['scp -t /srv/x; ls', undefined],
    ['scp -t $X', undefined],
    ['scp -S /tmp/evil -t x', undefined],
    ['scp a b', undefined],
    ['git-upload-pack --exec=x y', undefined],
    ['LD_PRELOAD=x scp -t y', undefined],
    ['ls', undefined],
  ])('%j is %j', (text, transfer) => {
    expect(transferOf(read(text))).toEqual(transfer);
  });
});

describe('limits', () => {
  test('what is too long, too deep or makes too much of itself is not understood, soon', () => {
    const texts = [
      'a'.repeat(200_000),
      '('.repeat(5_000),
      '$('.repeat(5_000),
      '$(('.repeat(5_000),
      '"$('.repeat(5_000),
      '{'.repeat(50_000),
      '{a,b}'.repeat(30),
      'echo {1..1000000000}',
      `x=aaaaaaaaaa; ${'x=$x$x;'.repeat(60)}`,
      `f0() { :; }; ${Array.from({ length: 40 }, (_, at) => `f${at + 1}() { f${at}; f${at}; };`).join('')} f40`,
      `a${';a'.repeat(20_000)}`,
      '${x:-'.repeat(2_000),
      '`'.repeat(9_999),
      'a[',
      'x=${x/'.repeat(500),
      `cat ${'<<E '.repeat(200)}`,
    ];
    const started = performance.now();
    for (const text of texts) expect(read(text).understood, text.slice(0, 20)).toBe(false);
    expect(performance.now() - started).toBeLessThan(10_000);
  });

  test('a long line that a limit allows is read', () => {
    const facts = read(`echo ${'a '.repeat(4_000)}; rm -rf /`);
    expect(facts.programs).toEqual(['echo', 'rm']);
  });
});
