/** delegations ls, create, end: seats that approvers hand over for a time; for one request it is `approvals delegate`. */
import type { ApproverDelegation } from '@sallyport/api-client';
import { type Context, collect } from '../context.ts';
import { safeLine } from '../output/safe-text.ts';
import type { Column } from '../output/table.ts';
import { parseUntil, showInstant } from '../output/time.ts';
import type { Registry } from './command.ts';

const COLUMNS = (nowMs: number): readonly Column<ApproverDelegation>[] => [
  { title: 'id', show: (one) => one.id },
  { title: 'seat of', show: (one) => one.of },
  { title: 'held by', show: (one) => one.to },
  { title: 'from', show: (one) => showInstant(one.startsAt) },
  { title: 'until', show: (one) => showInstant(one.endedAt ?? one.endsAt) },
  { title: 'state', show: (one) => stateOf(one, nowMs) },
];

const stateOf = (one: ApproverDelegation, nowMs: number): string => {
  if (one.endedAt !== null || Date.parse(one.endsAt) <= nowMs) return 'ended';
  return Date.parse(one.startsAt) > nowMs ? 'to come' : 'in force';
};

export function registerDelegations({ program, run }: Registry): void {
  const delegations = program.command('delegations').description('seats that approvers hand over for a time');
  delegations
    .command('ls', { isDefault: true })
    .description('list those you gave and have; everybody’s for who may read sessions')
    .option('--all', 'also those that have ended')
    .action(run(list));
  delegations
    .command('create')
    .argument('<person>', 'who may answer approvals too')
    .description('let another person answer in your place for a time')
    .requiredOption('--until <when>', 'a date, or from now: 8h, 14d; at most 90 days')
    .option('--from <when>', 'not before: a date, or from now')
    .action(run(create));
  delegations.command('end').argument('<id>').description('end it now; either side may').action(run(end));
}

async function list(context: Context, options: { readonly all?: boolean }): Promise<void> {
  await context.requireToken();
  const nowMs = context.terminal.nowMs();
  const items = await collect(context.api.delegations.list());
  const shown = options.all === true ? items : items.filter((one) => stateOf(one, nowMs) !== 'ended');
  context.list(shown, COLUMNS(nowMs), 'No seat is handed over.');
}

async function create(
  context: Context,
  to: string,
  options: { readonly until: string; readonly from?: string },
): Promise<void> {
  const nowMs = context.terminal.nowMs();
  const endsAt = parseUntil(options.until, nowMs);
  const startsAt = options.from === undefined ? undefined : parseUntil(options.from, nowMs);
  await context.requireToken();
  const made = await context.api.delegations.create({ to, endsAt, ...(startsAt === undefined ? {} : { startsAt }) });
  context.answer(made, () => [
    `${safeLine(made.to)} answers in your place until ${showInstant(made.endsAt)}: sallyport delegations end ${made.id} ends it.`,
  ]);
}

async function end(context: Context, id: string): Promise<void> {
  await context.requireToken();
  await context.api.delegations.end(id);
  context.answer({ id, ended: true }, () => [`Ended ${id}.`]);
}
