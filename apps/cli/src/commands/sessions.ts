/** sessions ls, show, statements, replay, watch, kill, erase. Viewing a recording is itself recorded; the control plane sees to that. */
import type { RecordedStatement, Session } from '@sallyport/api-client';
import { type Context, collect } from '../context.ts';
import { CliError } from '../exit-codes.ts';
import { safeLine } from '../output/safe-text.ts';
import { type Column, renderFields } from '../output/table.ts';
import { parseSince, parseSpan, showInstant, showSpan } from '../output/time.ts';
import { renderFrame } from '../replay/render-frame.ts';
import { replay as play } from '../replay/replay.ts';
import { whoText } from './approvals.ts';
import { countOption, type Registry } from './command.ts';

const COLUMNS: readonly Column<Session>[] = [
  { title: 'id', show: (session) => session.id },
  { title: 'who', show: (session) => whoText(session), least: 12 },
  { title: 'resource', show: (session) => session.resource.name, least: 12 },
  { title: 'opened', show: (session) => showInstant(session.openedAt) },
  {
    title: 'state',
    show: (session) =>
      session.live
        ? session.heldFor === null
          ? 'live'
          : `waits for ${session.heldFor}`
        : session.closeReason || 'closed',
    least: 8,
  },
  { title: 'statements', show: (session) => session.statements },
  { title: 'rows', show: (session) => session.rows },
  { title: 'client', show: (session) => session.application, least: 8 },
];

export function registerSessions({ program, run }: Registry): void {
  const sessions = program.command('sessions').description('who used what, live and past');
  sessions
    .command('ls', { isDefault: true })
    .description('list sessions, newest first')
    .option('--live', 'only those that are open')
    .option('--principal <name>', 'only of this principal')
    .option('--resource <name>', 'only on this resource')
    .option('--since <when>', 'opened since: 24h, 7d or a date')
    .option('--limit <n>', 'at most so many', '50')
    .action(run(list));
  sessions.command('show').argument('<id>').description('show one session').action(run(show));
  sessions
    .command('statements')
    .argument('<id>')
    .description('list the statements of a session with their verdicts, from the record')
    .option('--limit <n>', 'at most so many', '200')
    .option('--clear', 'with what the detectors hide; needs a permission of its own, and is recorded as such')
    .action(run(statements));
  sessions
    .command('replay')
    .argument('<id>')
    .description('play back what the client sent and saw, in its own time')
    .option('--speed <n>', 'so many times faster; 0 = at once', '1')
    .option('--from <time>', 'begin there: 90s, 10m', '0')
    .option('--pause-max <time>', 'never wait longer than this between two frames', '2s')
    .option('--clear', 'with what the detectors hide; needs a permission of its own, and is recorded as such')
    .action(run(replay));
  sessions.command('watch').argument('<id>').description('follow a live session').action(run(watch));
  sessions
    .command('kill')
    .argument('<id>')
    .description('end a session on both sides at once')
    .option('--reason <text>', 'why; it stands in the record', 'ended by an administrator')
    .action(run(kill));
  sessions
    .command('erase')
    .argument('<id>')
    .description('destroy the key of a closed session: nobody can read its statements and recording again')
    .requiredOption('--reason <text>', 'why; it stands in the record')
    .action(run(erase));
}

interface ListOptions {
  readonly live?: boolean;
  readonly principal?: string;
  readonly resource?: string;
  readonly since?: string;
  readonly limit: string;
}

async function list(context: Context, options: ListOptions): Promise<void> {
  await context.requireToken();
  const since = options.since === undefined ? undefined : parseSince(options.since, context.terminal.nowMs());
  const query = { live: options.live, principal: options.principal, resource: options.resource, since };
  context.list(await collect(context.api.sessions.list(query, countOption(options.limit))), COLUMNS, 'No sessions.');
}

async function show(context: Context, id: string): Promise<void> {
  await context.requireToken();
  const session = await context.api.sessions.get(id);
  const ended = session.closedAt == null ? context.terminal.nowMs() : new Date(session.closedAt).getTime();
  context.answer(session, () =>
    renderFields([
      ['session', session.id],
      ['who', `${safeLine(whoText(session))} (${session.principal.kind})`],
      ['resource', `${session.resource.name} / ${safeLine(session.database)}`],
      ['role', session.role],
      ['client', `${safeLine(session.application)} from ${session.clientAddress}`],
      ['agent', session.agent.name],
      ['waits for', session.heldFor],
      ['opened', showInstant(session.openedAt)],
      ['signed in', proofText(session)],
      [
        'closed',
        session.closedAt == null ? 'live' : `${showInstant(session.closedAt)} (${session.closeReason || 'closed'})`,
      ],
      ['lasted', showSpan(ended - new Date(session.openedAt).getTime())],
      ['statements', session.statements],
      ['rows', session.rows],
      ['bytes', session.bytes],
      ['erased', session.erasedAt == null ? null : showInstant(session.erasedAt)],
    ]),
  );
}

/** How somebody got in, where more than our access token says it. */
function proofText({ auth, issuer }: Session): string | null {
  if (issuer != null) return safeLine(`by ${issuer.subject} of ${issuer.issuer} (trust rule ${issuer.rule})`);
  if (auth == null) return null;
  const at = auth.at == null ? '' : ` at ${showInstant(auth.at)}`;
  return safeLine(
    [`by ${auth.provider}${at}`, auth.amr.join(' + '), auth.acr].filter((part) => part !== '').join(', '),
  );
}

const STATEMENTS: readonly Column<RecordedStatement>[] = [
  { title: '#', show: (statement) => statement.number },
  { title: 'at', show: (statement) => showInstant(statement.at) },
  { title: 'verdict', show: (statement) => statement.verdict },
  { title: 'rule', show: (statement) => statement.rule, least: 12 },
  { title: 'rows', show: (statement) => statement.outcome?.rows },
  { title: 'masked', show: (statement) => statement.outcome?.masked },
  { title: 'error', show: (statement) => statement.outcome?.error || statement.code || undefined },
  { title: 'statement', show: (statement) => statement.text + parametersText(statement), least: 24 },
];

const parametersText = ({ parameters }: RecordedStatement): string =>
  parameters.length === 0 ? '' : ` (${parameters.map((value, i) => `$${i + 1} = ${value ?? 'NULL'}`).join(', ')})`;

async function statements(
  context: Context,
  id: string,
  options: { readonly limit: string; readonly clear?: boolean },
): Promise<void> {
  await context.requireToken();
  const items = await collect(
    context.api.sessions.statements(id, { clear: options.clear }, countOption(options.limit)),
  );
  context.list(items, STATEMENTS, 'No statements.');
}

async function replay(
  context: Context,
  id: string,
  options: { readonly speed: string; readonly from: string; readonly pauseMax: string; readonly clear?: boolean },
): Promise<void> {
  await context.requireToken();
  const speed = Number(options.speed);
  if (!(speed >= 0)) throw new CliError('usage', '--speed takes a number from 0 on.');
  const fromMs = parseSpan(options.from);
  const frames = context.api.sessions.recording(id, {
    clear: options.clear,
    ...(fromMs === 0 ? {} : { from: fromMs }),
  });
  if (context.json) {
    for await (const frame of frames) if (frame.atMs >= fromMs) context.say(JSON.stringify(frame));
    return;
  }
  await play(frames, {
    speed,
    fromMs,
    pauseMsMax: parseSpan(options.pauseMax),
    write: (line) => context.say(line),
    terminal: context.terminal,
  });
}

async function watch(context: Context, id: string): Promise<void> {
  await context.requireToken();
  for await (const frame of context.api.sessions.watch(id)) {
    if (context.json) context.say(JSON.stringify(frame));
    else context.say(...renderFrame(frame, context.terminal));
  }
  context.note('The session has ended.');
}

async function kill(context: Context, id: string, options: { readonly reason: string }): Promise<void> {
  await context.requireToken();
  const answer = await context.api.sessions.kill(id, options.reason);
  context.answer(answer ?? { id, killed: true }, () => [`Ended ${id}.`]);
}

async function erase(context: Context, id: string, options: { readonly reason: string }): Promise<void> {
  await context.requireToken();
  const answer = await context.api.sessions.erase(id, options.reason);
  context.answer(answer, () => [`Erased ${id}. Its chain still verifies; what was said in it is gone for good.`]);
}
