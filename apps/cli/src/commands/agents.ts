/** agents ls, join-token, revoke. */
import type { Agent } from '@sallyport/api-client';
import { type Context, collect } from '../context.ts';
import type { Column } from '../output/table.ts';
import { parseSpan, showDistance, showInstant } from '../output/time.ts';
import { type Registry, repeated } from './command.ts';

const columns = (nowMs: number): readonly Column<Agent>[] => [
  { title: 'name', show: (agent) => agent.name },
  { title: 'state', show: (agent) => (agent.revokedAt !== null ? 'revoked' : agent.connected ? 'connected' : 'away') },
  { title: 'seen', show: (agent) => showDistance(agent.lastSeenAt, nowMs) },
  { title: 'bundle', show: (agent) => bundleText(agent.bundle) },
  { title: 'version', show: (agent) => agent.version },
  { title: 'certificate', show: (agent) => showDistance(agent.certificateExpiresAt, nowMs) },
  { title: 'endpoints', show: (agent) => agent.endpoints.map((endpoint) => endpoint.address).join(', '), least: 20 },
];

function bundleText(bundle: Agent['bundle']): string {
  if (bundle.error !== null && bundle.error !== '') return `refused: ${bundle.error}`;
  return `${bundle.epoch}.${bundle.revision}${bundle.current ? '' : ' (behind)'}`;
}

export function registerAgents({ program, run }: Registry): void {
  const agents = program.command('agents').description('the processes that guard resources');
  agents.command('ls', { isDefault: true }).description('list agents and what is in force at each').action(run(list));
  agents
    .command('join-token')
    .argument('<name>')
    .description('make a one-time token with which a new agent joins, and the command that installs it on another host')
    .option('--host <name>', 'DNS name or address that clients use to reach it (repeatable)', repeated)
    .option('--expires <time>', 'how long the token is good for: 15m, 1h', '1d')
    .action(run(joinToken));
  agents.command('revoke').argument('<name>').description('cut an agent off for good').action(run(revoke));
}

async function list(context: Context): Promise<void> {
  await context.requireToken();
  context.list(
    await collect(context.api.agents.list()),
    columns(context.terminal.nowMs()),
    'No agents. `sallyport agents join-token NAME` lets one join.',
  );
}

async function joinToken(
  context: Context,
  name: string,
  options: { readonly host?: readonly string[]; readonly expires: string },
): Promise<void> {
  await context.requireToken();
  const made = await context.api.agents.joinToken({
    name,
    ...(options.host === undefined ? {} : { names: options.host }),
    expiresInSeconds: Math.round(parseSpan(options.expires) / 1000),
  });
  context.answer(made, () => [
    `The token works once, until ${showInstant(made.expiresAt)}. On the host of the new agent:`,
    '',
    made.command,
    '',
    `token: ${made.joinToken}`,
  ]);
}

async function revoke(context: Context, name: string): Promise<void> {
  await context.requireToken();
  const answer = await context.api.agents.revoke(name);
  context.answer(answer ?? { name, revoked: true }, () => [`Revoked ${name}: its link is cut and its sessions end.`]);
}
