/** grants ls, create, revoke. */
import type { Grant, GrantDocument } from '@sallyport/api-client';
import { type Context, collect } from '../context.ts';
import { CliError } from '../exit-codes.ts';
import type { Column } from '../output/table.ts';
import { parseUntil, showInstant } from '../output/time.ts';
import { pairs, type Registry, repeated } from './command.ts';

const COLUMNS: readonly Column<Grant>[] = [
  { title: 'name', show: (grant) => grant.name },
  { title: 'who', show: (grant) => (grant.group == null ? grant.principal : `group ${grant.group}`) },
  {
    title: 'on',
    show: (grant) =>
      grant.resource ??
      Object.entries(grant.labels ?? {})
        .map(([key, value]) => `${key}=${value}`)
        .join(' '),
  },
  { title: 'effects', show: (grant) => grant.effects.join(', ') },
  { title: 'roles', show: (grant) => grant.roles?.join(', ') },
  { title: 'kind', show: (grant) => grant.kind },
  { title: 'from', show: (grant) => grant.source },
  {
    title: 'until',
    show: (grant) =>
      grant.revokedAt == null ? (grant.notAfter == null ? 'open' : showInstant(grant.notAfter)) : 'revoked',
  },
  { title: 'confirmed', show: (grant) => grant.confirmed?.join(', ') },
  {
    title: 'reviewed until',
    show: (grant) =>
      grant.reviewedUntil == null ? undefined : `${showInstant(grant.reviewedUntil)}, then ${grant.afterReview}`,
  },
];

export function registerGrants({ program, run }: Registry): void {
  const grants = program.command('grants').description('who may do what where');
  grants
    .command('ls', { isDefault: true })
    .description('list grants')
    .option('--resource <name>', 'only on this resource')
    .option('--group <name>', 'only of this group')
    .option('--principal <name>', 'only of this principal')
    .action(run(list));
  grants
    .command('create')
    .argument('<name>')
    .description('grant a right')
    .option('--principal <name>', 'to this principal')
    .option('--group <name>', 'to the members of this group')
    .option('--resource <name>', 'on this resource')
    .option('--label <key=value>', 'on every resource with these labels (repeatable)', repeated)
    .requiredOption(
      '--effect <effect>',
      'read, write, ddl, exec, admin or forward (repeatable, or separated by commas)',
      repeated,
    )
    .option('--role <role>', 'roles that may be asked for (repeatable)', repeated)
    .option('--kind <kind>', 'standing, jit or break_glass', 'standing')
    .option('--from <when>', 'not before: a date, or from now: 1h')
    .option('--until <when>', 'not after: a date, or from now: 8h, 30d')
    .action(run(create));
  grants
    .command('revoke')
    .argument('<name>')
    .description('revoke a grant; live sessions that rest on it end')
    .action(run(revoke));
}

async function list(
  context: Context,
  query: { readonly resource?: string; readonly group?: string; readonly principal?: string },
): Promise<void> {
  await context.requireToken();
  const { resource, group, principal } = query;
  context.list(await collect(context.api.grants.list({ resource, group, principal })), COLUMNS, 'No grants.');
}

interface CreateOptions {
  readonly principal?: string;
  readonly group?: string;
  readonly resource?: string;
  readonly label?: readonly string[];
  readonly effect: readonly string[];
  readonly role?: readonly string[];
  readonly kind: string;
  readonly from?: string;
  readonly until?: string;
}

async function create(context: Context, name: string, options: CreateOptions): Promise<void> {
  if ((options.principal === undefined) === (options.group === undefined))
    throw new CliError('usage', 'Give --principal or --group, one of them.');
  if ((options.resource === undefined) === (options.label === undefined))
    throw new CliError('usage', 'Give --resource or --label, one of them.');
  await context.requireToken();
  const nowMs = context.terminal.nowMs();
  const grant = await context.api.grants.create({
    name,
    principal: options.principal,
    group: options.group,
    resource: options.resource,
    labels: pairs(options.label),
    // What is no effect or kind is refused by name at the control plane.
    effects: options.effect.flatMap((effect) => effect.split(',')) as GrantDocument['effects'],
    roles: options.role,
    kind: options.kind as NonNullable<GrantDocument['kind']>,
    notBefore: options.from === undefined ? undefined : parseUntil(options.from, nowMs),
    notAfter: options.until === undefined ? undefined : parseUntil(options.until, nowMs),
  });
  context.one(grant, COLUMNS);
}

async function revoke(context: Context, name: string): Promise<void> {
  await context.requireToken();
  const answer = await context.api.grants.revoke(name);
  context.answer(answer ?? { name, revoked: true }, () => [
    `Revoked ${name}: sessions that rest on it end within a second at connected agents.`,
  ]);
}
