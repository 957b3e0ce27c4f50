/** kube: clusters by kubectl, helm and whatever else reads a kubeconfig, unchanged. */
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import type { Resource } from '@sallyport/api-client';
import { writePrivateFile } from '../config/private-file.ts';
import type { Context } from '../context.ts';
import { CliError } from '../exit-codes.ts';
import { type ClusterEntry, withClusters } from '../kube/kubeconfig.ts';
import { ownEnvironment, ownWords } from '../own-words.ts';
import { requireEndpoints } from '../proxy/agent-endpoint.ts';
import { exchangeTokens, reasonOf, type WayInOptions } from '../proxy/way-in.ts';
import type { Registry } from './command.ts';
import { withWayIn } from './connect.ts';

export function registerKube({ program, run }: Registry): void {
  const kube = program.command('kube').description('reach Kubernetes clusters with kubectl, helm and other clients');
  withWayIn(kube.command('login').argument('[resources...]', 'all clusters that can be reached when none is named'))
    .description('write clusters into the kubeconfig; tokens are fetched by it, and never stored')
    .option('--kubeconfig <file>', 'file to write (KUBECONFIG, ~/.kube/config)')
    .option('--namespace <name>', 'namespace of the contexts')
    .option('--keep-context', 'leave the current context as it is')
    .addHelpText(
      'after',
      '\nExamples:\n  sallyport kube login\n  sallyport kube login prod-cluster && kubectl get pods',
    )
    .action(run(login));
  withWayIn(kube.command('token').argument('<resource>'))
    .description('print a token as kubectl asks its credential plugins for one (ExecCredential)')
    .action(run(token));
}

interface LoginOptions extends WayInOptions {
  readonly kubeconfig?: string;
  readonly namespace?: string;
  readonly keepContext?: boolean;
}

async function login(context: Context, names: readonly string[], options: LoginOptions): Promise<void> {
  await context.requireToken();
  if (options.forTokenFile !== undefined)
    throw new CliError('usage', 'A token in a file is not written into a kubeconfig.', 'Use --for with a profile.');
  const resources = names.length > 0 ? await named(context, names) : await reachable(context);
  if (resources.length === 0) throw new CliError('unavailable', 'There is no cluster that you can reach.');
  const ca = await context.api.rootCertificate();
  const entries = resources.map((resource) => entryFor(context, resource, ca, options));
  const file = kubeconfigFile(context, options);
  const before = existsSync(file) ? readFileSync(file, 'utf8') : '';
  const isFirst = !/^current-context:\s*\S/m.test(before.replaceAll(/["']/g, ''));
  const current = options.keepContext !== true && (names.length === 1 || isFirst) ? entries[0]?.name : undefined;
  writePrivateFile(file, withClusters(before, entries, current));
  const contexts = entries.map(({ name, server }) => ({ context: name, server }));
  context.answer({ file, contexts, current: current ?? null }, () => [
    `Wrote ${contexts.length} ${contexts.length === 1 ? 'context' : 'contexts'} to ${file}:`,
    ...contexts.map((one) => `  ${one.context}${one.context === current ? ' (current)' : ''}  ${one.server}`),
  ]);
}

async function named(context: Context, names: readonly string[]): Promise<readonly Resource[]> {
  const resources: Resource[] = [];
  for (const name of names) {
    const resource = await context.api.resources.get(name);
    if (resource.type !== 'kubernetes') throw new CliError('usage', `${name} is no Kubernetes cluster.`);
    resources.push(resource);
  }
  return resources;
}

async function reachable(context: Context): Promise<readonly Resource[]> {
  const resources: Resource[] = [];
  for await (const resource of context.api.resources.list({ reachable: 'true', type: 'kubernetes' }))
    if (resource.endpoints.some(({ protocol }) => protocol === 'http')) resources.push(resource);
  return resources;
}

function entryFor(context: Context, { name, endpoints }: Resource, ca: string, options: LoginOptions): ClusterEntry {
  const { host, port } = requireEndpoints(name, endpoints, 'http')[0]!;
  const asked = [
    ...(options.role === undefined ? [] : ['--role', options.role]),
    ...(options.for === undefined ? [] : ['--for', options.for]),
    ...(options.reason === undefined ? [] : ['--reason', options.reason]),
  ];
  return {
    name: `sallyport-${name}`,
    server: `https://${host.includes(':') ? `[${host}]` : host}:${port}/r/${name}`,
    ca,
    command: [...ownWords(context), 'kube', 'token', name, ...asked],
    env: ownEnvironment(context),
    namespace: options.namespace,
  };
}

/** As kubectl chooses the file it writes to: the first that KUBECONFIG names. */
function kubeconfigFile({ terminal }: Context, { kubeconfig }: LoginOptions): string {
  const listed = (terminal.env['KUBECONFIG'] ?? '').split(path.delimiter).find((file) => file !== '');
  const home = terminal.env['HOME'] ?? homedir();
  return path.resolve(kubeconfig ?? listed ?? path.join(home, '.kube', 'config'));
}

async function token(context: Context, name: string, options: WayInOptions): Promise<void> {
  const whose = await exchangeTokens(context, options)();
  const { role } = options;
  const answer = await context.api.oauth.exchange({ resource: name, role, reason: reasonOf(options), ...whose });
  // A client keeps it until then, and asks again: a request that begins a moment before is still let in.
  const livesMs = Math.max(0, (answer.expires_in ?? 0) * 1000 - SPARE_MS);
  const expirationTimestamp = `${new Date(context.terminal.nowMs() + livesMs).toISOString().slice(0, 19)}Z`;
  const status = { token: answer.access_token, expirationTimestamp };
  context.say(
    JSON.stringify({ kind: 'ExecCredential', apiVersion: 'client.authentication.k8s.io/v1', spec: {}, status }),
  );
}

const SPARE_MS = 20_000;
