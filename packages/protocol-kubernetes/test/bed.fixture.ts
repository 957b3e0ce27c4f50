/**
 * Real kubectl through the real driver to a real API server, judged as a test says: everything but sign-in, policy and trail.
 * Dev-only. Where no cluster can be started, `clusterMissing` names what is not here.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import tls from 'node:tls';
import { Secret } from '@sallyport/core';
import { createHttpDoor } from '@sallyport/http-session';
import type { KubernetesTarget, Resource } from '@sallyport/model';
import {
  type Cluster,
  type Gateway,
  type GatewayOptions,
  kubectls,
  startGateway,
  TEST_TOKEN,
  testResource,
} from '@sallyport/testkit';
import { createKubernetesDialect } from '../src/index.ts';

export interface Said {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export interface KubeOptions {
  readonly program?: string;
  readonly input?: string;
  readonly env?: Record<string, string>;
  /** Ends it. */
  readonly signal?: AbortSignal;
  onOut?(text: string): void;
}

export interface KubeBed {
  readonly gateway: Gateway;
  readonly url: string;
  /** The kubeconfig's file. */
  readonly config: string;
  /** Any program, in a home of its own. */
  run(program: string, words: readonly string[], options?: KubeOptions): Promise<Said>;
  /** kubectl with these words; the newest there is, where none is named. */
  kubectl(words: readonly string[], options?: KubeOptions): Promise<Said>;
  close(): Promise<void>;
}

function testKubernetesResource(
  { url, ca }: { readonly url: string; readonly ca: string | undefined },
  kubernetes: Partial<KubernetesTarget> = {},
): Resource {
  const { postgres: _, ...base } = testResource({});
  return {
    ...base,
    name: 'prod',
    kind: 'kubernetes',
    kubernetes: {
      url,
      ...(ca === undefined ? {} : { ca }),
      private: true,
      identity: { mode: 'impersonate', user: 'carla', groups: ['system:masters'] },
      execRecorded: true,
      inject: { as: 'bearer' },
      ...kubernetes,
    },
  };
}

/** For clients of plain HTTP. @param url of what stands in the API server's place: where an answer is a program's own, that program */
export function startKubeGateway(url: string, options: Partial<GatewayOptions> = {}): Promise<Gateway> {
  return startGateway({
    adapter: createHttpDoor([createKubernetesDialect()]),
    resource: testKubernetesResource({ url, ca: undefined }),
    credential: { username: '', secret: undefined, certificate: false },
    ...options,
  });
}

export async function openKubeBed(
  cluster: Cluster,
  options: Partial<GatewayOptions> = {},
  kubernetes: Partial<KubernetesTarget> = {},
): Promise<KubeBed> {
  const token = new Secret(cluster.adminToken);
  // A client resumes its sessions here as at an agent.
  const context = tls.createSecureContext({ ...cluster.server, sessionIdContext: 'bed' });
  const gateway = await startGateway({
    adapter: createHttpDoor([createKubernetesDialect()]),
    resource: testKubernetesResource(cluster, kubernetes),
    credential: {
      username: '',
      secret: undefined,
      certificate: false,
      http: {
        ready: () => undefined,
        into: ({ target, headers }) => ({
          target,
          headers: [...headers, ['authorization', `Bearer ${token.reveal()}`]],
        }),
      },
    },
    tlsContext: () => context,
    ...options,
  });
  const dir = mkdtempSync(path.join(os.tmpdir(), 'sallyport-kubectl-'));
  const url = `https://127.0.0.1:${gateway.port}/r/prod`;
  const config = path.join(dir, 'config');
  writeFileSync(config, JSON.stringify(kubeconfig(url, cluster.ca)));
  return {
    gateway,
    url,
    config,
    run: (program, words, how = {}) => run(program, words, dir, how),
    kubectl: (words, how = {}) =>
      run(how.program ?? kubectls[0]!.program, ['--kubeconfig', config, ...words], dir, how),
    close: async () => {
      await gateway.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

const kubeconfig = (server: string, ca: string): object => ({
  apiVersion: 'v1',
  kind: 'Config',
  'current-context': 'test',
  clusters: [{ name: 'test', cluster: { server, 'certificate-authority-data': Buffer.from(ca).toString('base64') } }],
  users: [{ name: 'test', user: { token: TEST_TOKEN } }],
  contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
});

function run(program: string, words: readonly string[], home: string, options: KubeOptions): Promise<Said> {
  const env = { PATH: process.env['PATH'], HOME: home, ...options.env };
  const child = spawn(program, words, { env, stdio: ['pipe', 'pipe', 'pipe'] });
  let [out, err] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString();
    options.onOut?.(out);
  });
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
  child.stdin.on('error', () => undefined);
  child.stdin.end(options.input ?? '');
  const timer = setTimeout(() => child.kill('SIGKILL'), 60_000);
  options.signal?.addEventListener('abort', () => child.kill('SIGTERM'));
  return new Promise((resolve) => {
    child.once('close', (code) => {
      clearTimeout(timer);
      resolve({ code, out, err });
    });
  });
}
