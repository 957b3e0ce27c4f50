/**
 * What a credential says of itself, and what is shown of it. Checks the settings of each kind against its source.
 * Refuses secrets in anything that is shown.
 */

import { openSources, type Settings, settingProblems } from '@sallyport/credentials';
import { CREDENTIAL_KINDS } from '@sallyport/model';
import { z } from 'zod';
import { Duration, showDuration } from '../http/duration.ts';
import { pageOf, pageQuery } from '../http/page.ts';
import { Instant, Line, Name, open, secret, sensitive } from '../http/schema.ts';
import type { CredentialRow } from './credentials.repository.ts';

const SecretText = z
  .string()
  .min(1)
  .max(64 * 1024)
  .refine((text) => !text.includes('\0'), 'NUL is not allowed');

/** What a reference may name; never the agent's own settings (its join token stands in one). */
const REFERENCE = { env: /^(?!SALLYPORT_(?!SECRET_))[A-Za-z_][A-Za-z0-9_]{0,127}$/, file: /^\/[^\0]{1,400}$/ } as const;
const YEAR_MS = 366 * 86_400_000;
const PLACES = ['agent', 'control_plane'] as const;
/** For their settings alone: nothing is asked through these. */
const SOURCES = openSources({
  nowMs: () => 0,
  sdkDir: '',
  variable: () => undefined,
  readText: () => Promise.reject(new Error('not here')),
});
/** `public_key` is ours to say. */
const SSH_CA: Readonly<Record<string, RegExp>> = { ttl_seconds: /^[1-9]\d{1,3}$/, public_key: /^ssh-ed25519 / };
const EPHEMERAL: Readonly<Record<string, RegExp>> = {
  template: /^(?!pg_)[^\0'\\]{1,63}$/,
  ttl_ms: /^[1-9]\d{3,8}$/,
  reuse_ms: /^\d{1,8}$/,
};

const Stated = z.strictObject({
  name: open(Name),
  kind: open(z.enum(CREDENTIAL_KINDS)),
  username: sensitive(Line(255)).describe('Empty where the source knows it, or nobody asks for one.'),
  reference: sensitive(z.string().max(500).nullish()).describe(
    'env: variable name; file: absolute path, both where it is resolved.',
  ),
  certificate: open(z.boolean()).describe('The secret is a PEM client certificate and its key.'),
  settings: sensitive(z.record(z.string().max(64), z.string().max(16_384))).describe(
    'Of the kind: see docs/how-to/credentials.md.',
  ),
  resolveAt: open(z.enum(PLACES)).describe('Who asks the source.'),
  admin: open(Name.nullish()).describe('ephemeral: the credential of who makes and drops its accounts.'),
  fallback: open(Duration(7 * 86_400_000).nullish()).describe(
    'How long the value before a change is still tried when a server refuses the new one.',
  ),
  rotateEvery: open(Duration(YEAR_MS).nullish()).describe(
    'stored: Sallyport gives the account a new password this often.',
  ),
});
export const CredentialFields = Stated.extend({
  username: Stated.shape.username.default(''),
  certificate: Stated.shape.certificate.default(false),
  settings: Stated.shape.settings.default({}),
  resolveAt: Stated.shape.resolveAt.default('agent'),
});
export type CredentialFields = z.infer<typeof CredentialFields>;

export const CredentialDocument = CredentialFields.superRefine((document, context) => {
  for (const { field, message } of problemsOf(document))
    context.addIssue({ code: 'custom', path: field.split('.'), message });
});

function problemsOf(document: CredentialFields): readonly { readonly field: string; readonly message: string }[] {
  const problems: { field: string; message: string }[] = [...referenceProblems(document)];
  const { kind, settings, resolveAt, admin, rotateEvery, certificate, username } = document;
  const add = (field: string, message: string): void => void problems.push({ field, message });
  const source = SOURCES.get(kind);
  if (kind === 'ephemeral') problems.push(...ephemeralProblems(settings));
  else if (kind === 'ssh_ca') problems.push(...unknownSettings(settings, SSH_CA, 'an SSH CA'));
  else if (source === undefined) for (const name of Object.keys(settings)) add(`settings.${name}`, 'no such setting');
  else problems.push(...sourceProblems(document));
  if ((kind === 'ephemeral') !== (typeof admin === 'string'))
    add('admin', 'an ephemeral credential, and no other, names who makes its accounts');
  if (resolveAt === 'control_plane' && (source === undefined || source.perSession(settings as Settings)))
    add('resolveAt', 'this kind is asked at each session, or nowhere: the agent alone can do that');
  if (rotateEvery != null && (kind !== 'stored' || certificate))
    add('rotateEvery', 'only a stored password can be rotated by Sallyport');
  if (rotateEvery != null && rotateEvery < 3_600_000) add('rotateEvery', 'at least 1h');
  if (username === '' && kind === 'aws_rds_iam') add('username', 'is needed');
  return problems;
}

function referenceProblems({ kind, reference }: CredentialFields): { field: string; message: string }[] {
  const wanted = kind === 'env' || kind === 'file' ? REFERENCE[kind] : undefined;
  const given = reference ?? undefined;
  if (wanted === undefined)
    return given === undefined ? [] : [{ field: 'reference', message: `a ${kind} credential has no reference` }];
  if (given !== undefined && wanted.test(given) && !given.includes('/../')) return [];
  const message =
    kind === 'env'
      ? 'the name of a variable is expected, and not one of Sallyport’s own settings'
      : 'an absolute path is expected';
  return [{ field: 'reference', message }];
}

function sourceProblems({ kind, settings, reference }: CredentialFields): { field: string; message: string }[] {
  const own = kind === 'env' ? 'name' : kind === 'file' ? 'path' : undefined;
  const all: Settings = own === undefined ? settings : { [own]: reference ?? 'X', ...settings };
  if (own !== undefined && Object.hasOwn(settings, own))
    return [{ field: `settings.${own}`, message: 'give it as reference' }];
  return settingProblems(SOURCES.get(kind)!, all)
    .filter(({ setting }) => setting !== own)
    .map(({ setting, message }) => ({ field: `settings.${setting}`, message }));
}

const unknownSettings = (
  settings: Settings,
  known: Readonly<Record<string, RegExp>>,
  what: string,
): { field: string; message: string }[] =>
  Object.keys(settings)
    .filter((name) => !Object.hasOwn(known, name) || !known[name]!.test(settings[name]!))
    .map((name) => ({ field: `settings.${name}`, message: `not a setting of ${what}, or not a value for it` }));

function ephemeralProblems(settings: Settings): { field: string; message: string }[] {
  const problems = unknownSettings(settings, EPHEMERAL, 'ephemeral accounts');
  if (settings['template'] === undefined)
    problems.push({ field: 'settings.template', message: 'the template role is needed' });
  return problems;
}

export const CreateCredential = CredentialFields.extend({
  secret: secret(SecretText.optional()).describe('Of a stored one, or what opens its store; can be put later.'),
}).meta({ id: 'CreateCredential' });
/** What is not given stays: a default here would reset it. */
export const UpdateCredential = Stated.omit({ name: true }).partial().meta({ id: 'UpdateCredential' });
export const PutSecret = z.strictObject({ secret: secret(SecretText) }).meta({ id: 'PutSecret' });
export const CredentialView = z
  .object({
    id: open(z.uuid()),
    name: open(Name),
    kind: open(z.enum(CREDENTIAL_KINDS)),
    username: sensitive(z.string()),
    reference: sensitive(z.string().nullable()),
    certificate: open(z.boolean()),
    settings: sensitive(z.record(z.string(), z.string())),
    resolveAt: open(z.enum(PLACES)),
    admin: open(z.string().nullable()),
    fallback: open(z.union([z.string(), z.number()]).nullable()),
    fallbackUntil: open(Instant.nullable()).describe('Until then the value before is still tried.'),
    rotateEvery: open(z.union([z.string(), z.number()]).nullable()),
    rotatedAt: open(Instant).describe('When the secret was last put, rotated, or seen to have changed.'),
    rotating: open(z.boolean()).describe('A next value is prepared.'),
    rotationError: open(z.string().nullable()).describe('Error code of the last rotation that went wrong.'),
    refusedAt: open(Instant.nullable()).describe('When a server last refused it.'),
    fetchedAt: open(Instant.nullable()),
    fetchError: open(z.string().nullable()),
    hasSecret: open(z.boolean()),
    version: open(z.number()),
    resources: open(z.array(z.string())),
    createdAt: open(Instant),
    updatedAt: open(Instant),
  })
  .meta({ id: 'Credential' });
export type CredentialView = z.infer<typeof CredentialView>;
export const CredentialPage = pageOf(CredentialView).meta({ id: 'CredentialPage' });
export const CredentialQuery = pageQuery(['name', 'createdAt', 'updatedAt'], 'name').extend({
  kind: z.enum(CREDENTIAL_KINDS).optional(),
  name: z.string().max(63).optional(),
});

const instant = (at: Date | null): string | null => at?.toISOString() ?? null;
const shown = (seconds: number | null): string | number | null =>
  seconds === null ? null : showDuration(seconds * 1000);

export const showCredential = (row: CredentialRow): CredentialView => ({
  id: row.id,
  name: row.name,
  kind: row.kind as CredentialView['kind'],
  username: row.username,
  reference: row.reference,
  certificate: row.certificate,
  settings: row.settings as Record<string, string>,
  resolveAt: row.resolveAt as CredentialView['resolveAt'],
  admin: row.admin?.name ?? null,
  fallback: shown(row.fallbackSeconds),
  fallbackUntil: instant(row.previousUntil),
  rotateEvery: shown(row.rotateEverySeconds),
  rotatedAt: row.rotatedAt.toISOString(),
  rotating: row.nextSealed !== null,
  rotationError: row.rotationError,
  refusedAt: instant(row.refusedAt),
  fetchedAt: instant(row.fetchedAt),
  fetchError: row.fetchError,
  hasSecret: row.sealed !== null,
  version: row.version,
  resources: row.resources.map((resource) => resource.name),
  createdAt: row.createdAt.toISOString(),
  updatedAt: row.updatedAt.toISOString(),
});

/** The document a row was made from, for a change of part of it. */
export const documentOfCredential = (row: CredentialRow): CredentialFields => ({
  name: row.name,
  kind: row.kind as CredentialFields['kind'],
  username: row.username,
  reference: row.reference,
  certificate: row.certificate,
  settings: row.settings as Record<string, string>,
  resolveAt: row.resolveAt as CredentialFields['resolveAt'],
  admin: row.admin?.name ?? null,
  fallback: row.fallbackSeconds === null ? null : row.fallbackSeconds * 1000,
  rotateEvery: row.rotateEverySeconds === null ? null : row.rotateEverySeconds * 1000,
});

/** A secret of its own, put by a person: the value itself, or what opens its store for the agents. */
export const takesSecret = ({ kind, resolveAt }: Pick<CredentialFields, 'kind' | 'resolveAt'>): boolean =>
  kind === 'stored' || kind === 'ssh_ca' || (kind === 'vault' && resolveAt === 'agent');
