/**
 * `npm start`: builds, starts a whole Sallyport with a demo database on this machine, and says what to try.
 * Options: --detach, --fresh, --dir DIR, --rest-port, --link-port, --enroll-port, --postgres-port, --plaintext-port, --demo-port.
 * Refuses to start twice on one folder; Ctrl-C or `npm stop` ends everything.
 */
import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { buildAll, ROOT } from './stack/build.ts';
import { readDevFile } from './stack/dev-file.ts';
import { stackDir, supervisorOf } from './stack/place.ts';
import { startStack } from './stack/stack.ts';
import { whatToTry } from './stack/what-to-try.ts';

const { values } = parseArgs({
  options: {
    detach: { type: 'boolean', default: false },
    fresh: { type: 'boolean', default: false },
    supervised: { type: 'boolean', default: false },
    dir: { type: 'string' },
    'rest-port': { type: 'string', default: '7400' },
    'link-port': { type: 'string', default: '7401' },
    'enroll-port': { type: 'string', default: '7402' },
    'postgres-port': { type: 'string', default: '7432' },
    'plaintext-port': { type: 'string', default: '7433' },
    'demo-port': { type: 'string', default: '7434' },
  },
});

const started = Date.now();
const say = (line: string): void =>
  console.log(`  ${((Date.now() - started) / 1000).toFixed(1).padStart(5)} s  ${line}`);
const dir = stackDir(values.dir);
const pidFile = path.join(dir, 'supervisor.pid');

function port(
  name: 'rest-port' | 'link-port' | 'enroll-port' | 'postgres-port' | 'plaintext-port' | 'demo-port',
): number {
  const value = Number(values[name]);
  if (!Number.isInteger(value) || value < 0 || value > 65_535)
    throw new Error(`--${name} takes a port number from 0 to 65535.`);
  return value;
}

async function runHere(): Promise<void> {
  const stack = await startStack({
    dir,
    fresh: values.fresh,
    say,
    ports: {
      rest: port('rest-port'),
      link: port('link-port'),
      enroll: port('enroll-port'),
      postgres: port('postgres-port'),
      postgresPlaintext: port('plaintext-port'),
      demo: port('demo-port'),
    },
  });
  writeFileSync(pidFile, String(process.pid), { mode: 0o600 });
  console.log(whatToTry(stack.dev, stack.devFile));
  let stopping = false;
  const stop = async (why: string, code: number): Promise<void> => {
    if (stopping) return;
    stopping = true;
    console.log(`\n${why}: stopping …`);
    await stack.stop();
    rmSync(pidFile, { force: true });
    console.log('Stopped. Data is kept; `npm start -- --fresh` begins anew.');
    process.exit(code);
  };
  process.on('SIGINT', () => void stop('Ctrl-C', 0));
  process.on('SIGTERM', () => void stop('Asked to stop', 0));
  process.on('SIGHUP', () => void stop('Terminal closed', 0));
  void stack
    .controlPlane()
    .ended.then((how) => stop(`The control plane ended by itself (${how}), see control-plane.log`, 1));
  void stack.agent().ended.then((how) => stop(`The agent ended by itself (${how}), see agent.log`, 1));
}

async function runDetached(): Promise<void> {
  const logFile = path.join(dir, 'start.log');
  if (values.fresh) rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir, { recursive: true, mode: 0o711 });
  const log = openSync(logFile, 'w', 0o600);
  const passed = process.argv.slice(2).filter((argument) => !['--detach', '--fresh', '--'].includes(argument));
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', import.meta.filename, '--supervised', ...passed],
    {
      cwd: ROOT,
      detached: true,
      stdio: ['ignore', log, log],
    },
  );
  closeSync(log);
  while (child.exitCode === null && child.signalCode === null) {
    if (supervisorOf(dir) === child.pid) {
      const dev = readDevFile(path.join(dir, 'dev.json'));
      if (dev !== undefined) console.log(whatToTry(dev, path.join(dir, 'dev.json')));
      console.log('Running in the background; `npm stop` ends it.');
      child.unref();
      process.exit(0);
    }
    await sleep(100);
  }
  console.error(readFileSync(logFile, 'utf8'));
  process.exit(1);
}

try {
  const running = supervisorOf(dir);
  if (running !== undefined) {
    console.error(`Sallyport is already running here (process ${running}). \`npm stop\` ends it.`);
    process.exit(1);
  }
  if (!values.supervised) {
    console.log('Sallyport: building and starting. The first start takes a minute, later ones seconds.');
    await buildAll(say);
  }
  await (values.detach ? runDetached() : runHere());
} catch (error) {
  if (existsSync(pidFile)) rmSync(pidFile);
  console.error(`\n${error instanceof Error ? error.message : String(error)}`);
  const detail = (error as { detail?: unknown }).detail;
  if (detail !== undefined) console.error(JSON.stringify(detail));
  process.exit(1);
}
