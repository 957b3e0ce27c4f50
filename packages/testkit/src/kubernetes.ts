/**
 * A real kube-apiserver on a real etcd, loopback ports and a folder of its own; a FAKE node (test/kubernetes/node) whose
 * containers are processes of this machine. Dev-only. `clusterMissing` names what is not here; scripts/test-kubernetes.ts
 * builds it. Refuses to touch a cluster or a kubeconfig that is not its own.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createWriteStream, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import os from 'node:os';
import path from 'node:path';
import { freePort } from './sshd.ts';

const BUILT = path.join(os.homedir(), '.cache/sallyport/kube/bin');
const PROGRAMS = {
  'kube-apiserver': `${BUILT}/kube-apiserver`,
  'kube-node': `${BUILT}/kube-node`,
  etcd: '/usr/bin/etcd',
};

/** '' when a cluster can be started. */
export const clusterMissing = Object.entries(PROGRAMS)
  .filter(([, file]) => !existsSync(file))
  .map(([name]) => name)
  .join(', ');

/** Clients of a cluster that scripts/test-kubernetes.ts builds; '' where one is not here. */
export const kubernetesClients = {
  helm: existsSync(`${BUILT}/helm`) ? `${BUILT}/helm` : '',
  informer: existsSync(`${BUILT}/kube-informer`) ? `${BUILT}/kube-informer` : '',
  /** Debian's python3-kubernetes. */
  python: existsSync('/usr/lib/python3/dist-packages/kubernetes/__init__.py') ? '/usr/bin/python3' : '',
};

const KUBECTL_DIRECTORY = '/usr/lib/google-cloud-sdk/bin';
/** Real kubectl by minor version, the newest first; none where they do not stand beside each other. */
export const kubectls: readonly { readonly minor: number; readonly program: string }[] = Array.from(
  { length: 20 },
  (_, i) => 40 - i,
).flatMap((minor) => {
  const program = `${KUBECTL_DIRECTORY}/kubectl.1.${minor}`;
  return existsSync(program) ? [{ minor, program }] : [];
});

export interface Cluster {
  readonly url: string;
  /** PEM that its certificate is verified by. */
  readonly ca: string;
  /** PEMs of a server on 127.0.0.1 that `ca` vouches for. */
  readonly server: { readonly cert: string; readonly key: string };
  /** Of `system:masters`: may do all, and be anyone. */
  readonly adminToken: string;
  /** Where the node's containers run; `log` in it is what every container said. */
  readonly folder: string;
  /** @returns the answer's JSON. @throws Error when it is none of 2xx */
  call<T = unknown>(method: string, path: string, body?: unknown, contentType?: string): Promise<T>;
  /** Creates the pod, running on the node. */
  pod(namespace: string, name: string, extra?: Readonly<Record<string, unknown>>): Promise<void>;
  /** What the API server has logged. */
  log(): string;
  stop(): Promise<void>;
}

/** Takes about ten seconds on a busy machine. */
export async function startCluster(): Promise<Cluster> {
  const dir = mkdtempSync(path.join(os.tmpdir(), 'sallyport-kube-'));
  const running: ChildProcess[] = [];
  const stop = async (): Promise<void> => {
    for (const child of running.reverse()) await stopped(child);
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    return await start(dir, running, stop);
  } catch (error) {
    await stop();
    throw error;
  }
}

async function start(dir: string, running: ChildProcess[], stop: () => Promise<void>): Promise<Cluster> {
  const at = (name: string): string => path.join(dir, name);
  makeCertificates(dir);
  const adminToken = randomBytes(24).toString('hex');
  writeFileSync(at('tokens.csv'), `${adminToken},sallyport,sallyport,"system:masters"\n`, { mode: 0o600 });
  const folder = at('node');
  mkdirSync(folder);
  writeFileSync(path.join(folder, 'log'), 'started\n');

  const [clients, peers] = [await freePort(), await freePort()];
  const begin = (name: keyof typeof PROGRAMS, args: readonly string[]): ChildProcess => {
    const child = spawn(PROGRAMS[name], args, { cwd: dir, stdio: ['ignore', 'pipe', 'pipe'] });
    const log = createWriteStream(at(`${name}.log`));
    child.stdout.pipe(log, { end: false });
    child.stderr.pipe(log, { end: false });
    running.push(child);
    return child;
  };
  begin('etcd', [
    `--data-dir=${at('etcd')}`,
    `--listen-client-urls=http://127.0.0.1:${clients}`,
    `--advertise-client-urls=http://127.0.0.1:${clients}`,
    `--listen-peer-urls=http://127.0.0.1:${peers}`,
    `--initial-advertise-peer-urls=http://127.0.0.1:${peers}`,
    `--initial-cluster=default=http://127.0.0.1:${peers}`,
  ]);
  const node = begin('kube-node', [
    `-folder=${folder}`,
    `-cert=${at('server.pem')}`,
    `-key=${at('server.key')}`,
    `-client-ca=${at('ca.pem')}`,
  ]);
  const nodePort = await new Promise<number>((resolve, reject) => {
    node.stdout?.on('data', (chunk: Buffer) => {
      const port = /listening (\d+)/.exec(chunk.toString())?.[1];
      if (port !== undefined) resolve(Number(port));
    });
    node.once('exit', () => reject(new Error('the node does not start')));
  });
  const port = await freePort();
  begin('kube-apiserver', [
    `--etcd-servers=http://127.0.0.1:${clients}`,
    '--bind-address=127.0.0.1',
    '--advertise-address=127.0.0.1',
    '--endpoint-reconciler-type=none',
    `--secure-port=${port}`,
    `--tls-cert-file=${at('server.pem')}`,
    `--tls-private-key-file=${at('server.key')}`,
    `--client-ca-file=${at('ca.pem')}`,
    `--kubelet-client-certificate=${at('server.pem')}`,
    `--kubelet-client-key=${at('server.key')}`,
    '--kubelet-preferred-address-types=InternalIP',
    '--service-account-issuer=https://kubernetes.test',
    `--service-account-signing-key-file=${at('server.key')}`,
    `--service-account-key-file=${at('server.key')}`,
    '--authorization-mode=RBAC',
    `--token-auth-file=${at('tokens.csv')}`,
    '--service-cluster-ip-range=10.96.0.0/24',
    '--disable-admission-plugins=ServiceAccount',
    '--feature-gates=WatchList=true',
  ]);

  const ca = readFileSync(at('ca.pem'), 'utf8');
  const url = `https://127.0.0.1:${port}`;
  const log = (): string => readFileSync(at('kube-apiserver.log'), 'utf8');
  const agent = new https.Agent({ ca, keepAlive: true });
  const cluster: Cluster = {
    url,
    ca,
    server: { cert: readFileSync(at('server.pem'), 'utf8'), key: readFileSync(at('server.key'), 'utf8') },
    adminToken,
    folder,
    call: (method, target, body, contentType = 'application/json') =>
      call(agent, adminToken, method, `${url}${target}`, body, contentType),
    pod: async (namespace, name, extra = {}) => {
      const spec = { nodeName: 'node-1', containers: [{ name: 'main', image: 'busybox' }], ...extra };
      await cluster.call('POST', `/api/v1/namespaces/${namespace}/pods`, {
        metadata: { name, labels: { app: name } },
        spec,
      });
      const status = { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] };
      await cluster.call('PATCH', `/api/v1/namespaces/${namespace}/pods/${name}/status`, { status }, MERGE);
    },
    log,
    stop: async () => {
      agent.destroy();
      await stop();
    },
  };
  const server = running.at(-1)!;
  await eventually(async () => {
    if (server.exitCode !== null) throw new Error(`kube-apiserver ended: ${log().slice(-2_000)}`);
    await cluster.call('GET', '/readyz');
    await cluster.call('GET', '/api/v1/namespaces/default');
  });
  await cluster.call('POST', '/api/v1/nodes', { metadata: { name: 'node-1' } });
  const status = {
    addresses: [{ type: 'InternalIP', address: '127.0.0.1' }],
    daemonEndpoints: { kubeletEndpoint: { Port: nodePort } },
    conditions: [{ type: 'Ready', status: 'True' }],
  };
  await cluster.call('PATCH', '/api/v1/nodes/node-1/status', { status }, MERGE);
  return cluster;
}

const MERGE = 'application/merge-patch+json';

/** A CA, and one certificate that is both a server's on 127.0.0.1 and a client's. */
function makeCertificates(dir: string): void {
  const openssl = (...args: readonly string[]): void =>
    void execFileSync('openssl', args, { cwd: dir, stdio: 'ignore' });
  const key = (name: string): readonly string[] => ['-newkey', 'rsa:2048', '-nodes', '-keyout', `${name}.key`];
  openssl('req', '-x509', ...key('ca'), '-out', 'ca.pem', '-days', '30', '-subj', '/CN=kubernetes test CA');
  openssl('req', ...key('server'), '-out', 'server.csr', '-subj', '/O=system:masters/CN=kube-apiserver');
  const names = 'subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth,clientAuth\n';
  writeFileSync(path.join(dir, 'names'), names);
  const signed = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '30', '-extfile', 'names'];
  openssl('x509', '-req', '-in', 'server.csr', '-out', 'server.pem', ...signed);
}

function call<T>(
  agent: https.Agent,
  token: string,
  method: string,
  url: string,
  body: unknown,
  contentType: string,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': contentType };
    const request = https.request(url, { method, agent, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => void chunks.push(chunk));
      response.once('end', () => {
        const text = Buffer.concat(chunks).toString();
        const isGood = response.statusCode !== undefined && response.statusCode < 300;
        if (!isGood) reject(new Error(`${method} ${url}: ${response.statusCode} ${text}`));
        else resolve((text.startsWith('{') ? JSON.parse(text) : text) as T);
      });
    });
    request.once('error', reject);
    request.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

async function eventually(ready: () => Promise<void>): Promise<void> {
  let last: unknown;
  for (const until = Date.now() + 90_000; Date.now() < until; await new Promise((next) => setTimeout(next, 200))) {
    try {
      await ready();
      return;
    } catch (error) {
      if (error instanceof Error && error.message.startsWith('kube-apiserver ended')) throw error;
      last = error;
    }
  }
  throw new Error('the cluster does not start', { cause: last });
}

async function stopped(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  // etcd and kube-apiserver hold their connections on SIGTERM; what they wrote is thrown away.
  child.kill('SIGKILL');
  await gone;
}
