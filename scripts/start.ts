/**
 * `npm start`: builds, starts a whole Sallyport with a demo database on this machine, and says what to try.
 * Refuses to start twice on one folder, and on a taken port before anything is built or wiped; Ctrl-C or `npm stop` ends
 * everything, at any moment.
 */
import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { buildAll, ROOT } from './stack/build.ts';
import { readDevFile } from './stack/dev-file.ts';
import { parseOptions } from './stack/options.ts';
import { stackDir, supervisorOf } from './stack/place.ts';
import { requireFreePorts, type Stack, type StackPorts, startStack, wipeStack } from './stack/stack.ts';
import { whatToTry } from './stack/what-to-try.ts';

const USAGE = `npm start -- [options]

  --detach              return when everything is healthy; \`npm stop\` ends it
  --fresh               wipe the data of earlier starts first
  --dir DIR             keep the data there (default: .sallyport)
  --rest-port N         REST API                        (default 7400; 0 = any free one, for each)
  --link-port N         agents: link                    (default 7401)
  --enroll-port N       agents: enrolment               (default 7402)
  --postgres-port N     the agent's PostgreSQL listener (default 7432)
  --plaintext-port N    the same without TLS, loopback  (default 7433)
  --ssh-port N          the agent's SSH listener        (default 7435)
  --https-port N        the agent's HTTPS listener      (default 7443)
  --demo-port N         the demo database itself        (default 7434)`;

const values = parseOptions(
  {
    detach: { type: 'boolean', default: false },
    fresh: { type: 'boolean', default: false },
    supervised: { type: 'boolean', default: false },
    dir: { type: 'string' },
    'rest-port': { type: 'string', default: '7400' },
    'link-port': { type: 'string', default: '7401' },
    'enroll-port': { type: 'string', default: '7402' },
    'postgres-port': { type: 'string', default: '7432' },
    'plaintext-port': { type: 'string', default: '7433' },
    'ssh-port': { type: 'string', default: '7435' },
    'https-port': { type: 'string', default: '7443' },
    'demo-port': { type: 'string', default: '7434' },
  },
  USAGE,
);

const started = Date.now();
const say = (line: string): void =>
  console.log(`  ${((Date.now() - started) / 1000).toFixed(1).padStart(5)} s  ${line}`);
const dir = stackDir(values.dir);
const pidFile = path.join(dir, 'supervisor.pid');
const devFile = path.join(dir, 'dev.json');
const isOurs = (): boolean => existsSync(pidFile) && readFileSync(pidFile, 'utf8') === String(process.pid);

function port(
  name:
    | 'rest-port'
    | 'link-port'
    | 'enroll-port'
    | 'postgres-port'
    | 'plaintext-port'
    | 'ssh-port'
    | 'https-port'
    | 'demo-port',
): number {
  const text = values[name];
  const value = Number(text);
  if (!/^\d+$/.test(text) || value > 65_535) throw new Error(`--${name} takes a port number from 0 to 65535.`);
  return value;
}

const ports = (): StackPorts => ({
  rest: port('rest-port'),
  link: port('link-port'),
  enroll: port('enroll-port'),
  postgres: port('postgres-port'),
  postgresPlaintext: port('plaintext-port'),
  ssh: port('ssh-port'),
  https: port('https-port'),
  demo: port('demo-port'),
});

async function runHere(): Promise<void> {
  mkdirSync(dir, { recursive: true, mode: 0o711 });
  writeFileSync(pidFile, String(process.pid), { mode: 0o600 });
  const starting = new AbortController();
  let stack: Stack | undefined;
  const stop = async (why: string, code: number): Promise<void> => {
    if (starting.signal.aborted) return;
    console.log(`\n${why}: stopping …`);
    starting.abort(new Error(why));
    // While it starts, the start itself stops what it had started.
    if (stack === undefined) return;
    await stack.stop();
    rmSync(pidFile, { force: true });
    console.log('Stopped. Data is kept; `npm start -- --fresh` begins anew.');
    process.exit(code);
  };
  process.on('SIGINT', () => void stop('Ctrl-C', 0));
  process.on('SIGTERM', () => void stop('Asked to stop', 0));
  process.on('SIGHUP', () => void stop('Terminal closed', 0));
  try {
    stack = await startStack({
      dir,
      fresh: false,
      say,
      ports: ports(),
      restHost: 'localhost',
      signal: starting.signal,
    });
  } catch (error) {
    if (!starting.signal.aborted) throw error;
    rmSync(pidFile, { force: true });
    console.log('Stopped before it was ready.');
    process.exit(130);
  }
  if (!values.supervised) console.log(whatToTry(stack.dev, devFile, 'Ctrl-C stops everything (data is kept).'));
  void stack
    .controlPlane()
    .ended.then((how) => stop(`The control plane ended by itself (${how}), see control-plane.log`, 1));
  void stack.agent().ended.then((how) => stop(`The agent ended by itself (${how}), see agent.log`, 1));
}

/** Starts this script once more in the background, shows its progress, and leaves when it is ready. */
async function runDetached(): Promise<void> {
  const logFile = path.join(dir, 'start.log');
  mkdirSync(dir, { recursive: true, mode: 0o711 });
  const log = openSync(logFile, 'w', 0o600);
  const passed = process.argv.slice(2).filter((argument) => !['--detach', '--fresh', '--'].includes(argument));
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', import.meta.filename, '--supervised', ...passed],
    { cwd: ROOT, detached: true, stdio: ['ignore', log, log] },
  );
  closeSync(log);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill('SIGTERM'));
  let shown = 0;
  const relay = (to: NodeJS.WriteStream): void => {
    const text = readFileSync(logFile, 'utf8');
    to.write(text.slice(shown));
    shown = text.length;
  };
  while (child.exitCode === null && child.signalCode === null) {
    relay(process.stdout);
    const dev = readDevFile(devFile);
    if (dev?.pid === child.pid && dev !== undefined) {
      console.log(whatToTry(dev, devFile, 'It runs in the background; `npm stop` ends it (data is kept).'));
      child.unref();
      process.exit(0);
    }
    await sleep(100);
  }
  relay(process.stderr);
  process.exit(child.exitCode ?? 1);
}

try {
  const running = supervisorOf(dir);
  if (running !== undefined) {
    console.error(`Sallyport is already running here (process ${running}). \`npm stop\` ends it.`);
    process.exit(1);
  }
  if (!values.supervised) {
    await requireFreePorts(ports());
    console.log('Sallyport: building and starting. The first start takes a minute, later ones seconds.');
    await buildAll(say);
    if (values.fresh) await wipeStack(dir);
  }
  await (values.detach ? runDetached() : runHere());
} catch (error) {
  if (isOurs()) rmSync(pidFile);
  console.error(`\n${error instanceof Error ? error.message : String(error)}`);
  // `fetch failed` alone tells nobody what failed.
  if (error instanceof TypeError && error.cause instanceof Error) console.error(error.cause.message);
  const detail = (error as { detail?: unknown }).detail;
  if (detail !== undefined) console.error(JSON.stringify(detail));
  process.exit(1);
}
