/** proposals: changes that wait for a second admin, and where they are asked for. */
import type { ChangeProposal } from '@sallyport/api-client';
import { type Context, collect } from '../context.ts';
import { safeLine } from '../output/safe-text.ts';
import { type Column, renderFields } from '../output/table.ts';
import { showInstant } from '../output/time.ts';
import type { Registry } from './command.ts';

const PROPOSALS: readonly Column<ChangeProposal>[] = [
  { title: 'id', show: (proposal) => proposal.id },
  { title: 'state', show: (proposal) => proposal.state },
  { title: 'call', show: (proposal) => proposal.call, least: 20 },
  { title: 'areas', show: (proposal) => proposal.areas.join(', ') },
  { title: 'by', show: (proposal) => proposal.proposer.name },
  { title: 'answered by', show: (proposal) => proposal.answeredBy?.name },
  { title: 'expires', show: (proposal) => showInstant(proposal.expiresAt) },
];

export function registerProposals({ program, run }: Registry): void {
  const proposals = program.command('proposals').description('changes that wait for a second admin');
  proposals
    .command('ls', { isDefault: true })
    .description('list proposed changes')
    .option('--state <state>', 'pending, executed, rejected, withdrawn, stale, failed or expired')
    .action(run(listProposals));
  proposals.command('show').argument('<id>').description('show what a proposal changes').action(run(showProposal));
  proposals
    .command('approve')
    .argument('<id>')
    .description('agree as the second admin: the change is made at once')
    .option('--reason <text>', 'why')
    .action(run(approve));
  proposals
    .command('reject')
    .argument('<id>')
    .description('refuse a proposed change')
    .requiredOption('--reason <text>', 'why')
    .action(run(reject));
  proposals.command('withdraw').argument('<id>').description('take your own proposal back').action(run(withdraw));
  proposals
    .command('answer')
    .argument('<id>')
    .description('take what your own change answered when it was made (a link, a secret); once')
    .action(run(takeAnswer));
  proposals
    .command('areas')
    .argument('[area...]')
    .description(
      'show where changes need two admins, or set it: policy, identity-provider, master-key, administrators, retention',
    )
    .option('--none', 'ask for a second admin nowhere')
    .action(run(areas));
}

async function listProposals(context: Context, options: { readonly state?: string }): Promise<void> {
  await context.requireToken();
  context.list(await collect(context.api.proposals.list({ state: options.state })), PROPOSALS, 'Nothing waits.');
}

async function showProposal(context: Context, id: string): Promise<void> {
  await context.requireToken();
  const proposal = await context.api.proposals.get(id);
  context.answer(proposal, () => [
    ...renderFields([
      ['id', proposal.id],
      ['state', proposal.state],
      ['call', safeLine(proposal.call)],
      ['areas', proposal.areas.join(', ')],
      ['proposed by', safeLine(proposal.proposer.name)],
      ['answered by', proposal.answeredBy === null ? undefined : safeLine(proposal.answeredBy.name)],
      ['reason', proposal.reason === null ? undefined : safeLine(proposal.reason)],
      ['expires', showInstant(proposal.expiresAt)],
      [
        'its answer',
        proposal.hasAnswer ? `waits for ${safeLine(proposal.proposer.name)}: sallyport proposals answer` : undefined,
      ],
    ]),
    'changes',
    ...proposal.changes.map((change) => `  ${safeLine(JSON.stringify(change))}`),
  ]);
}

async function approve(context: Context, id: string, options: { readonly reason?: string }): Promise<void> {
  await context.requireToken();
  context.one(await context.api.proposals.approve(id, options.reason), PROPOSALS);
}

async function reject(context: Context, id: string, options: { readonly reason: string }): Promise<void> {
  await context.requireToken();
  context.one(await context.api.proposals.reject(id, options.reason), PROPOSALS);
}

async function withdraw(context: Context, id: string): Promise<void> {
  await context.requireToken();
  context.one(await context.api.proposals.withdraw(id), PROPOSALS);
}

async function takeAnswer(context: Context, id: string): Promise<void> {
  await context.requireToken();
  const answer = await context.api.proposals.answer(id);
  context.answer(answer, () => JSON.stringify(answer.body, undefined, 2).split('\n').map(safeLine));
}

async function areas(context: Context, wanted: readonly string[], options: { readonly none?: boolean }): Promise<void> {
  await context.requireToken();
  const { proposals } = context.api;
  const setting =
    wanted.length > 0 || options.none === true
      ? await proposals.setAreas(options.none === true ? [] : wanted)
      : await proposals.areas();
  context.answer(setting, () => [
    setting.areas.length === 0 ? 'No change needs a second admin.' : setting.areas.join('\n'),
  ]);
}
