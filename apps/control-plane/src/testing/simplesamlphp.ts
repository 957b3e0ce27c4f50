/**
 * SimpleSAMLphp from Debian as a real SAML provider for tests: under PHP's own server on a free loopback port, with demo
 * accounts, in a folder of its own. Refuses to touch the one of the system.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

const HOME = '/usr/share/simplesamlphp';
export const HAS_SIMPLESAMLPHP = existsSync(`${HOME}/www/index.php`) && existsSync('/usr/bin/php');

export interface TestServiceProvider {
  readonly entityId: string;
  readonly acsUrl: string;
  readonly sloUrl: string;
  /** PEM: what our requests are signed by, and what assertions are encrypted to. */
  readonly certificate: string;
  readonly encrypted: boolean;
}
export interface Simplesamlphp {
  readonly entityId: string;
  readonly metadataUrl: string;
  /** Makes a service provider known to it; answers to it follow what was said last. */
  trust(provider: TestServiceProvider): void;
  stop(): Promise<void>;
}

const quoted = (text: string): string => `'${text.replace(/[\\']/g, '\\$&')}'`;

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** @param key of the provider: PEM of its certificate and private key */
export async function startSimplesamlphp(key: {
  readonly certificate: string;
  readonly privateKey: string;
}): Promise<Simplesamlphp> {
  const dir = mkdtempSync(path.join(tmpdir(), 'sallyport-simplesamlphp-'));
  for (const name of ['cert', 'metadata', 'log', 'temp', 'data', 'sessions']) mkdirSync(path.join(dir, name));
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  const write = (name: string, php: string): void => writeFileSync(path.join(dir, name), `<?php\n${php}\n`);
  writeFileSync(path.join(dir, 'cert/idp.crt'), key.certificate);
  writeFileSync(path.join(dir, 'cert/idp.pem'), key.privateKey);
  write(
    'config.php',
    `$config = [
  'baseurlpath' => ${quoted(`${origin}/`)},
  'certdir' => ${quoted(`${dir}/cert/`)}, 'loggingdir' => ${quoted(`${dir}/log/`)}, 'datadir' => ${quoted(`${dir}/data/`)}, 'tempdir' => ${quoted(`${dir}/temp`)},
  'metadatadir' => ${quoted(`${dir}/metadata/`)},
  'secretsalt' => ${quoted(randomBytes(16).toString('hex'))}, 'auth.adminpassword' => ${quoted(randomBytes(16).toString('hex'))},
  'technicalcontact_name' => 'Test', 'technicalcontact_email' => 'test@example.com', 'timezone' => 'UTC',
  'logging.level' => 7, 'logging.handler' => 'file', 'logging.logfile' => 'log.txt',
  'enable.saml20-idp' => true, 'module.enable' => ['exampleauth' => true, 'core' => true, 'saml' => true],
  'session.cookie.secure' => false, 'session.phpsession.savepath' => ${quoted(`${dir}/sessions`)}, 'session.phpsession.httponly' => true,
  'store.type' => 'phpsession', 'language.available' => ['en'], 'language.default' => 'en', 'theme.use' => 'default', 'production' => true,
  'metadata.sources' => [['type' => 'flatfile']], 'trusted.url.domains' => ['127.0.0.1'], 'authproc.idp' => [],
];`,
  );
  write(
    'authsources.php',
    `$config = ['demo' => ['exampleauth:UserPass',
  'ada:ada-secret' => ['uid' => ['ada'], 'mail' => ['ada@example.com'], 'displayName' => ['Ada Lovelace'], 'groups' => ['dba', 'everybody']],
  'bob:bob-secret' => ['uid' => ['bob'], 'mail' => ['bob@example.com'], 'displayName' => ['Bob'], 'groups' => ['everybody']],
]];`,
  );
  write(
    'metadata/saml20-idp-hosted.php',
    `$metadata['__DYNAMIC:1__'] = ['host' => '__DEFAULT__', 'privatekey' => 'idp.pem', 'certificate' => 'idp.crt', 'auth' => 'demo',
  'signature.algorithm' => 'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256',
  'NameIDFormat' => 'urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress',
  'authproc' => [1 => ['class' => 'saml:AttributeNameID', 'attribute' => 'mail', 'Format' => 'urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress']],
];`,
  );
  write('metadata/saml20-sp-remote.php', '');
  // PHP's server takes a dot in a path for a file of its own: script and path below it are told apart here.
  write(
    'router.php',
    `$path = urldecode(parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH));
if (!preg_match('#^/((?:[a-z0-9-]+/)*[a-zA-Z0-9-]+\\.php)(/.*)?$#', $path, $found)) return false;
$file = ${quoted(`${HOME}/www/`)} . $found[1];
if (!is_file($file)) return false;
$_SERVER['SCRIPT_NAME'] = '/' . $found[1]; $_SERVER['SCRIPT_FILENAME'] = $file; $_SERVER['PATH_INFO'] = $found[2] ?? ''; $_SERVER['PHP_SELF'] = $path;
chdir(dirname($file));
require $file;
return true;`,
  );
  const child = spawn(
    '/usr/bin/php',
    [
      '-d',
      'display_errors=0',
      '-d',
      'opcache.enable_cli=0',
      '-S',
      `127.0.0.1:${port}`,
      '-t',
      `${HOME}/www`,
      path.join(dir, 'router.php'),
    ],
    {
      env: { PATH: '/usr/bin:/bin', SIMPLESAMLPHP_CONFIG_DIR: dir, PHP_CLI_SERVER_WORKERS: '2' },
      stdio: 'ignore',
      detached: true,
    },
  );
  const entityId = `${origin}/saml2/idp/metadata.php`;
  await ready(entityId, child);
  return {
    entityId,
    metadataUrl: entityId,
    trust: ({ entityId: sp, acsUrl, sloUrl, certificate, encrypted }) =>
      write(
        'metadata/saml20-sp-remote.php',
        `$metadata[${quoted(sp)}] = ['AssertionConsumerService' => ${quoted(acsUrl)}, 'SingleLogoutService' => ${quoted(sloUrl)},
  'certData' => ${quoted(certificate.replace(/-----[^-]+-----|\s/g, ''))}, 'validate.authnrequest' => true, 'validate.logout' => true, 'sign.logout' => true,
  'saml20.sign.assertion' => true, 'saml20.sign.response' => true, 'assertion.encryption' => ${String(encrypted)},
  'NameIDFormat' => 'urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress',
];`,
      ),
    stop: async () => {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      // Its workers are children of its own.
      process.kill(-child.pid!, 'SIGKILL');
      await ended;
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

async function ready(url: string, child: ChildProcess): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if (child.exitCode !== null) break;
    const status = await fetch(url).then(
      (answer) => answer.status,
      () => 0,
    );
    if (status === 200) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('SimpleSAMLphp did not start');
}
