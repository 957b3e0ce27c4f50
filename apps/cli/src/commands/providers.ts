/**
 * providers: identity providers of a project, tried out and previewed. Secrets come from files or stdin, never from the
 * command line, and none is ever shown.
 */
import { readFileSync } from 'node:fs';
import type { IdentityProvider, IdentityProviderPreview } from '@sallyport/api-client';
import { parse as parseYaml } from 'yaml';
import { readSecretFile } from '../config/private-file.ts';
import { type Context, collect } from '../context.ts';
import { CliError, EXIT } from '../exit-codes.ts';
import { safeLine } from '../output/safe-text.ts';
import { type Column, renderFields, renderTable } from '../output/table.ts';
import { parseSpan, showInstant } from '../output/time.ts';
import { readStdin, styled } from '../terminal.ts';
import type { Registry } from './command.ts';

const PROVIDERS: readonly Column<IdentityProvider>[] = [
  { title: 'name', show: (one) => one.name },
  { title: 'kind', show: (one) => one.kind },
  { title: 'state', show: (one) => (one.enabled ? 'enabled' : 'disabled') },
  { title: 'from', show: (one) => one.from },
  { title: 'redirect address to register', show: (one) => one.callback, least: 24 },
];

export function registerProviders({ program, run }: Registry): void {
  const providers = program.command('providers').description('identity providers: where people sign in');
  providers.command('ls', { isDefault: true }).description('list them').action(run(list));
  providers.command('show').argument('<name>').description('show one, without its secrets').action(run(show));
  providers
    .command('add')
    .argument('<file>')
    .description('add one, or change it, from a YAML or JSON document (kind: IdentityProvider); `-` = stdin')
    .option('--client-secret-file <file>', 'file with the client secret, readable by you alone')
    .option('--directory-key-file <file>', 'file with the private key of Google’s service account')
    .action(run(add));
  providers
    .command('test')
    .argument('<name>')
    .description('try it out: its metadata, keys, clock and what it offers')
    .action(run(test));
  providers
    .command('preview')
    .argument('<name>')
    .description('what would this token, or these claims, give? Nothing is changed')
    .option('--id-token-file <file>', 'file with an id token; `-` = stdin')
    .option('--claims <file>', 'JSON file with claims; `-` = stdin')
    .option('--mapping <file>', 'YAML or JSON file with a mapping to try in place of the one that is saved')
    .action(run(preview));
  providers
    .command('scim-token')
    .argument('<name>')
    .description('make a token for the provider’s directory (SCIM); it is printed once')
    .option('--subject <attribute>', 'what sign-ins call the person: userName, externalId or email', 'userName')
    .option('--expires <time>', 'how long it is good for', '365d')
    .option('--principal <name>', 'the service it belongs to; made if there is none (<name>-directory)')
    .action(run(scimToken));
  providers
    .command('roll-keys')
    .argument('<name>')
    .description('of a SAML provider: make our next key; it takes over from the old one later')
    .option('--signs-after <time>', 'how long the old one still signs', '1d')
    .action(run(rollKeys));
  providers
    .command('enable')
    .argument('<name>')
    .description('let people sign in by it again')
    .action(run((context: Context, name: string) => setEnabled(context, name, true)));
  providers
    .command('disable')
    .argument('<name>')
    .description('let nobody sign in by it, and end what it had signed in')
    .action(run((context: Context, name: string) => setEnabled(context, name, false)));
  providers
    .command('remove')
    .argument('<name>')
    .description('remove it with the accounts and memberships it gave')
    .action(run(remove));
}

async function list(context: Context): Promise<void> {
  await context.requireToken();
  context.list(await collect(context.api.identityProviders.list()), PROVIDERS, 'There is none.');
}

async function show(context: Context, name: string): Promise<void> {
  await context.requireToken();
  const one = await context.api.identityProviders.get(name);
  context.answer(one, () =>
    renderFields([
      ['name', safeLine(one.name)],
      ['kind', one.kind],
      ['state', one.enabled ? 'enabled' : 'disabled'],
      ['from', one.from],
      ['redirect address', safeLine(one.callback)],
      ['secrets', one.hasSecrets ? 'kept sealed' : 'none'],
      ['settings', safeLine(JSON.stringify(one.config))],
      ['mapping', safeLine(JSON.stringify(one.mapping))],
    ]),
  );
}

async function readText(context: Context, file: string): Promise<string> {
  return file === '-' ? await readStdin(context.terminal) : readFileSync(file, 'utf8');
}

/** YAML reads JSON too. @throws CliError usage */
function objectIn(text: string, file: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = parseYaml(text, { maxAliasCount: 0 });
  } catch {
    value = undefined;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new CliError('usage', `${file} holds no YAML or JSON object.`);
  return value as Readonly<Record<string, unknown>>;
}

async function add(
  context: Context,
  file: string,
  options: { readonly clientSecretFile?: string; readonly directoryKeyFile?: string },
): Promise<void> {
  const { kind, name, type, ...fields } = objectIn(await readText(context, file), file);
  if (kind !== 'IdentityProvider' || typeof name !== 'string')
    throw new CliError('usage', `${file} is no document of kind IdentityProvider with a name.`);
  await context.requireToken();
  const { clientSecretFile, directoryKeyFile } = options;
  const secrets = {
    ...(clientSecretFile === undefined ? {} : { clientSecret: readSecretFile(clientSecretFile).trim() }),
    ...(directoryKeyFile === undefined ? {} : { directoryKey: readSecretFile(directoryKeyFile) }),
  };
  const body = { ...fields, ...(Object.keys(secrets).length === 0 ? {} : { secrets }) };
  const known = (await collect(context.api.identityProviders.list())).some((one) => one.name === name);
  const one = known
    ? await context.api.identityProviders.update(name, body)
    : await context.api.identityProviders.create({ ...body, name, kind: type ?? 'oidc' });
  context.one(one, PROVIDERS);
}

async function test(context: Context, name: string): Promise<void> {
  await context.requireToken();
  const answer = await context.api.identityProviders.test(name);
  context.answer(answer, () =>
    renderTable(
      answer.checks,
      [
        { title: '', show: (one) => (one.ok ? 'ok' : 'FAIL') },
        { title: 'check', show: (one) => one.check },
        { title: 'found', show: (one) => one.detail, least: 30 },
      ],
      context.terminal.columns(),
    ),
  );
  if (!answer.ok) context.finish(EXIT.failure);
}

async function preview(
  context: Context,
  name: string,
  options: { readonly idTokenFile?: string; readonly claims?: string; readonly mapping?: string },
): Promise<void> {
  const { claims, idTokenFile: tokenFile, mapping } = options;
  if ((claims === undefined) === (tokenFile === undefined))
    throw new CliError('usage', 'Give --id-token-file or --claims.');
  const body = {
    ...(claims === undefined ? {} : { claims: objectIn(await readText(context, claims), claims) }),
    ...(tokenFile === undefined ? {} : { token: (await readText(context, tokenFile)).trim() }),
    ...(mapping === undefined ? {} : { mapping: objectIn(await readText(context, mapping), mapping) }),
  };
  await context.requireToken();
  const answer = await context.api.identityProviders.preview(name, body);
  context.answer(answer, () => renderPreview(context, answer));
}

function renderPreview(context: Context, answer: IdentityProviderPreview): readonly string[] {
  const { problems, why } = answer;
  return [
    ...renderFields([
      ['subject', safeLine(answer.subject)],
      ['username', safeLine(answer.username)],
      ['e-mail', answer.email === null ? undefined : safeLine(answer.email)],
      ['here', answer.principal === null ? 'nobody yet: a sign-in makes the principal' : safeLine(answer.principal)],
      ['groups', answer.groups.length === 0 ? 'none' : safeLine(answer.groups.join(', '))],
    ]),
    '',
    ...renderTable(
      why,
      [
        { title: 'provider’s group', show: (one) => one.given },
        { title: 'gives', show: (one) => one.group ?? '-' },
        { title: 'because', show: (one) => one.why, least: 24 },
      ],
      context.terminal.columns(),
      'The provider gives no groups.',
    ),
    ...problems.map((problem) => styled(context.terminal, 'red', `Would be refused: ${safeLine(problem)}`)),
  ];
}

const SCIM_ROLE = 'provisioner';

/** The token of a directory belongs to a service that may do nothing else; it is made where there is none. */
async function scimToken(
  context: Context,
  provider: string,
  options: { readonly subject: string; readonly expires: string; readonly principal?: string },
): Promise<void> {
  const expiresInSeconds = Math.round(parseSpan(options.expires) / 1000);
  await context.requireToken();
  const { api } = context;
  const name = options.principal ?? `${provider}-directory`;
  const known = (await collect(api.principals.list({ kind: 'service' }))).some((one) => one.name === name);
  if (!known) await api.principals.create({ name, kind: 'service', roles: [SCIM_ROLE] });
  const scim = { provider, subject: options.subject };
  const made = await api.principals.createToken(name, {
    name: 'scim',
    expiresInSeconds,
    scopes: ['scim:write'],
    scim,
  });
  context.note(`The token of ${name} is shown once. Its base address is ${api.transport.baseUrl}/scim/v2`);
  context.answer({ ...made, principal: name, ...scim }, () => [made.token]);
}

async function rollKeys(context: Context, name: string, options: { readonly signsAfter: string }): Promise<void> {
  const seconds = Math.round(parseSpan(options.signsAfter) / 1000);
  await context.requireToken();
  const answer = await context.api.identityProviders.rollKeys(name, seconds);
  context.answer(answer, () => [
    `Our metadata for ${safeLine(name)} shows a new certificate. It signs from ${showInstant(answer.signsFrom)} on.`,
    'A provider that took our certificate by hand needs the new one before that.',
  ]);
}

async function setEnabled(context: Context, name: string, enabled: boolean): Promise<void> {
  await context.requireToken();
  context.one(await context.api.identityProviders.update(name, { enabled }), PROVIDERS);
}

async function remove(context: Context, name: string): Promise<void> {
  await context.requireToken();
  await context.api.identityProviders.remove(name);
  context.answer({ removed: name }, () => [`${safeLine(name)} is gone, with the accounts and memberships it gave.`]);
}
