/** slack link, ls, unlink: who answers as you in Slack. Refuses to make a code: Slack shows it to the user whom it is about. */
import type { SlackLink } from '@sallyport/api-client';
import type { Context } from '../context.ts';
import { safeLine } from '../output/safe-text.ts';
import type { Column } from '../output/table.ts';
import { showInstant } from '../output/time.ts';
import type { Registry } from './command.ts';

const COLUMNS: readonly Column<SlackLink>[] = [
  { title: 'id', show: (link) => link.id },
  { title: 'team', show: (link) => link.team },
  { title: 'user', show: (link) => link.user },
  { title: 'name', show: (link) => link.name },
  { title: 'since', show: (link) => showInstant(link.createdAt) },
];

export function registerSlack({ program, run }: Registry): void {
  const slack = program.command('slack').description('Slack users that answer as you');
  slack.command('ls', { isDefault: true }).description('list them').action(run(list));
  slack
    .command('link')
    .argument('<code>', 'what Slack showed you, and nobody else')
    .description('let your Slack user answer as you')
    .action(run(link));
  slack.command('unlink').argument('<id>').description('end that').action(run(unlink));
}

async function list(context: Context): Promise<void> {
  await context.requireToken();
  context.list((await context.api.slackLinks.list()).items, COLUMNS, 'No Slack user answers as you.');
}

async function link(context: Context, code: string): Promise<void> {
  await context.requireToken();
  const made = await context.api.slackLinks.create(code);
  context.answer(made, () => [
    `From now on the Slack user ${safeLine(made.name)} (${made.user} of ${made.team}) answers as you.`,
    `If that is not you: sallyport slack unlink ${made.id}`,
  ]);
}

async function unlink(context: Context, id: string): Promise<void> {
  await context.requireToken();
  await context.api.slackLinks.remove(id);
  context.answer({ id, removed: true }, () => [`Removed ${id}.`]);
}
