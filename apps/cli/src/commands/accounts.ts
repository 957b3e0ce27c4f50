/** accounts ls, show, link, break-glass, rm: persons who sign in without a provider. A link is shown once, on stdout. */
import type { Account } from '@sallyport/api-client';
import { type Context, collect } from '../context.ts';
import { CliError } from '../exit-codes.ts';
import type { Column } from '../output/table.ts';
import { parseSpan, showInstant } from '../output/time.ts';
import type { Registry } from './command.ts';

const COLUMNS: readonly Column<Account>[] = [
  { title: 'name', show: (account) => account.principal },
  { title: 'password', show: (account) => (account.hasPassword ? 'yes' : 'no') },
  { title: 'passkeys', show: (account) => account.passkeys.length },
  { title: 'recovery codes', show: (account) => account.recoveryCodesLeft },
  { title: 'kind', show: (account) => (account.breakGlass ? 'break-glass' : 'everyday') },
  {
    title: 'last sign-in',
    show: (account) => (account.lastLoginAt == null ? 'never' : showInstant(account.lastLoginAt)),
  },
];

export function registerAccounts({ program, run }: Registry): void {
  const accounts = program.command('accounts').description('persons who sign in without a provider');
  accounts.command('ls', { isDefault: true }).description('list local accounts').action(run(list));
  accounts.command('show').argument('<name>').description('show one account with its passkeys').action(run(show));
  accounts
    .command('link')
    .argument('<name>')
    .description('make a link by which a person sets up a passkey or a password; it is printed once and good once')
    .option('--new-start', 'the ways in that are there stop working, and sessions end')
    .option('--break-glass', 'the account it makes is for emergencies: every use is an alarm')
    .option('--expires <time>', 'how long the link is good for', '1h')
    .action(run(link));
  accounts
    .command('break-glass')
    .argument('<name>')
    .argument('<on|off>')
    .description('mark an account as one for emergencies, or not')
    .action(run(breakGlass));
  accounts
    .command('remove-passkey')
    .argument('<name>')
    .argument('<id>')
    .description('remove a passkey; sessions end')
    .action(run(removePasskey));
  accounts.command('rm').argument('<name>').description('remove an account; the person stays').action(run(remove));
}

async function list(context: Context): Promise<void> {
  await context.requireToken();
  context.list(await collect(context.api.accounts.list()), COLUMNS);
}

async function show(context: Context, name: string): Promise<void> {
  await context.requireToken();
  const account = await context.api.accounts.get(name);
  context.one(account, COLUMNS);
  if (context.json) return;
  for (const passkey of account.passkeys)
    context.say(
      `passkey ${passkey.id} ${passkey.name}, last used ${passkey.lastUsedAt == null ? 'never' : showInstant(passkey.lastUsedAt)}`,
    );
}

async function link(
  context: Context,
  name: string,
  options: { readonly newStart?: boolean; readonly breakGlass?: boolean; readonly expires: string },
): Promise<void> {
  await context.requireToken();
  const made = await context.api.accounts.createLink(name, {
    replaces: options.newStart === true,
    breakGlass: options.breakGlass === true,
    expiresInSeconds: Math.round(parseSpan(options.expires) / 1000),
  });
  context.note(`Whoever opens this link is ${name}. It is shown once and good once.`);
  context.answer(made, () => [made.link]);
}

async function breakGlass(context: Context, name: string, state: string): Promise<void> {
  if (state !== 'on' && state !== 'off') throw new CliError('usage', 'on or off is expected.');
  await context.requireToken();
  context.one(await context.api.accounts.update(name, { breakGlass: state === 'on' }), COLUMNS);
}

async function removePasskey(context: Context, name: string, id: string): Promise<void> {
  await context.requireToken();
  await context.api.accounts.removePasskey(name, id);
  context.answer({ name, id, removed: true }, () => [`Removed a passkey of ${name}.`]);
}

async function remove(context: Context, name: string): Promise<void> {
  await context.requireToken();
  await context.api.accounts.remove(name);
  context.answer({ name, removed: true }, () => [`Removed the account of ${name}; the person stays.`]);
}
