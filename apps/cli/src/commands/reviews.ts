/**
 * reviews ls, create, show, start, answer, end, export, drift. Refuses to answer what was not named: grants are given one by
 * one, and what the control plane says of each stands in `show`.
 */
import { open, readFile } from 'node:fs/promises';
import type { Drift, Review, ReviewAnswer, ReviewDocument, ReviewItem } from '@sallyport/api-client';
import { type Context, collect } from '../context.ts';
import { CliError } from '../exit-codes.ts';
import { safeLine } from '../output/safe-text.ts';
import { type Column, renderFields } from '../output/table.ts';
import { showDistance, showInstant } from '../output/time.ts';
import { readStdin, styled } from '../terminal.ts';
import { type Registry, repeated } from './command.ts';

const REVIEWS = (nowMs: number): readonly Column<Review>[] => [
  { title: 'name', show: (review) => review.name },
  { title: 'round', show: (review) => review.round?.number },
  { title: 'state', show: (review) => (review.endedAt === null ? (review.round?.state ?? 'not started') : 'ended') },
  { title: 'answered', show: (review) => review.round && `${review.round.answered} of ${review.round.items}` },
  { title: 'deadline', show: (review) => review.round && showDistance(review.round.deadline, nowMs) },
  { title: 'then', show: (review) => review.afterReview },
  { title: 'next', show: (review) => (review.nextAt === null ? undefined : showInstant(review.nextAt)) },
];

const whoText = ({ subject }: ReviewItem): string =>
  subject.group === null ? (subject.principal ?? '-') : `group ${subject.group}`;
const usedText = ({ evidence }: ReviewItem): string =>
  evidence.effects
    .filter((sum) => sum.allowed > 0)
    .map((sum) => `${sum.word} ${sum.allowed}`)
    .join(', ') || 'nothing';
const proposalText = (item: ReviewItem): string =>
  item.proposal === 'reduce' ? `reduce to ${item.proposalEffects.join(', ')}` : item.proposal;

const ITEMS: readonly Column<ReviewItem>[] = [
  { title: 'grant', show: (item) => item.grant },
  { title: 'who', show: (item) => whoText(item) },
  { title: 'gives', show: (item) => item.subject.effects.join(', ') },
  { title: 'used', show: (item) => usedText(item), least: 8 },
  {
    title: 'last use',
    show: (item) => (item.evidence.lastAt === null ? 'never' : showInstant(item.evidence.lastAt)),
  },
  { title: 'held', show: (item) => item.evidence.held },
  { title: 'denied', show: (item) => item.evidence.denied },
  { title: 'proposal', show: (item) => proposalText(item) },
  {
    title: 'answer',
    show: (item) =>
      item.answer === 'reduce' ? `reduce to ${item.answerEffects.join(', ')}` : (item.answer ?? item.state),
  },
];

const DRIFT: readonly Column<Drift>[] = [
  { title: 'kind', show: (one) => one.kind },
  { title: 'target', show: (one) => one.target },
  { title: 'what', show: (one) => one.what, least: 24 },
  { title: 'since', show: (one) => (one.since === null ? 'news' : showInstant(one.since)) },
];

export function registerReviews({ program, run }: Registry): void {
  const reviews = program.command('reviews').description('who has access, whether they use it, and whether it stays');
  reviews.command('ls', { isDefault: true }).description('list access reviews').action(run(list));
  reviews
    .command('create')
    .argument('<file>', 'the review as JSON (`-` = stdin)')
    .description('make an access review')
    .action(run(create));
  reviews
    .command('show')
    .argument('<review>')
    .argument('[grant]', 'one item in full')
    .description('show what waits for you, with what was really used')
    .option('--all', 'also what others answer, and what is answered')
    .option('--round <n>', 'an earlier round')
    .action(run(show));
  reviews.command('start').argument('<review>').description('start a round now').action(run(start));
  reviews
    .command('answer')
    .argument('<review>')
    .argument('<grants...>', 'the items, by their grants’ names')
    .description('keep, reduce or revoke')
    .option('--keep', 'confirm it as it was shown')
    .option('--reduce', 'to what was used, or to --effect')
    .option('--revoke', 'end it')
    .option('--effect <effect>', 'what stays (repeatable)', repeated)
    .option('--reason <text>', 'why; needed for several')
    .action(run(answer));
  reviews
    .command('end')
    .argument('<review>')
    .description('end an access review: it binds nothing any more, its evidence stays')
    .action(run(end));
  reviews
    .command('export')
    .argument('<review>')
    .description('write a round for auditors')
    .requiredOption('-o, --output <file>', 'file to write (`-` = stdout)')
    .option('--format <format>', 'csv, json or html', 'csv')
    .option('--round <n>', 'an earlier round')
    .action(run(exportRound));
  reviews
    .command('drift')
    .description('what has moved away from the last review')
    .option('--kind <kind>', 'only this')
    .option('--unused-days <n>', 'grants that nobody used for so many days')
    .action(run(drift));
}

async function list(context: Context): Promise<void> {
  await context.requireToken();
  context.list(await collect(context.api.reviews.list()), REVIEWS(context.terminal.nowMs()), 'Nothing to review.');
}

async function create(context: Context, file: string): Promise<void> {
  const text = file === '-' ? await readStdin(context.terminal) : await readFile(file, 'utf8');
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    throw new CliError('usage', `${file} is not JSON.`);
  }
  await context.requireToken();
  // What is wrong in it is named by the control plane, field by field.
  context.one(await context.api.reviews.create(document as ReviewDocument), REVIEWS(context.terminal.nowMs()));
}

async function show(
  context: Context,
  name: string,
  grant: string | undefined,
  options: { readonly all?: boolean; readonly round?: string },
): Promise<void> {
  await context.requireToken();
  const answerable = options.all === true || options.round !== undefined || grant !== undefined ? undefined : true;
  const items = await collect(context.api.reviews.items(name, { answerable, round: options.round }));
  if (grant === undefined) {
    context.list(items, ITEMS, answerable === true ? 'Nothing waits for you.' : 'Nothing.');
    return;
  }
  const item = items.find((one) => one.grant === grant);
  if (item === undefined) throw new CliError('notFound', `There is no item of a grant ${grant}.`);
  context.answer(item, () => render(context, item));
}

function render(context: Context, item: ReviewItem): readonly string[] {
  const { subject, evidence } = item;
  const on =
    subject.resource ??
    Object.entries(subject.labels ?? {})
      .map(([key, value]) => `${key}=${value}`)
      .join(' ');
  const place = evidence.trail === null ? undefined : `${evidence.trail.chain}#${evidence.trail.sequence}`;
  return [
    ...renderFields([
      ['grant', item.grant],
      ['who', safeLine(whoText(item))],
      ['holders', item.holders.map((holder) => safeLine(holder.name)).join(', ')],
      ['on', safeLine(on)],
      ['reaches', subject.reaches.join(', ')],
      ['gives', subject.effects.join(', ')],
      ['roles', subject.roles.join(', ')],
      ['kind', `${subject.kind}, by ${subject.source}, since ${showInstant(subject.createdAt)}`],
      [
        'reviewers',
        item.reviewers.map((one) => safeLine(one.kind === 'group' ? `group ${one.name}` : one.name)).join(', '),
      ],
      ['proposal', `${proposalText(item)}: ${item.proposalReason}`],
      ['answer', item.answer === null ? item.state : `${item.answer} by ${item.answeredBy ?? '-'}`],
      ['reason', item.reason === null ? undefined : safeLine(item.reason)],
      ['digest', item.digest],
    ]),
    '',
    styled(context.terminal, 'bold', `used since ${showInstant(evidence.from)}`),
    ...renderFields([
      ['statements', `${evidence.allowed} allowed, ${evidence.held} held, ${evidence.denied} denied`],
      ['effects', usedText(item)],
      ['last use', evidence.lastAt === null ? 'never' : showInstant(evidence.lastAt)],
      ['on the trail', place],
      ['by', evidence.holders.map((holder) => `${safeLine(holder.name)} ${holder.allowed}`).join(', ')],
      [
        'reached',
        [
          ...evidence.reached.map((one) => `${safeLine(one.word)} ${one.allowed}`),
          ...(evidence.reachedMore === 0 ? [] : [`and ${evidence.reachedMore} more`]),
        ].join('\n'),
      ],
    ]),
  ];
}

async function start(context: Context, name: string): Promise<void> {
  await context.requireToken();
  const review = await context.api.reviews.start(name);
  context.answer(review, () => [
    `Round ${review.round?.number} of ${name}: ${review.round?.items} grants, due ${showInstant(review.round?.deadline ?? '')}. What nobody confirms by then: ${review.afterReview}.`,
  ]);
}

interface AnswerOptions {
  readonly keep?: boolean;
  readonly reduce?: boolean;
  readonly revoke?: boolean;
  readonly effect?: readonly string[];
  readonly reason?: string;
}

async function answer(
  context: Context,
  name: string,
  grants: readonly string[],
  options: AnswerOptions,
): Promise<void> {
  const given = (['keep', 'reduce', 'revoke'] as const).filter((one) => options[one] === true);
  const [kind] = given;
  if (kind === undefined || given.length > 1)
    throw new CliError('usage', 'Give --keep, --reduce or --revoke, one of them.');
  if (grants.length > 1 && options.reason === undefined)
    throw new CliError('usage', 'Give a --reason: it answers several at once.');
  await context.requireToken();
  const items = await collect(context.api.reviews.items(name, { state: 'open' }));
  const ids = grants.map((grant) => {
    const item = items.find((one) => one.grant === grant);
    if (item === undefined) throw new CliError('notFound', `No item of a grant ${grant} waits for an answer.`);
    return item.id;
  });
  const body = {
    items: ids,
    answer: kind,
    ...(options.effect === undefined ? {} : { effects: options.effect.flatMap((effect) => effect.split(',')) }),
    ...(options.reason === undefined ? {} : { reason: options.reason }),
  } as ReviewAnswer;
  const answered = await context.api.reviews.answer(name, body);
  context.list([...answered.items], ITEMS);
}

async function end(context: Context, name: string): Promise<void> {
  await context.requireToken();
  const review = await context.api.reviews.end(name);
  context.answer(review, () => [`Ended ${name}: its grants are bound by it no more.`]);
}

async function exportRound(
  context: Context,
  name: string,
  options: { readonly output: string; readonly format: string; readonly round?: string },
): Promise<void> {
  await context.requireToken();
  const text = await context.api.reviews.export(name, { format: options.format, round: options.round });
  if (options.output === '-') {
    context.terminal.stdout.write(text);
    return;
  }
  const file = await open(options.output, 'w', 0o600);
  try {
    // One that was there keeps its mode otherwise.
    if ((await file.stat()).isFile()) await file.chmod(0o600);
    await file.writeFile(text);
  } finally {
    await file.close();
  }
  context.answer({ file: options.output, bytes: Buffer.byteLength(text) }, () => [`Wrote ${options.output}.`]);
}

async function drift(
  context: Context,
  options: { readonly kind?: string; readonly unusedDays?: string },
): Promise<void> {
  await context.requireToken();
  const found = await context.api.reviews.drift({ kind: options.kind, unusedDays: options.unusedDays });
  context.list([...found.items], DRIFT, 'Nothing has moved.');
}
