/** trail export, verify, retention, events, acts, heads. Verifying needs no network: an export, the root, and heads kept outside. */
import { X509Certificate } from 'node:crypto';
import { createReadStream, existsSync, readFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream as WebStream } from 'node:stream/web';
import type { Act, TrailEvent } from '@sallyport/api-client';
import { GatewayError } from '@sallyport/core';
import { type Finding, parseTreeHeads, type TreeHead, type VerifyReport, verifyExport } from '@sallyport/trail';
import { type Context, collect } from '../context.ts';
import { CliError, EXIT } from '../exit-codes.ts';
import { safeLine } from '../output/safe-text.ts';
import { type Column, renderFields } from '../output/table.ts';
import { parseSince, showInstant } from '../output/time.ts';
import { styled } from '../terminal.ts';
import { countOption, type Registry } from './command.ts';

const COLUMNS: readonly Column<TrailEvent>[] = [
  { title: 'time', show: (event) => showInstant(event.time) },
  { title: 'kind', show: (event) => (event.count > 1 ? `${event.kind} ×${event.count}` : event.kind) },
  { title: 'who', show: (event) => [event.principal, event.onBehalfOf].filter((name) => name !== null).join(' for ') },
  { title: 'resource', show: (event) => event.resource },
  { title: 'verdict', show: (event) => event.verdict },
  { title: 'rule or act', show: (event) => event.rule ?? actText(event), least: 16 },
  { title: 'session', show: (event) => event.sessionId },
];

const ACTS: readonly Column<Act>[] = [
  { title: 'time', show: (act) => showInstant(act.time) },
  { title: 'who', show: (act) => [act.principal ?? 'sallyport', act.onBehalfOf].filter(Boolean).join(' for ') },
  { title: 'act', show: (act) => act.action },
  { title: 'on', show: (act) => act.target },
  { title: 'what', show: (act) => JSON.stringify(act.detail), least: 30 },
];

const actText = ({ action, target }: TrailEvent): string | undefined =>
  [action, target].filter(Boolean).join(' ') || undefined;

export function registerTrail({ program, run }: Registry): void {
  const trail = program.command('trail').description('the record: search it, take it away, check it');
  trail
    .command('events', { isDefault: true })
    .description('list events, newest first')
    .option('--kind <kind>', 'only of this kind, as statement.judged')
    .option('--session <id>', 'only of this session')
    .option('--principal <name>', 'only of this principal')
    .option('--resource <name>', 'only on this resource')
    .option('--verdict <verdict>', 'allow, deny or hold')
    .option('--since <when>', 'since: 24h, 7d or a date')
    .option('--until <when>', 'until: 1h (ago) or a date')
    .option('--limit <n>', 'at most so many', '50')
    .action(run(events));
  trail
    .command('acts')
    .description('list administrative acts, newest first, with what each changed, before and after')
    .option('--action <action>', 'only this act, as grant.created')
    .option('--on <target>', 'only upon this, as policy/prod')
    .option('--principal <name>', 'only of this principal')
    .option('--since <when>', 'since: 24h, 7d or a date')
    .option('--until <when>', 'until: 1h (ago) or a date')
    .option('--limit <n>', 'at most so many', '50')
    .action(run(acts));
  trail
    .command('export')
    .description('write the record to one file that anyone can verify')
    .requiredOption('-o, --output <file>', 'file to write (`-` = stdout)')
    .option('--since <when>', 'only segments since: 24h, 7d or a date')
    .option('--until <when>', 'only segments until')
    .option('--recordings', 'with the recordings, sealed as they are kept')
    .action(run(exportTrail));
  trail
    .command('retention')
    .description(
      'show how long sessions can be read and events searched, or set it; what is older is erased within the hour',
    )
    .option('--sessions <days>', 'days after its end that a session can be read, as 400d; `forever` = for good')
    .option(
      '--events <days>',
      'days that events can be searched; the record itself and acts stay; `forever` = for good',
    )
    .action(run(retention));
  trail.command('heads').description('print signed heads of the record, to be kept outside').action(run(heads));
  trail
    .command('verify')
    .argument('<file>', 'an export')
    .description('check an export offline: nothing altered, removed, reordered or missing')
    .option('--root <pem>', 'root certificate to trust (default: the one kept at sign-in)')
    .option(
      '--since <heads>',
      'file with heads that were kept outside: nothing that they cover may have changed; an export may leave it out',
    )
    .action(run(verify));
}

async function retention(
  context: Context,
  options: { readonly sessions?: string; readonly events?: string },
): Promise<void> {
  await context.requireToken();
  const { trail } = context.api;
  const before = await trail.retention();
  const wanted = {
    sessionsDays: options.sessions === undefined ? before.sessionsDays : daysOption('--sessions', options.sessions),
    eventsDays: options.events === undefined ? before.eventsDays : daysOption('--events', options.events),
  };
  const changes = options.sessions !== undefined || options.events !== undefined;
  const now = changes ? await trail.setRetention(wanted) : before;
  const said = (days: number | null): string => (days === null ? 'for good' : `${days} days`);
  context.answer(now, () =>
    renderFields([
      ['sessions can be read', said(now.sessionsDays)],
      ['events can be searched', said(now.eventsDays)],
    ]),
  );
}

/** Days, or `forever`. @throws CliError `usage` */
function daysOption(name: string, text: string): number | null {
  if (text === 'forever') return null;
  const days = Number(/^(\d{1,5})d?$/.exec(text)?.[1] ?? 'none');
  if (!Number.isInteger(days) || days < 1)
    throw new CliError('usage', `${name} takes days, as 90 or 90d, or \`forever\`.`);
  return days;
}

type EventOptions = Readonly<
  Record<'kind' | 'session' | 'principal' | 'resource' | 'verdict' | 'since' | 'until', string | undefined>
> & { readonly limit: string };

async function events(context: Context, options: EventOptions): Promise<void> {
  await context.requireToken();
  const { kind, session, principal, resource, verdict, limit } = options;
  const query = { kind, session, principal, resource, verdict, ...period(context, options) };
  context.list(await collect(context.api.trail.events(query, countOption(limit))), COLUMNS, 'No events.');
}

async function acts(
  context: Context,
  options: Readonly<Record<'action' | 'on' | 'principal' | 'since' | 'until', string | undefined>> & {
    readonly limit: string;
  },
): Promise<void> {
  await context.requireToken();
  const query = {
    action: options.action,
    target: options.on,
    principal: options.principal,
    ...period(context, options),
  };
  context.list(await collect(context.api.trail.acts(query, countOption(options.limit))), ACTS, 'No acts.');
}

function period(
  context: Context,
  options: { readonly since?: string | undefined; readonly until?: string | undefined },
): { since?: string; until?: string } {
  const nowMs = context.terminal.nowMs();
  return {
    ...(options.since === undefined ? {} : { since: parseSince(options.since, nowMs) }),
    ...(options.until === undefined ? {} : { until: parseSince(options.until, nowMs) }),
  };
}

async function exportTrail(
  context: Context,
  options: { readonly output: string; readonly since?: string; readonly until?: string; readonly recordings?: boolean },
): Promise<void> {
  await context.requireToken();
  const response = await context.api.trail.export({ ...period(context, options), recordings: options.recordings });
  if (response.body === null) throw new CliError('unavailable', 'The export is empty.');
  const source = Readable.fromWeb(response.body as unknown as WebStream);
  if (options.output === '-') {
    await pipeline(source, context.terminal.stdout, { end: false });
    return;
  }
  const file = await open(options.output, 'w', 0o600).catch((error: unknown) => {
    // An answer that nobody reads would keep this program alive.
    source.destroy();
    throw error;
  });
  // One that was there keeps its mode otherwise.
  if ((await file.stat()).isFile()) await file.chmod(0o600);
  const target = file.createWriteStream();
  await pipeline(source, target);
  const bytes = target.bytesWritten;
  context.answer({ file: options.output, bytes }, () => [
    `Wrote ${options.output} (${bytes} bytes). Check it with \`sallyport trail verify ${options.output}\`.`,
  ]);
}

async function heads(context: Context): Promise<void> {
  await context.requireToken();
  for await (const head of context.api.trail.heads()) context.say(JSON.stringify(head));
}

async function verify(
  context: Context,
  file: string,
  options: { readonly root?: string; readonly since?: string },
): Promise<void> {
  if (file !== '-' && !existsSync(file)) throw new CliError('usage', `There is no file ${file}.`);
  const root = rootCertificate(context, options.root);
  const known = options.since === undefined ? [] : readHeads(options.since);
  const report = await verifyExport(file === '-' ? context.terminal.stdin : createReadStream(file), {
    root,
    ...(known.length === 0 ? {} : { knownHeads: known, since: Math.max(...known.map((head) => head.size)) }),
  });
  context.answer(report, () => renderReport(context, report, root));
  if (!report.ok) context.finish(EXIT.notVerified);
}

/** @throws CliError usage: what is no head at all says nothing about the record */
function readHeads(file: string): readonly TreeHead[] {
  const hint = 'Keep lines as `sallyport trail heads` prints them.';
  try {
    const heads = parseTreeHeads(readText(file));
    if (heads.length > 0) return heads;
  } catch (cause) {
    if (!(cause instanceof GatewayError)) throw cause;
    throw new CliError('usage', `${file} holds what is no head.`, hint, { cause });
  }
  throw new CliError('usage', `${file} has no head to hold the export against.`, hint);
}

function rootCertificate(context: Context, file: string | undefined): X509Certificate {
  const pem = file === undefined ? context.access.profile?.root : readText(file);
  if (pem === undefined) {
    throw new CliError(
      'usage',
      'Which root is to be trusted?',
      'Give --root with the PEM that your organisation published; one inside the export proves nothing.',
    );
  }
  try {
    return new X509Certificate(pem);
  } catch (cause) {
    throw new CliError('usage', `${file ?? 'The kept root'} is no PEM certificate.`, undefined, { cause });
  }
}

function readText(file: string): string {
  if (!existsSync(file)) throw new CliError('usage', `There is no file ${file}.`);
  return readFileSync(file, 'utf8');
}

const FINDINGS_SHOWN_MAX = 50;

function renderReport(context: Context, report: VerifyReport, root: X509Certificate): readonly string[] {
  const { terminal } = context;
  const facts = renderFields([
    ['events', report.events],
    ['segments', `${report.segments} (${report.checkpoints} signed)`],
    ['chains', report.chains.length],
    [
      'recordings',
      report.recordingsAbsent === 0
        ? report.recordings
        : `${report.recordings} (${report.recordingsAbsent} that the record names are not in the export)`,
    ],
    ['left out', report.leftOut === 0 ? undefined : `${report.leftOut} segments that the given heads cover`],
    ['erased payloads', report.erased === 0 ? undefined : report.erased],
    [
      'not yet under a head',
      report.pending === 0 ? 0 : `${report.pending} (chained, but a later export shows whether the end is whole)`,
    ],
    [
      'newest head',
      report.head === undefined
        ? 'none'
        : `size ${report.head.size}, ${report.head.root}, ${showInstant(report.head.timeMs)}`,
    ],
    ['root', `SHA-256 ${root.fingerprint256}`],
  ]);
  if (report.ok)
    return [
      ...facts,
      styled(
        terminal,
        'green',
        `The record verifies${report.leftOut === 0 ? '' : ' since then'}: nothing altered, removed, reordered or missing.`,
      ),
    ];
  const more = report.findings.length - FINDINGS_SHOWN_MAX;
  return [
    ...facts,
    styled(
      terminal,
      'red',
      `The record does NOT verify: ${report.findings.length} ${report.findings.length === 1 ? 'finding' : 'findings'}.`,
    ),
    ...report.findings.slice(0, FINDINGS_SHOWN_MAX).map((finding) => `  ${findingText(finding)}`),
    ...(more > 0 ? [`  … and ${more} more (--json shows all)`] : []),
  ];
}

function findingText(finding: Finding): string {
  const count = finding.count === undefined ? '' : ` (${finding.count})`;
  const sequence = finding.sequence === undefined ? '' : `, event ${finding.sequence}`;
  return safeLine(`${finding.kind}${count}: ${finding.where}${sequence}: ${finding.reason}`);
}
