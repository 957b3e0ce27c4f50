/**
 * Real clients and servers that tests talk to, from Debian packages: installed when we may, named when they are missing.
 * Refuses to fetch anything else.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

const PACKAGES: Readonly<Record<string, string>> = {
  'postgresql-client': '/usr/bin/psql',
  chromium: '/usr/bin/chromium',
  'python3-psycopg': '/usr/lib/python3/dist-packages/psycopg/__init__.py',
  'redis-server': '/usr/bin/redis-server',
  postgresql: '/usr/lib/postgresql/15/bin/postgres',
  // LemonLDAP::NG as an OpenID provider nobody here wrote, with what its portal needs of what Debian only recommends.
  'liblemonldap-ng-portal-perl': '/usr/share/lemonldap-ng/portal/htdocs/index.psgi',
  'libplack-perl': '/usr/bin/plackup',
  'libstring-random-perl': '/usr/share/perl5/String/Random.pm',
  'libio-string-perl': '/usr/share/perl5/IO/String.pm',
  'libmime-tools-perl': '/usr/share/perl5/MIME/Entity.pm',
  'libemail-sender-perl': '/usr/share/perl5/Email/Sender.pm',
  'libgd-securityimage-perl': '/usr/share/perl5/GD/SecurityImage.pm',
  'libimage-magick-perl': '/usr/share/perl5/Image/Magick.pm',
  // A SAML provider under PHP's own server; the first and the last only spare the machine an Apache.
  'php8.2-cgi': '/usr/bin/php-cgi8.2',
  'php8.2-cli': '/usr/bin/php',
  'php8.2-xml': '/usr/lib/php/20220829/dom.so',
  'php8.2-mbstring': '/usr/lib/php/20220829/mbstring.so',
  simplesamlphp: '/usr/share/simplesamlphp/www/index.php',
  'micro-httpd': '/usr/sbin/micro-httpd',
  'python3-aiosmtpd': '/usr/lib/python3/dist-packages/aiosmtpd/smtp.py',
  systemd: '/lib/systemd/systemd',
  'openssh-client': '/usr/bin/ssh-keygen',
  'openssh-server': '/usr/sbin/sshd',
  fish: '/usr/bin/fish',
  rsync: '/usr/bin/rsync',
  git: '/usr/bin/git',
  'ansible-core': '/usr/bin/ansible-playbook',
  'ssh-audit': '/usr/bin/ssh-audit',
  asciinema: '/usr/bin/asciinema',
  // The HTTP bench's reverse proxy and loads.
  'nginx-light': '/usr/sbin/nginx',
  wrk: '/usr/bin/wrk',
  'nghttp2-client': '/usr/bin/h2load',
  // What the real kube-apiserver of the tests keeps its objects in (scripts/test-kubernetes.ts).
  'etcd-server': '/usr/bin/etcd',
  'python3-kubernetes': '/usr/lib/python3/dist-packages/kubernetes/__init__.py',
};

export interface TestPrograms {
  /** Packages can be installed here, so nothing may be skipped for want of one. */
  readonly installable: boolean;
  readonly missing: readonly string[];
}

export async function installTestPrograms(): Promise<TestPrograms> {
  const missing = (): string[] =>
    Object.entries(PACKAGES)
      .filter(([, file]) => !existsSync(file))
      .map(([name]) => name);
  const installable = process.getuid?.() === 0 && existsSync('/usr/bin/apt-get');
  const wanted = missing();
  if (wanted.length === 0) return { installable, missing: [] };
  if (!installable) {
    console.log(
      `Not installed and cannot be installed here (not root, or no apt-get): ${wanted.join(', ')}. Their tests are skipped by name.`,
    );
    return { installable: false, missing: wanted };
  }
  console.log(`Installing test programs from Debian packages: ${wanted.join(', ')}`);
  // policy-rc.d answers 101 for the length of the install, so that no service is started on this machine.
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  const install = () =>
    spawnSync('apt-get', ['install', '-y', '--no-install-recommends', ...wanted], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env,
    });
  if (install().status !== 0) {
    spawnSync('apt-get', ['update'], { stdio: 'ignore', env });
    install();
  }
  return { installable, missing: missing() };
}
