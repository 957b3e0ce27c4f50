/**
 * The ways to one HTTP service that the HTTP bench compares: nginx itself, nginx as a reverse proxy, and us. The service is
 * nginx with files; every way but the first is reached over TLS. Refuses to touch a running nginx: its folder is its own.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeServerCertificate } from '../../scripts/stack/certificates.ts';
import { accessToken, clientToken } from '../../scripts/stack/rest.ts';
import { ANY_PORTS, type Stack, startStack } from '../../scripts/stack/stack.ts';
import { putLast, withDescendants } from './process-stat.ts';

export const DIRECT = 'direct, clear';
export const NGINX = 'nginx proxy';
export const PLAIN = 'us, plain';
export const EVERYTHING = 'us, everything on';

const NGINX_BINARY = '/usr/sbin/nginx';
export const WRK = '/usr/bin/wrk';
export const H2LOAD = '/usr/bin/h2load';
export const missingPrograms = (): readonly string[] => [NGINX_BINARY, WRK, H2LOAD].filter((file) => !existsSync(file));

export interface HttpWay {
  readonly name: string;
  readonly base: string;
  /** `name: value` each. */
  readonly headers: readonly string[];
  /** Processes whose CPU it costs; empty where nobody stands between. */
  pids(): readonly number[];
}

export interface HttpBench {
  readonly ways: readonly HttpWay[];
  readonly stack: Stack;
  /** A script of wrk's, for a way's `/small`: no request of a load is like the one before it, and no answer. */
  readonly others: string;
  /** Who is at work on what a load left behind: the agent, the control plane and its database. */
  behind(): readonly number[];
  /**
   * Whether the control plane and its database take their turn behind all others (SCHED_IDLE), as if the two cores were not
   * theirs: they take the record all the same.
   */
  controlPlaneLast(isLast: boolean): void;
  /** Tokens live for minutes: called before each round. */
  renew(): Promise<void>;
  stop(): Promise<void>;
}

const POLICY = `kind: Policy
name: bench-http
resources: { names: [bench-http-everything] }
rules:
  - name: no-exports
    when: http.path.startsWith("/export")
    verdict: deny
  - name: large-payments
    when: http.method == "POST" && body.fields.exists(f, f.path == "amount" && f.number > 1000)
    verdict: hold
    approval: { groups: [dba], count: 1, expires: 10m }
masks:
  - { json: ["customers[].ssn", "**.token"], with: redact }
  - { detect: [payment_card, email], with: partial }
`;

const OTHERS = 64;
const EACH_ANOTHER = `local n, base = 0, wrk.path
request = function()
  n = n + 1
  return wrk.format(nil, base .. "-" .. n % ${OTHERS} .. ".json?n=" .. n)
end
`;

const CUSTOMERS = (count: number): string =>
  JSON.stringify({
    customers: Array.from({ length: count }, (_, id) => ({
      id,
      name: 'Ada Almeida',
      city: 'Lisbon',
      ssn: '123-45-6789',
      note: 'paid in time, twice',
    })),
  });

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const nginxConfig = (
  dir: string,
  server: string,
): string => `daemon off; worker_processes 1; pid ${dir}/pid; error_log ${dir}/error.log;
events { worker_connections 4096; }
http { access_log off; client_body_temp_path ${dir}/t1; proxy_temp_path ${dir}/t2; fastcgi_temp_path ${dir}/t3; uwsgi_temp_path ${dir}/t4; scgi_temp_path ${dir}/t5;
keepalive_requests 1000000; types { application/json json; } default_type application/octet-stream; ${server} }`;

async function startNginx(
  dir: string,
  server: string,
  port: number,
): Promise<{ readonly pid: number; stop(): Promise<void> }> {
  mkdirSync(dir, { recursive: true });
  const file = path.join(dir, 'nginx.conf');
  writeFileSync(file, nginxConfig(dir, server));
  const child = spawn(NGINX_BINARY, ['-c', file, '-p', dir], { stdio: 'ignore' });
  for (let i = 0; i < 100; i++) {
    const answers = await fetch(`http://127.0.0.1:${port}/`).then(
      () => true,
      () => false,
    );
    if (answers || existsSync(path.join(dir, 'pid'))) break;
    await sleep(50);
  }
  return {
    pid: child.pid ?? 0,
    stop: async () => {
      child.kill('SIGTERM');
      await new Promise((resolve) => child.once('exit', resolve));
    },
  };
}

/** @param dir a folder of its own */
export async function startHttpBench(dir: string, say: (line: string) => void): Promise<HttpBench> {
  const stops: (() => Promise<void>)[] = [];
  const stop = async (): Promise<void> => {
    for (const end of stops.splice(0).reverse()) await end();
  };
  try {
    const files = path.join(dir, 'files');
    mkdirSync(files, { recursive: true, mode: 0o755 });
    const small = CUSTOMERS(10).slice(0, -2).padEnd(1_020, ' ').concat(']}');
    writeFileSync(path.join(files, 'small.json'), small);
    for (let i = 0; i < OTHERS; i++)
      writeFileSync(path.join(files, `small-${i}.json`), small.replace('Lisbon', `Lisb${String(i).padStart(2, '0')}`));
    writeFileSync(path.join(dir, 'others.lua'), EACH_ANOTHER);
    writeFileSync(path.join(files, 'large.json'), CUSTOMERS(110_000));
    await makeServerCertificate(path.join(dir, 'tls'), 'bench');
    const [service, proxy] = [await freePort(), await freePort()];
    const upstream = await startNginx(
      path.join(dir, 'service'),
      `server { listen 127.0.0.1:${service}; location / { root ${files}; } }`,
      service,
    );
    stops.push(() => upstream.stop());
    const pem = path.join(dir, 'tls', 'server.pem');
    const reverse = await startNginx(
      path.join(dir, 'proxy'),
      `upstream s { server 127.0.0.1:${service}; keepalive 64; }
server { listen 127.0.0.1:${proxy} ssl http2; ssl_certificate ${pem}; ssl_certificate_key ${path.join(dir, 'tls', 'server.key')};
location / { proxy_pass http://s; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header X-Key k; proxy_buffering on; } }`,
      proxy,
    );
    stops.push(() => reverse.stop());
    const stack = await startStack({ dir: path.join(dir, 'stack'), fresh: false, ports: ANY_PORTS, say });
    stops.push(() => stack.stop());
    await seed(stack, service);
    const tokens = new Map<string, string>();
    const ours = (name: string, resource: string): HttpWay => ({
      name,
      base: `https://127.0.0.1:${stack.dev.agent.https}/r/${resource}`,
      get headers() {
        return [`Authorization: Bearer ${tokens.get(resource) ?? ''}`];
      },
      pids: () => withDescendants(stack.agent().pid),
    });
    const bench: HttpBench = {
      ways: [
        { name: DIRECT, base: `http://127.0.0.1:${service}`, headers: [], pids: () => [] },
        { name: NGINX, base: `https://127.0.0.1:${proxy}`, headers: [], pids: () => withDescendants(reverse.pid) },
        ours(PLAIN, 'bench-http-plain'),
        ours(EVERYTHING, 'bench-http-everything'),
      ],
      stack,
      others: path.join(dir, 'others.lua'),
      controlPlaneLast: (isLast) => {
        for (const pid of withDescendants(stack.controlPlane().pid)) putLast(pid, isLast);
      },
      behind: () => [stack.agent(), stack.controlPlane()].flatMap(({ pid }) => withDescendants(pid)),
      renew: async () => {
        const bot = stack.dev.principals['payments-bot'];
        const api = await clientToken(stack.dev.rest, bot?.clientId ?? '', bot?.clientSecret ?? '');
        for (const name of ['bench-http-plain', 'bench-http-everything'])
          tokens.set(name, await accessToken(stack.dev.rest, api, name));
      },
      stop,
    };
    await bench.renew();
    await settled(bench);
    return bench;
  } catch (error) {
    await stop();
    throw error;
  }
}

async function seed({ admin }: Stack, service: number): Promise<void> {
  await admin.call('POST', '/v1/credentials', { name: 'bench-http', kind: 'stored', username: '', secret: 'k' });
  const documents = (['plain', 'everything'] as const).flatMap((kind) => [
    {
      file: `${kind}.yaml`,
      text: `kind: Resource\nname: bench-http-${kind}\ntype: http\nlabels: { env: bench-http }\ncredential: bench-http\nrecording: ${kind === 'plain' ? 'statements' : 'results'}\nhttp: { url: "http://127.0.0.1:${service}", private: true, inject: { as: header, name: x-key } }\n`,
    },
    {
      file: `${kind}-grant.yaml`,
      text: `kind: Grant\nname: bench-http-${kind}\ngroup: payments-bots\nresource: bench-http-${kind}\neffects: [read, write]\n`,
    },
  ]);
  documents.push({ file: 'policy.yaml', text: POLICY });
  await admin.call('POST', '/v1/apply', { documents, dryRun: false, prune: false });
}

/** Every way of ours answers. */
async function settled({ ways, stack }: HttpBench): Promise<void> {
  const { execFileSync } = await import('node:child_process');
  for (const way of ways) {
    for (let i = 0; ; i++) {
      const args = ['-sk', '-o', '/dev/null', '-w', '%{http_code}', ...way.headers.flatMap((header) => ['-H', header])];
      const status = execFileSync('curl', [...args, `${way.base}/small.json`], { encoding: 'utf8' });
      if (status === '200') break;
      if (i === 100)
        throw new Error(
          `${way.name} answers ${status}: ${readFileSync(path.join(stack.dev.agent.dataDir, 'ready.json'), 'utf8')}`,
        );
      await sleep(100);
    }
  }
}
