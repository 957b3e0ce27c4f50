/** run: a program with the proxy, the CAs and the URLs by which it reaches the resources it was started for. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ApiError, type Resource } from '@sallyport/api-client';
import type { Command } from 'commander';
import type { Context } from '../context.ts';
import { CliError } from '../exit-codes.ts';
import { requireEndpoints } from '../proxy/agent-endpoint.ts';
import { commandFor } from '../proxy/command-for.ts';
import { accessTokensFor, reasonOf, type WayInOptions } from '../proxy/way-in.ts';
import { caBundle, environmentFor } from '../run/environment.ts';
import { openRunProxy, type RunResource } from '../run/run-proxy.ts';
import { spawnClient } from '../spawn-client.ts';
import type { Registry } from './command.ts';
import { withWayIn } from './connect.ts';

type RunOptions = WayInOptions & { readonly direct?: boolean };

export function registerRun({ program, run }: Registry): void {
  withWayIn(program.command('run').argument('<resource...>', 'resources, then `--` and the program'))
    .description('run a program that reaches HTTP resources: by a proxy, or by SALLYPORT_<RESOURCE>_URL')
    .option('--direct', 'let it reach other hosts too, as if there were no proxy')
    .addHelpText(
      'after',
      '\nExamples:\n  sallyport run crm-api -- python agent.py\n  sallyport run crm-api billing-api -- sh -c \'curl "$SALLYPORT_CRM_API_URL/v1/customers"\'',
    )
    .action(
      run((context, words: readonly string[], options: RunOptions) =>
        runProgram(context, split(program, words), options),
      ),
    );
}

interface Started {
  readonly names: readonly string[];
  readonly command: string;
  readonly args: readonly string[];
}

/** Commander drops `--`; what stands behind it is the program's. @throws CliError usage */
function split(program: Command, words: readonly string[]): Started {
  const { rawArgs } = program as Command & { readonly rawArgs: readonly string[] };
  const at = rawArgs.indexOf('--');
  const behind = at === -1 ? 0 : rawArgs.length - at - 1;
  const names = words.slice(0, words.length - behind);
  const [command, ...args] = words.slice(words.length - behind);
  if (behind === 0 || command === undefined || names.length === 0)
    throw new CliError(
      'usage',
      'Say which resources, and after -- which program.',
      'sallyport run crm-api -- python agent.py',
    );
  return { names: [...new Set(names)], command, args };
}

async function runProgram(context: Context, { names, command, args }: Started, options: RunOptions): Promise<void> {
  await context.requireToken();
  const root = await context.api.rootCertificate();
  const interception = await interceptionIssuer(context);
  const resources: RunResource[] = [];
  for (const name of names) resources.push(await wayTo(context, await context.api.resources.get(name), options));
  // Asked for at once, so that a missing grant is said here and not by the program.
  const tokens = await Promise.all(resources.map((resource) => resource.tokens.get()));
  if (interception === undefined)
    context.note(
      'Agents end no TLS for programs here: use SALLYPORT_<RESOURCE>_URL; https:// through the proxy is refused.',
    );
  const password = randomBytes(24).toString('base64url');
  const dir = mkdtempSync(path.join(context.terminal.env['XDG_RUNTIME_DIR'] ?? tmpdir(), 'sallyport-'));
  try {
    const files =
      interception === undefined ? undefined : writeBundle(dir, caBundle(context.terminal.env, interception));
    await using proxy = await openRunProxy({
      resources,
      root,
      password,
      direct: options.direct === true,
      onProblem: (problem) => context.note(problem),
    });
    const env = environmentFor(context.terminal.env, {
      proxyPort: proxy.port,
      password,
      caFile: files?.all,
      extraCaFile: files?.extra,
      resources: resources.map(({ name }, at) => ({ name, url: proxy.urlOf(name), token: tokens[at]! })),
    });
    const code = await spawnClient(context, command, args, { env });
    if (code !== 0) context.finish(code);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

async function wayTo(context: Context, resource: Resource, options: WayInOptions): Promise<RunResource> {
  const { name, type, endpoints } = resource;
  if (type !== 'http' && type !== 'mcp')
    throw new CliError('usage', `${name} is not reached by HTTP.`, `Use ${commandFor(resource)}.`);
  return {
    name,
    endpoints: requireEndpoints(name, endpoints, 'http'),
    tokens: accessTokensFor(context, name, options, reasonOf(options)),
    hosts: [...(resource.proxyHosts ?? [])],
  };
}

/** PEM of who vouches for what the agents show; undefined where interception is off. */
async function interceptionIssuer(context: Context): Promise<string | undefined> {
  try {
    return await context.api.interceptionCertificate();
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return undefined;
    throw error;
  }
}

function writeBundle(
  dir: string,
  { all, extra }: { readonly all: string; readonly extra: string },
): { readonly all: string; readonly extra: string } {
  const files = { all: path.join(dir, 'ca.pem'), extra: path.join(dir, 'extra-ca.pem') };
  writeFileSync(files.all, all);
  writeFileSync(files.extra, extra);
  return files;
}
