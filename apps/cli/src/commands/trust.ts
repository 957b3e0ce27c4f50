/** trust ls, show, put, rm, preview: whose tokens are believed about machines. */
import { readFile } from 'node:fs/promises';
import type { TrustRule } from '@sallyport/api-client';
import { parse } from 'yaml';
import { type Context, collect } from '../context.ts';
import { CliError } from '../exit-codes.ts';
import type { Column } from '../output/table.ts';
import { showInstant } from '../output/time.ts';
import { readStdin } from '../terminal.ts';
import type { Registry } from './command.ts';

const COLUMNS: readonly Column<TrustRule>[] = [
  { title: 'name', show: (rule) => rule.name },
  { title: 'kind', show: (rule) => rule.kind },
  { title: 'issuer', show: (rule) => rule.issuer, least: 20 },
  {
    title: 'claims',
    show: (rule) =>
      Object.entries(rule.claims)
        .map(([claim, wanted]) => `${claim}=${[wanted].flat().join('|')}`)
        .join(' '),
    least: 20,
  },
  { title: 'principal', show: (rule) => rule.principal },
  { title: 'state', show: (rule) => (rule.enabled ? 'on' : 'off') },
  { title: 'last used', show: (rule) => (rule.lastUsedAt == null ? 'never' : showInstant(rule.lastUsedAt)) },
];

export function registerTrust({ program, run }: Registry): void {
  const trust = program.command('trust').description('whose tokens are believed about machines');
  trust.command('ls', { isDefault: true }).description('list trust rules').action(run(list));
  trust.command('show').argument('<name>').description('show one rule whole').action(run(show));
  trust
    .command('put')
    .argument('<file>')
    .description('write a rule from a YAML or JSON file: a new one, or in place of the one of that name')
    .action(run(put));
  trust.command('rm').argument('<name>').description('remove a rule; sessions that rest on it end').action(run(remove));
  trust
    .command('preview')
    .argument('<file>')
    .description('what would this token give? A file that holds one, `-` = stdin; nothing is signed in')
    .action(run(preview));
}

async function list(context: Context): Promise<void> {
  await context.requireToken();
  context.list(await collect(context.api.trustRules.list()), COLUMNS);
}

async function show(context: Context, name: string): Promise<void> {
  await context.requireToken();
  const rule = await context.api.trustRules.get(name);
  context.answer(rule, () => JSON.stringify(rule, undefined, 2).split('\n'));
}

async function put(context: Context, file: string): Promise<void> {
  await context.requireToken();
  const document = parse(await read(context, file)) as { readonly name?: unknown } | null;
  const name = document?.name;
  if (typeof name !== 'string') throw new CliError('usage', `${file} holds no rule: it has no name.`);
  const isThere = (await collect(context.api.trustRules.list())).some((rule) => rule.name === name);
  const { trustRules } = context.api;
  context.one(await (isThere ? trustRules.replace(name, document!) : trustRules.create(document!)), COLUMNS);
}

async function remove(context: Context, name: string): Promise<void> {
  await context.requireToken();
  await context.api.trustRules.remove(name);
  context.answer({ name, removed: true }, () => [`Removed ${name}; sessions that rest on it end.`]);
}

async function preview(context: Context, file: string): Promise<void> {
  await context.requireToken();
  const { rules } = await context.api.trustRules.preview((await read(context, file)).trim());
  context.list(
    rules,
    [
      { title: 'rule', show: (one) => one.rule },
      { title: 'principal', show: (one) => one.principal ?? 'none' },
      { title: 'why not', show: (one) => one.why ?? '', least: 20 },
    ],
    'No rule is about the issuer of this token.',
  );
}

async function read(context: Context, file: string): Promise<string> {
  if (file === '-') return await readStdin(context.terminal);
  try {
    return await readFile(file, 'utf8');
  } catch {
    throw new CliError('usage', `${file} cannot be read.`);
  }
}
