/** principals and groups: the basics. A new token or secret is shown once, on stdout, and kept nowhere. */
import type { ApiToken, Group, Principal } from '@sallyport/api-client';
import { type Context, collect } from '../context.ts';
import type { Column } from '../output/table.ts';
import { parseSpan, showInstant } from '../output/time.ts';
import { type Registry, repeated } from './command.ts';

const PRINCIPALS: readonly Column<Principal>[] = [
  { title: 'name', show: (principal) => principal.name },
  { title: 'kind', show: (principal) => principal.kind },
  { title: 'roles', show: (principal) => principal.roles?.join(', ') },
  { title: 'groups', show: (principal) => principal.groups?.join(', ') },
  { title: 'display name', show: (principal) => principal.displayName, least: 12 },
  { title: 'state', show: (principal) => (principal.disabledAt == null ? 'active' : 'disabled') },
  { title: 'created', show: (principal) => showInstant(principal.createdAt) },
];

const TOKENS: readonly Column<ApiToken>[] = [
  { title: 'id', show: (token) => token.id },
  { title: 'name', show: (token) => token.name },
  { title: 'scopes', show: (token) => token.scopes.join(', ') || 'all', least: 12 },
  { title: 'last used', show: (token) => (token.lastUsedAt === null ? 'never' : showInstant(token.lastUsedAt)) },
  { title: 'until', show: (token) => showInstant(token.expiresAt) },
];

const GROUPS: readonly Column<Group>[] = [
  { title: 'name', show: (group) => group.name },
  {
    title: 'members',
    show: (group) => group.members?.map((member) => member.name).join(', ') ?? group.memberCount,
    least: 16,
  },
  { title: 'description', show: (group) => group.description, least: 16 },
];

export function registerPeople({ program, run }: Registry): void {
  const principals = program.command('principals').description('persons, services and AI agents');
  principals
    .command('ls', { isDefault: true })
    .description('list principals')
    .option('--kind <kind>', 'person, service or ai_agent')
    .action(run(listPrincipals));
  principals
    .command('create')
    .argument('<name>')
    .description('make a principal')
    .requiredOption('--kind <kind>', 'person, service or ai_agent')
    .option('--display-name <text>', 'its name for people')
    .option('--role <role>', 'admin, auditor, approver or member (repeatable)', repeated)
    .action(run(createPrincipal));
  principals
    .command('rm')
    .argument('<name>')
    .description('remove a principal; its sessions end')
    .action(run(removePrincipal));
  principals
    .command('link')
    .argument('<name>')
    .argument('<other>')
    .description('say that two accounts are one person’s: neither answers for the other')
    .action(run(linkAccounts));
  principals
    .command('unlink')
    .argument('<name>')
    .description('take an account out of those of one person again')
    .action(run(async (context, name: string) => linkAccounts(context, name, null)));
  principals
    .command('token')
    .argument('<name>')
    .description('make an API token; it is printed once')
    .requiredOption('--name <text>', 'what it is for')
    .option('--expires <time>', 'how long it is good for', '30d')
    .option('--scope <permission>', 'narrow it to these permissions (repeatable)', repeated)
    .action(run(createToken));
  principals.command('tokens').argument('<name>').description('list API tokens').action(run(listTokens));
  principals
    .command('revoke-token')
    .argument('<id>')
    .description('revoke an API token by its id')
    .action(run(removeToken));
  principals
    .command('secret')
    .argument('<name>')
    .description('make a client secret for a service or AI agent; it is printed once')
    .action(run(createSecret));

  const groups = program.command('groups').description('groups of principals');
  groups.command('ls', { isDefault: true }).description('list groups').action(run(listGroups));
  groups.command('show').argument('<name>').description('show one group with its members').action(run(showGroup));
  groups
    .command('create')
    .argument('<name>')
    .description('make a group')
    .option('--description <text>', 'what it is for')
    .action(run(createGroup));
  groups.command('rm').argument('<name>').description('remove a group; rights through it end').action(run(removeGroup));
  groups.command('add').argument('<group>').argument('<principal>').description('add a member').action(run(addMember));
  groups
    .command('remove')
    .argument('<group>')
    .argument('<principal>')
    .description('remove a member')
    .action(run(removeMember));
}

async function listPrincipals(context: Context, options: { readonly kind?: string }): Promise<void> {
  await context.requireToken();
  context.list(await collect(context.api.principals.list({ kind: options.kind })), PRINCIPALS);
}

async function createPrincipal(
  context: Context,
  name: string,
  options: { readonly kind: string; readonly displayName?: string; readonly role?: readonly string[] },
): Promise<void> {
  await context.requireToken();
  const { kind, displayName, role } = options;
  const body = {
    name,
    kind,
    ...(displayName === undefined ? {} : { displayName }),
    ...(role === undefined ? {} : { roles: role }),
  };
  context.one(await context.api.principals.create(body), PRINCIPALS);
}

async function removePrincipal(context: Context, name: string): Promise<void> {
  await context.requireToken();
  await context.api.principals.remove(name);
  context.answer({ name, removed: true }, () => [`Removed ${name}.`]);
}

async function linkAccounts(context: Context, name: string, other: string | null): Promise<void> {
  await context.requireToken();
  const { sameAs = [] } = await context.api.principals.update(name, { sameAs: other });
  const text =
    sameAs.length === 0 ? `${name} is nobody else’s account.` : `${name} is the same person as ${sameAs.join(', ')}.`;
  context.answer({ name, sameAs }, () => [text]);
}

async function createToken(
  context: Context,
  principal: string,
  options: { readonly name: string; readonly expires: string; readonly scope?: readonly string[] },
): Promise<void> {
  await context.requireToken();
  const made = await context.api.principals.createToken(principal, {
    name: options.name,
    expiresInSeconds: Math.round(parseSpan(options.expires) / 1000),
    ...(options.scope === undefined ? {} : { scopes: options.scope }),
  });
  context.note('This token is shown once. Keep it in a file that only you can read.');
  context.answer(made, () => [made.token]);
}

async function listTokens(context: Context, principal: string): Promise<void> {
  await context.requireToken();
  context.list(await collect(context.api.principals.tokens(principal)), TOKENS, 'No tokens.');
}

async function removeToken(context: Context, id: string): Promise<void> {
  await context.requireToken();
  await context.api.principals.removeToken(id);
  context.answer({ id, removed: true }, () => [`Revoked ${id}.`]);
}

async function createSecret(context: Context, principal: string): Promise<void> {
  await context.requireToken();
  const made = await context.api.principals.createSecret(principal);
  context.note('This secret is shown once. Keep it in a file that only you can read.');
  context.answer(made, () => [`client id: ${made.clientId}`, `client secret: ${made.clientSecret}`]);
}

async function listGroups(context: Context): Promise<void> {
  await context.requireToken();
  context.list(await collect(context.api.groups.list()), GROUPS);
}

async function showGroup(context: Context, name: string): Promise<void> {
  await context.requireToken();
  context.one(await context.api.groups.get(name), GROUPS);
}

async function createGroup(context: Context, name: string, options: { readonly description?: string }): Promise<void> {
  await context.requireToken();
  const { description } = options;
  const group = await context.api.groups.create({ name, ...(description === undefined ? {} : { description }) });
  context.one(group, GROUPS);
}

async function removeGroup(context: Context, name: string): Promise<void> {
  await context.requireToken();
  await context.api.groups.remove(name);
  context.answer({ name, removed: true }, () => [`Removed ${name}.`]);
}

async function addMember(context: Context, group: string, principal: string): Promise<void> {
  await context.requireToken();
  await context.api.groups.addMember(group, principal);
  context.answer({ group, principal, member: true }, () => [`${principal} is a member of ${group}.`]);
}

async function removeMember(context: Context, group: string, principal: string): Promise<void> {
  await context.requireToken();
  await context.api.groups.removeMember(group, principal);
  context.answer({ group, principal, member: false }, () => [
    `${principal} is no member of ${group} any more; sessions that rest on it end.`,
  ]);
}
