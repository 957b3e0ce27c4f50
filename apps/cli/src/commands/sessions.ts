/** sessions ls, show, statements, commands, replay, watch, kill, erase. Viewing a recording is itself recorded; the control plane sees to that. */
import {
  type FoundCommand,
  type RecordedStatement,
  type ReplayFrame,
  type Session,
  type SessionCommand,
} from '@sallyport/api-client';
import { LIMITS } from '@sallyport/core';
import { SafeScreen, SCREEN_RESET } from '@sallyport/film';
import { type Context, collect } from '../context.ts';
import { CliError } from '../exit-codes.ts';
import { safeLine } from '../output/safe-text.ts';
import { type Column, renderFields } from '../output/table.ts';
import { parseSince, parseSpan, showInstant, showSpan } from '../output/time.ts';
import { playFilm } from '../replay/play-film.ts';
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
    .description('play back what the client sent and saw, in its own time; in a terminal, a terminal session as a film')
    .option('--speed <n>', 'so many times faster; 0 = at once', '1')
    .option('--from <time>', 'begin there: 90s, 10m', '0')
    .option('--pause-max <time>', 'never wait longer than this between two frames', '2s')
    .option('--idle-max <time>', 'the same as --pause-max')
    .option('--statement <n>', 'the film of this shell or command')
    .option('--format <format>', 'film, text or asciicast (v2, for other players)')
    .option('--clear', 'with what the detectors hide; needs a permission of its own, and is recorded as such')
    .action(run(replay));
  sessions
    .command('commands')
    .argument('[id]', 'none = of the newest sessions on hosts; needs --search')
    .description(
      'list the commands of a session with their times in its film, refused ones too, or search those of many',
    )
    .option('--search <text>', 'only those with this text in them')
    .option('--principal <name>', 'without an id: only of this principal')
    .option('--resource <name>', 'without an id: only on this resource')
    .option('--since <when>', 'without an id: of sessions opened since: 24h, 7d or a date')
    .option('--sessions <n>', 'without an id: look into at most so many sessions', '50')
    .option('--limit <n>', 'at most so many', '200')
    .option('--clear', 'with what the detectors hide; needs a permission of its own, and is recorded as such')
    .action(run(commands));
  sessions
    .command('watch')
    .argument('<id>')
    .description('follow a live session; in a terminal, a terminal session as it is shown')
    .option('--format <format>', 'film or text')
    .action(run(watch));
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

interface ReplayOptions {
  readonly speed: string;
  readonly from: string;
  readonly pauseMax: string;
  readonly idleMax?: string;
  readonly statement?: string;
  readonly format?: string;
  readonly clear?: boolean;
}

async function replay(context: Context, id: string, options: ReplayOptions): Promise<void> {
  await context.requireToken();
  const speed = Number(options.speed);
  if (!(speed >= 0)) throw new CliError('usage', '--speed takes a number from 0 on.');
  const fromMs = parseSpan(options.from);
  const pauseMsMax = parseSpan(options.idleMax ?? options.pauseMax);
  const format = await formatOf(context, id, options.format);
  if (format !== 'text') {
    const statement = options.statement === undefined ? undefined : countOption(options.statement);
    const query = { clear: options.clear, ...(statement === undefined ? {} : { statement }) };
    if (format === 'film') {
      const only = statement ?? (await firstTerminal(context, id));
      await playFilm(
        context,
        context.api.sessions.film(id, { ...query, ...(only === undefined ? {} : { statement: only }) }),
        {
          speed,
          fromMs,
          pauseMsMax,
        },
      );
      return;
    }
    const from = fromMs === 0 ? {} : { from: fromMs };
    for await (const line of context.api.sessions.film(id, { ...query, ...from })) context.say(JSON.stringify(line));
    return;
  }
  const frames = context.api.sessions.recording(id, {
    clear: options.clear,
    ...(fromMs === 0 ? {} : { from: fromMs }),
  });
  if (context.json) {
    for await (const frame of frames) if (frame.atMs >= fromMs) context.say(JSON.stringify(frame));
    return;
  }
  await play(frames, { speed, fromMs, pauseMsMax, write: (line) => context.say(line), terminal: context.terminal });
}

const FORMATS = ['film', 'text', 'asciicast'] as const;
type Format = (typeof FORMATS)[number];

/** A film where there is a terminal to play it in and one to be played. */
async function formatOf(context: Context, id: string, asked: string | undefined): Promise<Format> {
  const format = FORMATS.find((one) => one === asked);
  if (asked !== undefined && format === undefined)
    throw new CliError('usage', `--format is one of ${FORMATS.join(', ')}.`);
  if (format !== undefined) return format;
  if (context.json || context.terminal.columns() === undefined) return 'text';
  const session = await context.api.sessions.get(id);
  return session.protocol === 'postgres' ? 'text' : 'film';
}

/** What a person means by the film of a session: its first shell. */
async function firstTerminal(context: Context, id: string): Promise<number | undefined> {
  for await (const command of context.api.sessions.commands(id)) if (command.terminal) return command.number;
  return undefined;
}

const COMMANDS: readonly Column<SessionCommand>[] = [
  { title: '#', show: (command) => command.number },
  { title: 'at', show: (command) => showInstant(command.at) },
  { title: 'from', show: (command) => `${(command.atMs / 1000).toFixed(1)}s` },
  { title: 'verdict', show: (command) => command.verdict },
  { title: 'took', show: (command) => (command.endMs === null ? undefined : showSpan(command.endMs - command.atMs)) },
  { title: 'end', show: (command) => (command.refused?.code || command.signal) ?? command.code ?? undefined },
  { title: 'shown', show: (command) => command.shownBytes },
  { title: 'command', show: (command) => command.text || (command.terminal ? '(shell)' : ''), least: 24 },
];

interface CommandsOptions extends ListOptions {
  readonly search?: string;
  readonly clear?: boolean;
  readonly sessions: string;
}

const FOUND: readonly Column<FoundCommand>[] = [
  { title: 'session', show: ({ session }) => session.id },
  { title: 'who', show: ({ session }) => whoText(session), least: 8 },
  { title: 'resource', show: ({ session }) => session.resource.name, least: 8 },
  ...COMMANDS.filter(({ title }) => title !== 'shown'),
];

/** Each session that is looked into is a viewing on the record, as if it were opened by its id. */
async function searchCommands(context: Context, options: CommandsOptions): Promise<void> {
  if (options.search === undefined) throw new CliError('usage', 'Give the id of a session, or --search <text>.');
  await context.requireToken();
  const since = options.since === undefined ? undefined : parseSince(options.since, context.terminal.nowMs());
  const { principal, resource } = options;
  const [most, sessionsMax] = [countOption(options.limit), countOption(options.sessions)];
  const found: FoundCommand[] = [];
  let [looked, unreadable] = [0, 0];
  let cursor: string | null | undefined;
  while (cursor !== null && looked < sessionsMax && found.length < most) {
    const page = await context.api.sessions.searchCommands({
      q: options.search,
      clear: options.clear,
      principal,
      resource,
      since,
      sessions: Math.min(sessionsMax - looked, LIMITS.commandSearchSessionsMax),
      limit: Math.min(most - found.length, LIMITS.pageSizeMax),
      cursor,
    });
    found.push(...page.items);
    looked += page.looked;
    unreadable += page.unreadable;
    cursor = page.nextCursor;
  }
  context.list(found, FOUND, 'No commands.');
  if (unreadable > 0)
    context.note(
      `${unreadable} of ${looked} sessions cannot be read, or not whole: erased, or their recording is not here.`,
    );
}

async function commands(context: Context, id: string | undefined, options: CommandsOptions): Promise<void> {
  if (id === undefined) return await searchCommands(context, options);
  await context.requireToken();
  const query = { clear: options.clear, ...(options.search === undefined ? {} : { q: options.search }) };
  const items = await collect(context.api.sessions.commands(id, query, countOption(options.limit)));
  context.list(items, COMMANDS, 'No commands.');
}

async function watch(context: Context, id: string, options: { readonly format?: string }): Promise<void> {
  await context.requireToken();
  const film = (await formatOf(context, id, options.format)) === 'film' ? new LiveFilm() : undefined;
  try {
    for await (const frame of context.api.sessions.watch(id)) {
      const shown = film?.shownOf(frame);
      if (context.json) context.say(JSON.stringify(frame));
      else if (shown !== undefined) context.terminal.stdout.write(shown);
      else context.say(...renderFrame(frame, context.terminal));
    }
  } finally {
    if (film?.hasShown === true) context.terminal.stdout.write(SCREEN_RESET);
  }
  context.note('The session has ended.');
}

/** The terminal of a live session as it goes on; everything else of the session is told in lines. */
class LiveFilm {
  readonly #screen = new SafeScreen();
  readonly #decoder = new TextDecoder();
  hasShown = false;

  shownOf(frame: ReplayFrame): string | undefined {
    if (frame.kind !== 'terminal_output' || frame.stream !== 'pty') return undefined;
    this.hasShown = true;
    return this.#screen.push(this.#decoder.decode(Buffer.from(String(frame.bytes ?? ''), 'base64'), { stream: true }));
  }
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
