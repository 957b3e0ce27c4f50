// Runs on any Node >= 18: brings pnpm, Node 24 and the packages, then hands over to scripts/<command>.ts.
// Refuses to know what a command does; everything after the hand-over runs on the pinned Node.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(fileURLToPath(import.meta.url), '../..');
const platformNode = path.join(root, 'node_modules', `node-${process.platform}-${process.arch}`);
const nodeBinary = path.join(platformNode, 'bin/node');
const stampFile = path.join(root, 'node_modules/.install-stamp');

/** Everything an install reads: the lock and the manifests it must agree with. */
function installStamp() {
  const hash = createHash('sha256');
  const manifests = ['apps', 'packages'].flatMap((dir) =>
    readdirSync(path.join(root, dir)).map((name) => path.join(root, dir, name, 'package.json')),
  );
  for (const file of ['pnpm-lock.yaml', 'pnpm-workspace.yaml', 'package.json']
    .map((f) => path.join(root, f))
    .concat(manifests)) {
    hash.update(existsSync(file) ? readFileSync(file) : '-');
  }
  return hash.digest('hex');
}

function install() {
  const stamp = installStamp();
  if (existsSync(nodeBinary) && existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp) return;
  const { packageManager } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
  console.error('Installing dependencies (once) …');
  const frozen = existsSync(path.join(root, 'pnpm-lock.yaml')) && !process.env.SALLYPORT_UNFROZEN;
  const result = spawnSync(
    'npx',
    [
      '--yes',
      packageManager,
      'install',
      frozen ? '--frozen-lockfile' : '--no-frozen-lockfile',
      '--reporter=append-only',
    ],
    {
      cwd: root,
      stdio: ['ignore', 2, 2],
      // Native addons must be built against the headers of the Node that loads them, not the machine's.
      env: { ...process.env, npm_config_loglevel: 'error', npm_config_nodedir: platformNode, CI: 'true' },
    },
  );
  if (result.status !== 0) {
    console.error('The install failed. What it said stands above; `npm start` tries again.');
    process.exit(result.status ?? 1);
  }
  writeFileSync(stampFile, installStamp());
}

install();
const command = process.argv[2];
if (command === undefined || command === 'setup') process.exit(0);
const script = path.join(root, 'scripts', `${command}.ts`);
if (!existsSync(script)) {
  console.error(`There is no command "${command}".`);
  process.exit(2);
}
const child = spawn(nodeBinary, ['--disable-warning=ExperimentalWarning', script, ...process.argv.slice(3)], {
  cwd: root,
  stdio: 'inherit',
  env: {
    ...process.env,
    PATH: `${path.join(platformNode, 'bin')}:${path.join(root, 'node_modules/.bin')}:${process.env.PATH}`,
  },
});
// The terminal's Ctrl-C reaches the child too; it decides when to end, and we end with it.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
  process.on(signal, () => signal !== 'SIGINT' && child.kill(signal));
child.on('exit', (code, signal) => process.exit(code ?? (signal ? 1 : 0)));
