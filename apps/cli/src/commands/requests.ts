/**
 * request, requests: asking for a right for a time, and answering. Refuses to approve what has not been shown: approving at a
 * terminal prints the request first, its texts made safe, since the one who waits has written them.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { AccessRequest, CreateAccessRequest } from '@sallyport/api-client';
import { type Context, collect } from '../context.ts';
import { CliError } from '../exit-codes.ts';
import { safeLine, safeText } from '../output/safe-text.ts';
import { type Column, renderFields } from '../output/table.ts';
import { parseSpan, parseUntil, showDistance, showInstant } from '../output/time.ts';
import { countOption, pairs, type Registry, repeated } from './command.ts';

const WAIT_EVERY_MS = 1_000;

const whoText = (item: AccessRequest): string =>
  item.principal.id === item.requestedBy.id
    ? item.principal.name
    : `${item.principal.name} (asked by ${item.requestedBy.name})`;
const targetText = (item: AccessRequest): string =>
  item.resource ??
  Object.entries(item.labels ?? {})
    .map(([key, value]) => `${key}=${value}`)
    .join(' ');

const columns = (nowMs: number): readonly Column<AccessRequest>[] => [
  { title: 'id', show: (item) => item.id },
  { title: 'state', show: (item) => item.state },
  { title: 'who', show: (item) => whoText(item) },
  { title: 'on', show: (item) => targetText(item) },
  { title: 'effects', show: (item) => item.effects.join(', ') },
  { title: 'for', show: (item) => String(item.duration) },
  {
    title: 'expires',
    show: (item) =>
      item.state === 'pending' ? showDistance(item.expiresAt, nowMs) : showDistance(item.grant?.notAfter, nowMs),
  },
  { title: 'reason', show: (item) => item.reason, least: 20 },
];

export function registerRequests({ program, run }: Registry): void {
  program
    .command('request')
    .argument('[resource]', 'what for; or give --label')
    .description('ask for a right for a time')
    .option('--label <key=value>', 'on every resource with these labels (repeatable)', repeated)
    .requiredOption(
      '--effect <effect>',
      'read, write, ddl, exec, admin or forward (repeatable, or separated by commas)',
      repeated,
    )
    .option('--role <role>', 'roles that may be asked for (repeatable)', repeated)
    .requiredOption('--for <time>', 'how long: 30m, 2h')
    .requiredOption('--reason <text>', 'why; approvers read it')
    .option('--ticket <id>', 'the ticket it belongs to')
    .option('--start <when>', 'not before: a date, or from now: 1h')
    .option('--to <principal>', 'an AI agent or service that gets it instead of you')
    .option('--policy <name>', 'the access policy, where several fit')
    .option('--wait', 'wait for the answer')
    .action(run(request));
  const requests = program.command('requests').description('access requests: yours, and those that wait for you');
  requests
    .command('ls', { isDefault: true })
    .description('list what waits for your answer')
    .option('--mine', 'what you asked for')
    .option('--all', 'all that you may see')
    .option('--state <state>', 'pending, approved, denied, expired, withdrawn or revoked')
    .option('--limit <n>', 'at most so many', '100')
    .action(run(list));
  requests.command('options').description('what you may ask for').action(run(options));
  requests.command('show').argument('<id>').description('show one request with its answers').action(run(show));
  requests
    .command('approve')
    .argument('<id>')
    .description('say yes, to all of it or to less')
    .option('--effect <effect>', 'only these effects (repeatable, or separated by commas)', repeated)
    .option('--for <time>', 'only so long')
    .option('--reason <text>', 'why; the requester is told')
    .action(run(approve));
  requests
    .command('deny')
    .argument('<id>')
    .description('say no')
    .requiredOption('--reason <text>', 'why; the requester is told')
    .action(run(deny));
  requests
    .command('withdraw')
    .argument('<id>')
    .description('take your request back; a grant that came of it ends at once')
    .option('--reason <text>', 'why')
    .action(run(withdraw));
  requests
    .command('revoke')
    .argument('<id>')
    .description('as an approver: end the grant that came of it before its time')
    .requiredOption('--reason <text>', 'why; the requester is told')
    .action(run(revoke));
  requests
    .command('extend')
    .argument('<id>')
    .description('ask to prolong the grant of a request')
    .requiredOption('--for <time>', 'by how much: 30m')
    .requiredOption('--reason <text>', 'why; approvers read it')
    .action(run(extend));
}

/** What is no effect is refused by name at the control plane. */
const effectsOf = (values: readonly string[]): CreateAccessRequest['effects'] =>
  values.flatMap((value) => value.split(',')) as CreateAccessRequest['effects'];

interface RequestOptions {
  readonly label?: readonly string[];
  readonly effect: readonly string[];
  readonly role?: readonly string[];
  readonly for: string;
  readonly reason: string;
  readonly ticket?: string;
  readonly start?: string;
  readonly to?: string;
  readonly policy?: string;
  readonly wait?: boolean;
}

async function request(context: Context, resource: string | undefined, options: RequestOptions): Promise<void> {
  if ((resource === undefined) === (options.label === undefined))
    throw new CliError('usage', 'Give a resource or --label, one of them.');
  await context.requireToken();
  const made = await context.api.accessRequests.create({
    policy: options.policy,
    resource,
    labels: pairs(options.label),
    for: options.to,
    effects: effectsOf(options.effect),
    roles: options.role,
    duration: parseSpan(options.for),
    startAt: options.start === undefined ? undefined : parseUntil(options.start, context.terminal.nowMs()),
    reason: options.reason,
    ticket: options.ticket,
  } as CreateAccessRequest);
  if (options.wait !== true)
    return context.answer(made, () => [
      `Asked: ${made.id}. It waits for ${made.groups.length === 0 ? 'an approver' : made.groups.join(', ')} until ${showInstant(made.expiresAt)}.`,
      `See it: sallyport requests show ${made.id}`,
    ]);
  if (!context.json) context.note(`Asked: ${made.id}. Waiting; Ctrl-C leaves it open.`);
  let seen = made;
  while (seen.state === 'pending') {
    await sleep(WAIT_EVERY_MS);
    seen = await context.api.accessRequests.get(made.id);
  }
  context.answer(seen, () => [ending(seen)]);
  if (seen.state !== 'approved') throw new CliError('denied', ending(seen));
}

const ending = (item: AccessRequest): string =>
  item.state === 'approved'
    ? `Approved: ${item.grant?.effects.join(', ') ?? ''} on ${targetText(item)} until ${showInstant(item.grant?.notAfter)}.`
    : `${item.state[0]!.toUpperCase()}${item.state.slice(1)}${item.answer === null ? '' : `: ${safeLine(item.answer)}`}.`;

async function list(
  context: Context,
  query: { readonly mine?: boolean; readonly all?: boolean; readonly state?: string; readonly limit: string },
): Promise<void> {
  await context.requireToken();
  const isInbox = query.mine !== true && query.all !== true;
  const items = await collect(
    context.api.accessRequests.list(
      {
        state: query.state ?? (isInbox ? 'pending' : undefined),
        mine: query.mine === true ? true : undefined,
        answerable: isInbox && (query.state ?? 'pending') === 'pending' ? true : undefined,
      },
      countOption(query.limit),
    ),
  );
  context.list(
    items,
    columns(context.terminal.nowMs()),
    isInbox ? 'Nothing waits for your answer. What you asked for: sallyport requests ls --mine' : 'Nothing.',
  );
}

async function options(context: Context): Promise<void> {
  await context.requireToken();
  const { items } = await context.api.accessRequests.options();
  context.list(
    items,
    [
      { title: 'policy', show: (item) => item.policy },
      { title: 'resources', show: (item) => item.resources.join(', '), least: 16 },
      { title: 'effects', show: (item) => item.effects.join(', ') },
      { title: 'at most', show: (item) => String(item.durationMax) },
      { title: 'ticket', show: (item) => (item.ticket ? 'needed' : '') },
      { title: 'answered by', show: (item) => item.groups.join(', ') },
    ],
    'Nothing can be asked for.',
  );
}

async function show(context: Context, id: string): Promise<void> {
  await context.requireToken();
  const item = await context.api.accessRequests.get(id);
  context.answer(item, () => render(context, item));
}

function render(context: Context, item: AccessRequest): readonly string[] {
  const nowMs = context.terminal.nowMs();
  const votes = item.votes.map(
    (vote) =>
      `${vote.principal === '' ? vote.principalId : vote.principal} ${vote.granted ? `gives ${vote.effects.join(', ')} for ${vote.duration}` : 'denied'}${vote.reason === null ? '' : `: ${vote.reason}`}`,
  );
  const { grant } = item;
  return renderFields([
    ['request', item.id],
    ['state', item.state],
    ['who', `${safeLine(whoText(item))} (${item.principal.kind})`],
    ['on', safeLine(targetText(item))],
    ['effects', item.effects.join(', ')],
    ['roles', item.roles.length === 0 ? undefined : safeLine(item.roles.join(', '))],
    ['for', String(item.duration)],
    ['from', item.startAt === null ? undefined : showInstant(item.startAt)],
    ['reason', safeText(item.reason)],
    ['ticket', item.ticket === null ? undefined : safeLine(item.ticket)],
    ['prolongs', item.extends ?? undefined],
    ['policy', item.policy],
    ['answered by', item.groups.length === 0 ? 'any approver' : safeLine(item.groups.join(', '))],
    ['asked', showInstant(item.requestedAt)],
    [
      'expires',
      item.state === 'pending' ? `${showInstant(item.expiresAt)} (${showDistance(item.expiresAt, nowMs)})` : undefined,
    ],
    ['answers', votes.map(safeLine).join('\n')],
    ['answer', item.answer === null ? undefined : safeText(item.answer)],
    [
      'grant',
      grant === null
        ? undefined
        : `${grant.effects.join(', ')}, ${showInstant(grant.notBefore)} to ${showInstant(grant.notAfter)}${grant.revokedAt === null ? '' : ', revoked'}`,
    ],
  ]);
}

async function approve(
  context: Context,
  id: string,
  given: { readonly effect?: readonly string[]; readonly for?: string; readonly reason?: string },
): Promise<void> {
  await context.requireToken();
  const item = await context.api.accessRequests.get(id);
  if (!context.json) context.note(...render(context, item), '');
  const answered = await context.api.accessRequests.approve(id, {
    ...(given.effect === undefined ? {} : { effects: effectsOf(given.effect) }),
    ...(given.for === undefined ? {} : { duration: parseSpan(given.for) }),
    ...(given.reason === undefined ? {} : { reason: given.reason }),
  });
  context.answer(answered, () => [
    answered.state === 'pending' ? `Your approval of ${id} is counted; it needs more persons.` : ending(answered),
  ]);
}

async function deny(context: Context, id: string, given: { readonly reason: string }): Promise<void> {
  await context.requireToken();
  const answered = await context.api.accessRequests.deny(id, given.reason);
  context.answer(answered, () => [`Denied ${id}.`]);
}

async function withdraw(context: Context, id: string, given: { readonly reason?: string }): Promise<void> {
  await context.requireToken();
  const answered = await context.api.accessRequests.withdraw(id, given.reason);
  context.answer(answered, () => [
    answered.grant === null ? `Withdrawn ${id}.` : `Withdrawn ${id}: sessions that rest on its grant end at once.`,
  ]);
}

async function revoke(context: Context, id: string, options: { readonly reason: string }): Promise<void> {
  await context.requireToken();
  const item = await context.api.accessRequests.revoke(id, options.reason);
  context.answer(item, () => [`Ended: ${safeLine(whoText(item))} has no right by ${id} any more.`]);
}

async function extend(
  context: Context,
  id: string,
  given: { readonly for: string; readonly reason: string },
): Promise<void> {
  await context.requireToken();
  const made = await context.api.accessRequests.extend(id, { duration: parseSpan(given.for), reason: given.reason });
  context.answer(made, () => [`Asked: ${made.id}. The grant of ${id} stays as it is until somebody says yes.`]);
}
