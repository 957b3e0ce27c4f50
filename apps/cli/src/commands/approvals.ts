/**
 * approvals ls, show, approve, deny, watch. Refuses to approve what has not been shown: approving at a terminal prints the
 * statement first, and its text is made safe for the terminal, since the one who waits has written it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ApprovalRequest, ApprovalTerms } from '@sallyport/api-client';
import { type Context, collect } from '../context.ts';
import { CliError } from '../exit-codes.ts';
import { safeLine, safeText } from '../output/safe-text.ts';
import { type Column, renderFields } from '../output/table.ts';
import { showDistance, showInstant } from '../output/time.ts';
import { styled } from '../terminal.ts';
import { countOption, type Registry } from './command.ts';

const WATCH_EVERY_MS = 1000;

type Work = NonNullable<ApprovalRequest['work']>;

/** `payments-bot for ana`. */
export const whoText = (item: {
  readonly principal: { readonly name: string };
  readonly onBehalfOf: { readonly name: string } | null;
}): string => (item.onBehalfOf === null ? item.principal.name : `${item.principal.name} for ${item.onBehalfOf.name}`);

const columns = (nowMs: number): readonly Column<ApprovalRequest>[] => [
  { title: 'id', show: (item) => item.id },
  { title: 'state', show: (item) => item.state },
  { title: 'who', show: (item) => whoText(item) },
  { title: 'resource', show: (item) => item.resource },
  { title: 'rule', show: (item) => item.rule, least: 12 },
  { title: 'expires', show: (item) => (item.state === 'pending' ? showDistance(item.expiresAt, nowMs) : '-') },
  { title: 'statement', show: (item) => item.statement, least: 24 },
];

export function registerApprovals({ program, run }: Registry): void {
  const approvals = program.command('approvals').description('held statements that wait for a person');
  approvals
    .command('ls', { isDefault: true })
    .description('list what waits for you')
    .option('--all', 'also what others answer')
    .option('--state <state>', 'pending, approved, denied, expired, withdrawn, lost, consumed or revoked', 'pending')
    .option('--limit <n>', 'at most so many', '100')
    .action(run(list));
  approvals.command('show').argument('<id>').description('show one request with its context').action(run(show));
  approvals
    .command('approve')
    .argument('<id>')
    .description('let this statement run once, or its shape for a time')
    .option('--reason <text>', 'why; it stands in the record')
    .option('--shape', 'also what differs from it in values alone, as far as the rule allows')
    .option('--minutes <n>', 'of a shape: how long')
    .option('--rows <n>', 'of a shape: rows of each statement at most')
    .option('--all-sessions', 'of a shape: every session of the principal, not the one that asked alone')
    .action(run(approve));
  approvals
    .command('deny')
    .argument('<id>')
    .description('refuse it')
    .requiredOption('--reason <text>', 'why; the client is told')
    .action(run(deny));
  approvals
    .command('delegate')
    .argument('<id>')
    .argument('<person>')
    .description('hand your seat at this request to another person who may answer')
    .option('--reason <text>', 'why')
    .action(run(delegate));
  approvals
    .command('comment')
    .argument('<id>')
    .argument('<text>')
    .description('say something about it')
    .action(run(comment));
  approvals
    .command('revoke')
    .argument('<id>')
    .description('take an approved shape back before its time')
    .requiredOption('--reason <text>', 'why')
    .action(run(revoke));
  approvals
    .command('watch')
    .description('print requests as they come, until Ctrl-C')
    .option('--all', 'also what others answer')
    .action(run(watch));
}

async function list(
  context: Context,
  options: { readonly all?: boolean; readonly state: string; readonly limit: string },
): Promise<void> {
  await context.requireToken();
  const answerable = options.all === true || options.state !== 'pending' ? undefined : true;
  const items = await collect(
    context.api.approvals.list({ state: options.state, answerable }, countOption(options.limit)),
  );
  context.list(items, columns(context.terminal.nowMs()), answerable === true ? 'Nothing waits for you.' : 'Nothing.');
}

async function show(context: Context, id: string): Promise<void> {
  await context.requireToken();
  const item = await context.api.approvals.get(id);
  context.answer(item, () => render(context, item));
}

function render(context: Context, item: ApprovalRequest): readonly string[] {
  const nowMs = context.terminal.nowMs();
  const votes = item.votes.map(
    (vote) =>
      `${vote.principal === '' ? vote.principalId : vote.principal}${vote.seatOf === null ? '' : ` for ${vote.seatOf}`} ${vote.granted ? 'approved' : 'denied'}${vote.reason === null ? '' : `: ${vote.reason}`}`,
  );
  return [
    ...renderFields([
      ['request', item.id],
      ['state', item.state],
      ['who', `${safeLine(whoText(item))} (${item.principal.kind})`],
      ['resource', `${item.resource} / ${safeLine(item.database)}`],
      ['from', item.clientAddress],
      ['rule', safeLine(item.rule)],
      ['reason', safeText(item.ruleReason)],
      ['they say', item.askedReason === null ? undefined : safeText(item.askedReason)],
      ['effects', item.effects.join(', ')],
      [
        'needs',
        `${item.count} of ${item.groups.join(', ') || 'those who may approve here'}${item.missing === 0 || item.votes.length === 0 ? '' : ` (${item.missing} more)`}`,
      ],
      ['asked', showInstant(item.requestedAt)],
      ['expires', `${showInstant(item.expiresAt)} (${showDistance(item.expiresAt, nowMs)})`],
      [
        'transaction',
        item.inTransaction ? `open${item.wroteInTransaction ? ', has written or holds locks' : ''}` : 'none open',
      ],
      [
        'session so far',
        `${item.statementsBefore} statements, ${item.writesBefore} writes (session ${item.sessionId})`,
      ],
      ['escalates', item.escalatesAt === null ? undefined : showInstant(item.escalatedAt ?? item.escalatesAt)],
      ['shape', item.shape === null ? undefined : shapeText(item.shape)],
      ['answers', votes.map(safeLine).join('\n')],
      ['comments', item.comments.map(({ principal, text }) => safeLine(`${principal}: ${text}`)).join('\n')],
      ['answer', item.reason === null ? undefined : safeText(item.reason)],
      ['digest', item.digest],
    ]),
    '',
    styled(context.terminal, 'bold', 'statement'),
    ...(item.work === null ? [indent(safeText(item.statement))] : workLines(item.work)),
    ...item.parameters.map((value, i) => `  $${i + 1} = ${value === null ? 'NULL' : safeLine(value)}`),
    ...(item.recentStatements.length === 0 ? [] : ['', 'before it']),
    ...item.recentStatements.map((text) => indent(safeLine(text))),
  ];
}

/** What a COMMIT would commit. */
function workLines({ statements, count, rows, rowsRolledBack, uncounted, since, note }: Work): readonly string[] {
  const cells = (row: readonly (string | null)[]): string =>
    `      ${row.map((cell) => (cell === null ? 'NULL' : safeLine(cell))).join(' | ')}`;
  const left = count - statements.filter(({ rolledBack }) => rolledBack).length;
  return [
    ...statements.flatMap((each) => [
      `  ${safeLine(each.text)}`,
      ...each.parameters.map((value, i) => `    $${i + 1} = ${value === null ? 'NULL' : safeLine(value)}`),
      `    ${plural(each.rows, 'row')}${each.counted ? '' : ' counted, and what nothing counts'}${each.rolledBack ? ', rolled back' : ''}`,
      ...(each.sample === null ? [] : [cells(each.sample.columns), ...each.sample.rows.map(cells)]),
    ]),
    ...(count > statements.length ? [`  … ${count - statements.length} more`] : []),
    '  COMMIT',
    '',
    `It would commit ${plural(left, 'statement')} and ${plural(rows - rowsRolledBack, 'row')}, begun ${showInstant(since)}.`,
    ...(rowsRolledBack === 0 ? [] : [`It has undone ${plural(rowsRolledBack, 'row')} itself (ROLLBACK TO).`]),
    ...(uncounted === 0 ? [] : [`Not counted, or not all of it: ${plural(uncounted, 'statement')}.`]),
    safeLine(note),
  ];
}

const plural = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`;

const shapeText = ({ text, minutesMax, rowsMax, bound, note }: NonNullable<ApprovalRequest['shape']>): string =>
  `${safeLine(text)}\nby --shape: at most ${minutesMax} min and ${rowsMax} rows; beyond them ${bound === 'cut' ? 'the answer is cut' : 'the change is undone'}\n${safeLine(note)}`;

const indent = (text: string): string => text.replaceAll(/^/gm, '  ');

interface ApproveOptions {
  readonly reason?: string;
  readonly shape?: boolean;
  readonly minutes?: string;
  readonly rows?: string;
  readonly allSessions?: boolean;
}

async function approve(context: Context, id: string, options: ApproveOptions): Promise<void> {
  const terms = termsOf(options);
  await context.requireToken();
  const item = await context.api.approvals.get(id);
  if (!context.json) context.note(...render(context, item), '');
  const answered = await context.api.approvals.approve(id, options.reason, terms);
  context.answer(answered, () => [
    answered.state === 'pending'
      ? `Your approval of ${id} is counted; it needs ${answered.missing} more, ${item.count} in all.`
      : `Approved ${id}: ${safeLine(whoText(item))} may run this ${grantedText(answered)}.`,
  ]);
}

function termsOf({ shape, minutes, rows, allSessions }: ApproveOptions): ApprovalTerms {
  if (shape !== true) {
    if (minutes !== undefined || rows !== undefined || allSessions === true)
      throw new CliError('usage', '--minutes, --rows and --all-sessions go with --shape.');
    return {};
  }
  return {
    scope: 'shape',
    ...(minutes === undefined ? {} : { minutes: countOption(minutes) }),
    ...(rows === undefined ? {} : { rowsMax: countOption(rows) }),
    ...(allSessions === true ? { sessions: 'all' } : {}),
  };
}

const grantedText = ({ granted }: ApprovalRequest): string =>
  granted?.scope === 'shape' && granted.until !== null
    ? `and what differs in values alone, at most ${granted.rowsMax} rows each, until ${showInstant(granted.until)}`
    : 'once';

async function delegate(
  context: Context,
  id: string,
  to: string,
  options: { readonly reason?: string },
): Promise<void> {
  await context.requireToken();
  const item = await context.api.approvals.delegate(id, to, options.reason);
  context.answer(item, () => [`${to} may answer ${id} in your place.`]);
}

async function comment(context: Context, id: string, text: string): Promise<void> {
  await context.requireToken();
  const item = await context.api.approvals.comment(id, text);
  context.answer(item, () => [`Said at ${id}.`]);
}

async function revoke(context: Context, id: string, options: { readonly reason: string }): Promise<void> {
  await context.requireToken();
  const item = await context.api.approvals.revoke(id, options.reason);
  context.answer(item, () => [`Taken back: ${id}. Agents hear of it at once.`]);
}

async function deny(context: Context, id: string, options: { readonly reason: string }): Promise<void> {
  await context.requireToken();
  const answered = await context.api.approvals.deny(id, options.reason);
  context.answer(answered, () => [`Denied ${id}.`]);
}

async function watch(context: Context, options: { readonly all?: boolean }): Promise<void> {
  await context.requireToken();
  const shown = new Map<string, string>();
  for (;;) {
    const query = { state: 'pending', answerable: options.all === true ? undefined : true };
    for await (const item of context.api.approvals.list(query, 100)) {
      if (shown.get(item.id) === item.state) continue;
      shown.set(item.id, item.state);
      if (context.json) context.say(JSON.stringify(item));
      else
        context.say(
          `${showInstant(item.requestedAt)}  ${item.id}  ${safeLine(whoText(item))} → ${item.resource}  ${safeLine(item.statement)}`,
        );
    }
    await sleep(WATCH_EVERY_MS);
  }
}
