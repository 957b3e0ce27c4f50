/** credentials ls, show, put, rotate, test; leases ls, show, revoke; rotate-master-key. A secret is read, never an argument. */
import type { Credential, CredentialErrandResult, Lease } from '@sallyport/api-client';
import { readSecretFile } from '../config/private-file.ts';
import { type Context, collect } from '../context.ts';
import { CliError } from '../exit-codes.ts';
import { type Column, renderFields } from '../output/table.ts';
import { showDistance } from '../output/time.ts';
import { readStdin } from '../terminal.ts';
import type { Registry } from './command.ts';

const stateOf = (credential: Credential): string =>
  [
    credential.rotating ? 'rotating' : '',
    credential.rotationError === null ? '' : `rotation: ${credential.rotationError}`,
    credential.fetchError === null ? '' : 'cannot be fetched',
    credential.refusedAt === null ? '' : 'was refused',
  ]
    .filter((text) => text !== '')
    .join(', ');

const credentialColumns = (nowMs: number): readonly Column<Credential>[] => [
  { title: 'name', show: (credential) => credential.name },
  { title: 'kind', show: (credential) => credential.kind },
  { title: 'as', show: (credential) => credential.username },
  { title: 'resolved at', show: (credential) => credential.resolveAt.replace('_', ' ') },
  { title: 'changed', show: (credential) => showDistance(credential.rotatedAt, nowMs) },
  { title: 'every', show: (credential) => String(credential.rotateEvery ?? '') },
  { title: 'state', show: stateOf },
  { title: 'resources', show: (credential) => credential.resources.join(', '), least: 12 },
];

const leaseColumns = (nowMs: number): readonly Column<Lease>[] => [
  { title: 'lease', show: (lease) => lease.id },
  { title: 'resource', show: (lease) => lease.resource },
  { title: 'principal', show: (lease) => lease.principal },
  { title: 'account', show: (lease) => lease.account, least: 12 },
  { title: 'session', show: (lease) => lease.sessionId ?? 'waits' },
  { title: 'ends', show: (lease) => showDistance(lease.endedAt ?? lease.expiresAt, nowMs) },
  { title: 'why', show: (lease) => lease.reason ?? '' },
];

export function registerCredentials({ program, run }: Registry): void {
  const credentials = program.command('credentials').description('what agents sign in with at resources');
  credentials.command('ls', { isDefault: true }).description('list credentials, without secrets').action(run(list));
  credentials.command('show').argument('<name>').description('show one, without its secret').action(run(show));
  credentials
    .command('put')
    .argument('<name>')
    .description('put a new secret; sessions that run are not disturbed')
    .requiredOption('--secret-file <file>', 'file with the secret (`-` = stdin); readable by you alone')
    .action(run(put));
  credentials
    .command('rotate')
    .argument('<name>')
    .description('have Sallyport give its account a new password now')
    .action(run(rotate));
  credentials
    .command('test')
    .argument('<name>')
    .description('have an agent sign in with it, at each resource that uses it')
    .action(run(test));
  const leases = program.command('leases').description('credentials lent to sessions');
  leases
    .command('ls', { isDefault: true })
    .description('list live leases')
    .option('--ended', 'those that have ended')
    .option('--session <id>', 'those of one session')
    .action(run(listLeases));
  leases.command('show').argument('<lease>').description('show one, live or ended').action(run(showLease));
  leases
    .command('revoke')
    .argument('<lease>')
    .description('end a lease: its session ends and the server forgets the account')
    .action(run(revoke));
  program
    .command('rotate-master-key')
    .description('seal everything under another master key, while everything runs')
    .option(
      '--to <place>',
      'where the new key lies: file, environment, or the name of a KMS (default: the preferred one)',
    )
    .action(run(rotateMasterKey));
}

async function list(context: Context): Promise<void> {
  await context.requireToken();
  const items = await collect(context.api.credentials.list());
  context.list(items, credentialColumns(context.terminal.nowMs()), 'No credentials.');
}

async function show(context: Context, name: string): Promise<void> {
  await context.requireToken();
  const credential = await context.api.credentials.get(name);
  const nowMs = context.terminal.nowMs();
  const { settings } = credential;
  context.answer(credential, () =>
    renderFields([
      ['name', credential.name],
      ['kind', credential.kind],
      ['as', credential.username],
      ['reference', credential.reference],
      [
        'settings',
        Object.entries(settings)
          .map(([key, value]) => `${key}=${value}`)
          .join('\n'),
      ],
      ['accounts made by', credential.admin],
      ['resolved at', credential.resolveAt.replace('_', ' ')],
      ['secret', credential.hasSecret ? 'here, sealed' : ''],
      ['version', String(credential.version)],
      ['changed', showDistance(credential.rotatedAt, nowMs)],
      ['rotated every', credential.rotateEvery === null ? '' : String(credential.rotateEvery)],
      ['falls back for', credential.fallback === null ? '' : String(credential.fallback)],
      ['falls back until', credential.fallbackUntil],
      ['state', stateOf(credential)],
      ['last refused', credential.refusedAt],
      ['last fetched', credential.fetchedAt],
      ['fetch failed', credential.fetchError],
      ['resources', credential.resources.join(', ')],
    ]),
  );
}

async function put(context: Context, name: string, options: { readonly secretFile: string }): Promise<void> {
  await context.requireToken();
  const { secretFile } = options;
  const text = secretFile === '-' ? await readStdin(context.terminal) : readSecretFile(secretFile);
  const secret = text.replace(/\r?\n$/, '');
  if (secret === '') throw new CliError('usage', 'The secret is empty.');
  const credential = await context.api.credentials.putSecret(name, secret);
  context.answer(credential, () => [
    `${name} has a new secret (version ${credential.version}): the next session uses it.`,
  ]);
}

const outcomeText = ({ resource, outcome, code, reason }: CredentialErrandResult): string => {
  switch (outcome) {
    case 'done':
      return `${resource}: good`;
    case 'open':
      return `${resource}: no answer yet`;
    case 'undone':
      return `${resource}: put back as it was (${code})`;
    case 'failed':
      return `${resource}: ${code}${reason === '' ? '' : `: ${reason}`}`;
    default:
      return outcome satisfies never;
  }
};

async function rotate(context: Context, name: string): Promise<void> {
  await context.requireToken();
  const result = await context.api.credentials.rotate(name);
  context.answer(result, () => [outcomeText(result)]);
  if (result.outcome === 'failed' || result.outcome === 'undone')
    throw new CliError('unavailable', `${name} was not rotated.`, 'sallyport credentials show says what is in force.');
}

async function test(context: Context, name: string): Promise<void> {
  await context.requireToken();
  const { items } = await context.api.credentials.test(name);
  context.answer(items, () => items.map(outcomeText));
  if (items.some((item) => item.outcome !== 'done'))
    throw new CliError('unavailable', `${name} does not sign in everywhere.`);
}

async function listLeases(
  context: Context,
  options: { readonly ended?: boolean; readonly session?: string },
): Promise<void> {
  await context.requireToken();
  const { ended, session } = options;
  const query = { state: ended === true ? 'ended' : 'live', ...(session === undefined ? {} : { session }) };
  const items = await collect(context.api.leases.list(query));
  context.list(items, leaseColumns(context.terminal.nowMs()), 'No leases.');
}

async function showLease(context: Context, id: string): Promise<void> {
  await context.requireToken();
  const lease = await context.api.leases.get(id);
  const nowMs = context.terminal.nowMs();
  context.answer(lease, () =>
    renderFields([
      ['lease', lease.id],
      ['kind', lease.kind],
      ['credential', lease.credential],
      ['resource', lease.resource],
      ['principal', lease.principal],
      ['account', lease.account],
      ['agent', lease.agent],
      ['session', lease.sessionId ?? 'waits for its principal’s next one'],
      ['lent', showDistance(lease.openedAt, nowMs)],
      [lease.endedAt === null ? 'ends' : 'ended', showDistance(lease.endedAt ?? lease.expiresAt, nowMs)],
      ['why', lease.reason],
    ]),
  );
}

async function revoke(context: Context, id: string): Promise<void> {
  await context.requireToken();
  const lease = await context.api.leases.revoke(id);
  context.answer(lease, () => [`${lease.account} at ${lease.resource} is being taken away.`]);
}

async function rotateMasterKey(context: Context, options: { readonly to?: string }): Promise<void> {
  await context.requireToken();
  const { keyId, from, rewrapped, unused } = await context.api.rotateMasterKey(options.to);
  context.answer({ keyId, from, rewrapped, unused }, () => [
    `Key ${keyId} (${from}) seals now; ${rewrapped} secrets were wrapped anew.`,
    ...(unused.length === 0
      ? ['The old key is still in use somewhere: run this again.']
      : [
          `Nothing is under ${unused.join(', ')} any more: take it away from every replica, and from no backup you may need.`,
        ]),
  ]);
}
