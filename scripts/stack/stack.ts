/**
 * A whole Sallyport on this machine: demo PostgreSQL, control plane on its own PostgreSQL, one agent, demo content.
 * Used by `npm start`, the tour, the benchmark and the end-to-end tests; each with its own folder and ports.
 * Refuses to leave a process behind: `stop()` ends all it started, and children end by themselves when we are killed.
 */
import { chmodSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { GatewayError } from '@sallyport/core';
import { stopLeftover } from '@sallyport/embedded-postgres';
import { ROOT } from './build.ts';
import { startDemoApi } from './demo-api.ts';
import { type DemoDatabase, startDemoDatabase } from './demo-database.ts';
import { type DemoPrincipal, type DevFile, readDevFile, writeDevFile } from './dev-file.ts';
import { type ProcessPlan, type RunningProcess, startProcess } from './processes.ts';
import { type Rest, restClient } from './rest.ts';
import { seed } from './seed.ts';

/** TCP ports on loopback; 0 = any free one. */
export interface StackPorts {
  readonly rest: number;
  readonly link: number;
  readonly enroll: number;
  readonly postgres: number;
  readonly postgresPlaintext: number;
  readonly ssh: number;
  readonly https: number;
  readonly demo: number;
}
export const ANY_PORTS: StackPorts = {
  rest: 0,
  link: 0,
  enroll: 0,
  postgres: 0,
  postgresPlaintext: 0,
  ssh: 0,
  https: 0,
  demo: 0,
};

export interface StackOptions {
  readonly dir: string;
  readonly ports: StackPorts;
  /** By what name REST and its pages are reached: 127.0.0.1 when absent. Browsers give passkeys to `localhost` alone. */
  readonly restHost?: 'localhost';
  /** Wipes `dir` first. */
  readonly fresh: boolean;
  readonly say: (line: string) => void;
  /** Ends the start: what had started is stopped again, and the signal's reason is thrown. */
  readonly signal?: AbortSignal;
  /** Further environment of the two processes. */
  readonly controlPlaneEnv?: Readonly<Record<string, string>>;
  readonly agentEnv?: Readonly<Record<string, string>>;
  /** Further settings of the demo PostgreSQL. */
  readonly demoSettings?: Readonly<Record<string, string>>;
  /** Folder `bin` of another PostgreSQL for the demo than the one that npm brought. */
  readonly demoBinDir?: string | undefined;
}

export interface Stack {
  readonly dev: DevFile;
  readonly devFile: string;
  readonly admin: Rest;
  readonly database: DemoDatabase;
  controlPlane(): RunningProcess;
  agent(): RunningProcess;
  /** Starts again what was stopped or killed, on the same folder and ports. */
  restartControlPlane(): Promise<void>;
  restartAgent(): Promise<void>;
  stop(): Promise<void>;
}

const takenPort = (port: number, what: string): Error =>
  new Error(`Port ${port} (${what}) is taken. Stop what uses it, or choose another: npm start -- --${what}-port N`);

async function requireFree(port: number, what: string): Promise<void> {
  if (port === 0) return;
  const probe = createServer();
  await new Promise<void>((resolve, reject) => {
    probe.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        error.code === 'EACCES'
          ? new Error(
              `Port ${port} (${what}) is not for everybody to open. Choose another: npm start -- --${what}-port N`,
            )
          : takenPort(port, what),
      ),
    );
    probe.listen(port, '127.0.0.1', resolve);
  });
  await new Promise<void>((resolve) => probe.close(() => resolve()));
}

/** Tells of a taken port before anything is built, wiped or started. @throws Error that names the option */
export async function requireFreePorts(ports: StackPorts): Promise<void> {
  const given = new Map<number, string>();
  for (const [name, port] of Object.entries(ports)) {
    const what = name.replace('postgresPlaintext', 'plaintext');
    const other = port === 0 ? undefined : given.get(port);
    if (other !== undefined) throw new Error(`Port ${port} is given twice: --${other}-port and --${what}-port.`);
    given.set(port, what);
    if (what !== 'demo') await requireFree(port, what);
  }
}

/** Removes a stack's folder. A database server that outlived a killed start is stopped first: it would keep its port. */
export async function wipeStack(dir: string): Promise<void> {
  for (const server of ['demo/server', 'control-plane/postgres']) await stopLeftover(path.join(dir, server));
  rmSync(dir, { recursive: true, force: true });
}

/** Its port is not probed: a server of ours that outlived a killed start is taken over, and only then must it be free. */
async function openDemoDatabase(options: StackOptions): Promise<DemoDatabase> {
  const { dir, ports, demoSettings, demoBinDir } = options;
  try {
    return await startDemoDatabase(path.join(dir, 'demo'), ports.demo, demoSettings, demoBinDir);
  } catch (error) {
    const said = error instanceof GatewayError ? String(error.detail['said']) : '';
    throw said.includes('Address already in use') ? takenPort(ports.demo, 'demo') : error;
  }
}

const LOOPBACK = '127.0.0.1';
const on = (port: number): string => `${LOOPBACK}:${port}`;
const portOf = (address: unknown): number => Number(String(address).split(':').at(-1));

function controlPlanePlan(options: StackOptions, ports: StackPorts): ProcessPlan {
  const dataDir = path.join(options.dir, 'control-plane');
  mkdirSync(dataDir, { recursive: true, mode: 0o711 });
  return {
    name: 'control plane',
    // As docs/reference/configuration.md says: one thread collects garbage.
    args: ['--v8-pool-size=1', path.join(ROOT, 'apps/control-plane/dist/main.js'), '--exit-with-parent'],
    env: {
      SALLYPORT_HTTP: `${options.restHost ?? LOOPBACK}:${ports.rest}`,
      SALLYPORT_LINK: on(ports.link),
      SALLYPORT_ENROLL: on(ports.enroll),
      SALLYPORT_DATA_DIR: dataDir,
      SALLYPORT_DEMO_IDP: 'on',
      // The demo shows programs under `sallyport run`; elsewhere it is off until somebody says so.
      SALLYPORT_INTERCEPTION: 'on',
      ...options.controlPlaneEnv,
    },
    logFile: path.join(options.dir, 'control-plane.log'),
    readyFile: path.join(dataDir, 'ready.json'),
    readyWithinMs: 180_000,
    signal: options.signal,
  };
}

/** @param where the control plane is now, when it is elsewhere than the agent was told */
function agentPlan(
  options: StackOptions,
  ports: StackPorts,
  joinToken: string | undefined,
  where?: { readonly link: string; readonly enroll: string },
): ProcessPlan {
  const dataDir = path.join(options.dir, 'agent');
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  return {
    name: 'agent',
    // As in deploy/: a large young generation and a late first collection cost memory and save no time.
    args: [
      '--max-semi-space-size=4',
      '--initial-old-space-size=64',
      path.join(ROOT, 'apps/agent/dist/agent.mjs'),
      '--exit-with-parent',
    ],
    env: {
      MALLOC_ARENA_MAX: '2',
      MALLOC_MMAP_THRESHOLD_: '1048576',
      MALLOC_TRIM_THRESHOLD_: '1048576',
      SALLYPORT_DATA_DIR: dataDir,
      SALLYPORT_LISTEN_POSTGRES: on(ports.postgres),
      SALLYPORT_LISTEN_POSTGRES_PLAINTEXT: on(ports.postgresPlaintext),
      SALLYPORT_LISTEN_SSH: on(ports.ssh),
      SALLYPORT_LISTEN_HTTPS: on(ports.https),
      SALLYPORT_ADVERTISE: '127.0.0.1',
      SALLYPORT_HEALTH: on(0),
      SALLYPORT_INTERCEPTION: 'on',
      ...(joinToken === undefined ? {} : { SALLYPORT_JOIN_TOKEN: joinToken }),
      ...(where === undefined
        ? {}
        : { SALLYPORT_LINK_ENDPOINTS: where.link, SALLYPORT_ENROLL_ENDPOINTS: where.enroll }),
      ...options.agentEnv,
    },
    logFile: path.join(options.dir, 'agent.log'),
    readyFile: path.join(dataDir, 'ready.json'),
    readyWithinMs: 120_000,
    signal: options.signal,
  };
}

interface AgentRow {
  readonly name: string;
  readonly connected: boolean;
  readonly bundle: { readonly revision: number; readonly error: string | null };
}

/** The agent is connected, has the resource, and where it listens now is known: a first connection will work. */
async function waitInForce(admin: Rest, port: number, signal: AbortSignal | undefined): Promise<void> {
  for (let i = 0; i < 400; i++) {
    signal?.throwIfAborted();
    const agents = await admin.call<{ items: AgentRow[] }>('GET', '/v1/agents');
    const resource = await admin.call<{ endpoints: readonly { readonly address: string }[] }>(
      'GET',
      '/v1/resources/payments-db',
    );
    const agent = agents.items.find((row) => row.name === AGENT_NAME);
    if (agent?.bundle.error) throw new Error(`The agent refused its bundle: ${agent.bundle.error}`);
    const listens = resource.endpoints.some(({ address }) => portOf(address) === port);
    if (agent?.connected === true && agent.bundle.revision > 0 && listens) return;
    await sleep(50);
  }
  throw new Error('The agent did not come into force within 20 seconds; see agent.log.');
}

const AGENT_NAME = 'local';

async function joinTokenFor(admin: Rest, dir: string): Promise<string | undefined> {
  const rows = await admin.call<{ items: AgentRow[] }>('GET', '/v1/agents');
  if (rows.items.some((row) => row.name === AGENT_NAME) && readDevFile(path.join(dir, 'dev.json')) !== undefined)
    return undefined;
  const body = { name: AGENT_NAME, names: ['127.0.0.1', 'localhost'] };
  return (await admin.call<{ joinToken: string }>('POST', '/v1/agents/join-tokens', body)).joinToken;
}

/**
 * Starts everything and waits until the first connection will work.
 * @throws Error with the last lines of the log of what failed; all that had started is stopped again
 */
export async function startStack(options: StackOptions): Promise<Stack> {
  const { dir, say } = options;
  await requireFreePorts(options.ports);
  if (options.fresh) await wipeStack(dir);
  mkdirSync(dir, { recursive: true, mode: 0o711 });
  chmodSync(dir, 0o711);
  const devFile = path.join(dir, 'dev.json');
  const before = readDevFile(devFile);
  const stops: (() => Promise<void>)[] = [];
  const stop = async (): Promise<void> => {
    for (const end of stops.splice(0).reverse()) await end();
  };
  try {
    say('Starting the demo database');
    const database = await openDemoDatabase(options);
    stops.push(() => database.server.stop());
    const api = await startDemoApi(path.join(dir, 'demo'), database, 0);
    stops.push(() => api.stop());
    options.signal?.throwIfAborted();
    say('Starting the control plane');
    let controlPlane = await startProcess(controlPlanePlan(options, options.ports));
    stops.push(() => controlPlane.stop());
    const rest = `http://${options.restHost ?? LOOPBACK}:${portOf(controlPlane.ready['http'])}`;
    const adminToken = readFileSync(path.join(dir, 'control-plane/admin-token'), 'utf8').trim();
    const admin = restClient(rest, adminToken);
    options.signal?.throwIfAborted();
    say('Seeding principals, grants and policies');
    const people = await seed(admin, database, api, before?.principals ?? {});
    const adminPrincipal: DemoPrincipal = { name: 'admin', kind: 'person', groups: [], token: adminToken };
    options.signal?.throwIfAborted();
    say('Starting the agent');
    const where = {
      link: on(portOf(controlPlane.ready['link'])),
      enroll: on(portOf(controlPlane.ready['enroll'])),
    };
    const moved = before !== undefined && (before.link !== where.link || before.enroll !== where.enroll);
    let agent = await startProcess(
      agentPlan(options, options.ports, await joinTokenFor(admin, dir), moved ? where : undefined),
    );
    stops.push(() => agent.stop());
    await waitInForce(admin, portOf(agent.ready['postgres']), options.signal);
    const ports: StackPorts = {
      rest: portOf(controlPlane.ready['http']),
      link: portOf(controlPlane.ready['link']),
      enroll: portOf(controlPlane.ready['enroll']),
      postgres: portOf(agent.ready['postgres']),
      postgresPlaintext: portOf(agent.ready['postgresPlaintext']),
      ssh: portOf(agent.ready['ssh']),
      https: portOf(agent.ready['https']),
      demo: database.server.port,
    };
    const dev = (): DevFile => ({
      pid: process.pid,
      rest,
      link: on(ports.link),
      enroll: on(ports.enroll),
      ca: String(controlPlane.ready['ca']),
      agent: {
        name: AGENT_NAME,
        pid: agent.pid,
        host: '127.0.0.1',
        postgres: ports.postgres,
        postgresPlaintext: ports.postgresPlaintext,
        ssh: ports.ssh,
        https: ports.https,
        health: `http://${String(agent.ready['health'])}`,
        dataDir: path.join(dir, 'agent'),
      },
      controlPlane: { pid: controlPlane.pid, dataDir: path.join(dir, 'control-plane') },
      demo: {
        host: database.server.host,
        port: database.server.port,
        database: database.database,
        username: database.username,
        password: database.password,
        ca: path.join(dir, 'demo/tls/ca.pem'),
        superuser: database.server.superuser,
        superuserPassword: database.server.password,
      },
      principals: { admin: adminPrincipal, ...people },
    });
    writeDevFile(devFile, dev());
    return {
      get dev() {
        return dev();
      },
      devFile,
      admin,
      database,
      controlPlane: () => controlPlane,
      agent: () => agent,
      restartControlPlane: async () => {
        await controlPlane.stop('SIGKILL');
        controlPlane = await startProcess(controlPlanePlan(options, ports));
        writeDevFile(devFile, dev());
      },
      restartAgent: async () => {
        await agent.stop('SIGKILL');
        agent = await startProcess(agentPlan(options, ports, undefined));
        writeDevFile(devFile, dev());
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
