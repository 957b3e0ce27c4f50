/**
 * Credentials of resources: stored ones sealed at rest, references resolved in the agent. A secret goes in and never out:
 * only bundles/ opens it, to seal it to an agent. A change takes effect for the next session. No HTTP, no Prisma.
 */
import { Injectable } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import { z } from 'zod';
import { recordActOf } from '../acts/acts.ts';
import { BundleChanges } from '../bundles/bundle-changes.ts';
import { Database, type Tx } from '../db/database.ts';
import type { Caller } from '../http/caller.ts';
import { InvalidRequest, parseWith } from '../http/invalid-request.ts';
import { type Page, pageOf, pageQuery, toPage } from '../http/page.ts';
import { Instant, Name, open, openFields, secret, sensitive } from '../http/schema.ts';
import { Envelope } from '../keys/envelope.ts';
import { SystemClock } from '../time.ts';
import { type CredentialRow, CredentialsRepository } from './credentials.repository.ts';

const KINDS = ['stored', 'env', 'file', 'none'] as const;
const SecretText = z
  .string()
  .min(1)
  .max(64 * 1024)
  .refine((text) => !text.includes('\0'), 'NUL is not allowed');

/** What a reference may name; never the agent's own settings (its join token stands in one). */
const REFERENCE = { env: /^(?!SALLYPORT_(?!SECRET_))[A-Za-z_][A-Za-z0-9_]{0,127}$/, file: /^\/[^\0]{1,400}$/ } as const;

const Base = z.strictObject({
  name: open(Name),
  kind: open(z.enum(KINDS)),
  username: sensitive(z.string().max(63)),
  reference: sensitive(z.string().max(500).nullish()).describe(
    'env: variable name; file: absolute path, both at the agent.',
  ),
  certificate: open(z.boolean()).default(false).describe('The secret is a PEM client certificate and its key.'),
});
export const CredentialDocument = Base.superRefine((document, context) => {
  const wanted = document.kind === 'env' || document.kind === 'file' ? REFERENCE[document.kind] : undefined;
  const given = document.reference ?? undefined;
  if (wanted === undefined && given !== undefined)
    context.addIssue({
      code: 'custom',
      path: ['reference'],
      message: `a ${document.kind} credential has no reference`,
    });
  if (wanted !== undefined && (given === undefined || !wanted.test(given) || given.includes('/../'))) {
    context.addIssue({
      code: 'custom',
      path: ['reference'],
      message:
        document.kind === 'env'
          ? 'the name of a variable is expected, and not one of the agent’s own settings'
          : 'an absolute path is expected',
    });
  }
});
export const CreateCredential = Base.extend({
  secret: secret(SecretText.optional()).describe('Of a stored one; can be put later.'),
}).meta({ id: 'CreateCredential' });
export const UpdateCredential = Base.omit({ name: true }).partial().meta({ id: 'UpdateCredential' });
export const PutSecret = z.strictObject({ secret: secret(SecretText) }).meta({ id: 'PutSecret' });
export const CredentialView = z
  .object({
    id: open(z.uuid()),
    name: open(Name),
    kind: open(z.enum(KINDS)),
    username: sensitive(z.string()),
    reference: sensitive(z.string().nullable()),
    certificate: open(z.boolean()),
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
  kind: z.enum(KINDS).optional(),
  name: z.string().max(63).optional(),
});

const show = (row: CredentialRow): CredentialView => ({
  id: row.id,
  name: row.name,
  kind: row.kind as CredentialView['kind'],
  username: row.username,
  reference: row.reference,
  certificate: row.certificate,
  hasSecret: row.sealed !== null,
  version: row.version,
  resources: row.resources.map((resource) => resource.name),
  createdAt: row.createdAt.toISOString(),
  updatedAt: row.updatedAt.toISOString(),
});

/** Context of the envelope; bundles/ opens with the same. */
export const credentialContext = (id: string): string => `credential/${id}`;

@Injectable()
export class Credentials {
  constructor(
    private readonly database: Database,
    private readonly repository: CredentialsRepository,
    private readonly envelope: Envelope,
    private readonly bundles: BundleChanges,
    private readonly clock: SystemClock,
  ) {}

  async list(caller: Caller, query: z.infer<typeof CredentialQuery>): Promise<Page<CredentialView>> {
    const where = {
      ...(query.kind === undefined ? {} : { kind: query.kind }),
      ...(query.name === undefined ? {} : { name: { contains: query.name } }),
    };
    return toPage(await this.repository.list(caller.projectId, where, query), query, show);
  }

  async get(caller: Caller, reference: string): Promise<CredentialView> {
    return show(await this.#find(caller, reference));
  }

  async create(caller: Caller, input: z.infer<typeof CreateCredential>): Promise<CredentialView> {
    const { secret: secretText, ...document } = input;
    parseWith(CredentialDocument, document);
    if (secretText !== undefined && document.kind !== 'stored')
      throw new InvalidRequest([{ field: 'secret', message: 'only a stored credential has one' }]);
    return await this.database.transaction(async (tx) => {
      const id = this.clock.id();
      const sealed =
        secretText === undefined ? null : this.envelope.seal(Buffer.from(secretText), credentialContext(id));
      const row = await this.repository.insert(tx, {
        ...document,
        reference: document.reference ?? null,
        id,
        projectId: caller.projectId,
        sealed,
      });
      await recordActOf(tx, caller, 'credential.created', `credential/${row.name}`, openFields(Base, document));
      await this.bundles.bump(tx, caller.projectId);
      return show(row);
    });
  }

  async update(caller: Caller, reference: string, input: z.infer<typeof UpdateCredential>): Promise<CredentialView> {
    return await this.database.transaction(async (tx) => {
      const found = await this.#find(caller, reference, tx);
      const { name, kind, username, certificate } = found;
      const document = parseWith(CredentialDocument, {
        name,
        kind,
        username,
        certificate,
        reference: found.reference,
        ...input,
      });
      const dropsSecret = document.kind !== 'stored';
      const row = await this.repository.update(tx, found.id, {
        ...document,
        reference: document.reference ?? null,
        version: { increment: 1 },
        ...(dropsSecret ? { sealed: null } : {}),
      });
      await recordActOf(tx, caller, 'credential.updated', `credential/${row.name}`, openFields(Base, document));
      await this.bundles.bump(tx, caller.projectId);
      return show(row);
    });
  }

  async putSecret(caller: Caller, reference: string, text: string): Promise<CredentialView> {
    return await this.database.transaction(async (tx) => {
      const found = await this.#find(caller, reference, tx);
      if (found.kind !== 'stored')
        throw new GatewayError('request.conflict', { reason: 'only a stored credential has a secret' });
      const sealed = this.envelope.seal(Buffer.from(text), credentialContext(found.id));
      const row = await this.repository.update(tx, found.id, { sealed, version: { increment: 1 } });
      await recordActOf(tx, caller, 'credential.rotated', `credential/${row.name}`, { version: row.version });
      await this.bundles.bump(tx, caller.projectId);
      return show(row);
    });
  }

  async remove(caller: Caller, reference: string): Promise<void> {
    await this.database.transaction(async (tx) => {
      const found = await this.#find(caller, reference, tx);
      if (found.resources.length > 0)
        throw new GatewayError('request.conflict', {
          reason: 'a resource uses it',
          resource: found.resources[0]!.name,
        });
      await this.repository.remove(tx, found.id);
      await recordActOf(tx, caller, 'credential.deleted', `credential/${found.name}`);
      await this.bundles.bump(tx, caller.projectId);
    });
  }

  async #find(caller: Caller, reference: string, tx?: Tx): Promise<CredentialRow> {
    const row = await this.repository.find(caller.projectId, reference, tx);
    if (row === null) throw new GatewayError('request.not_found', { credential: reference });
    return row;
  }
}
