/**
 * Credentials of resources: stored ones sealed at rest, others asked of their source where they say. A secret goes in and
 * never out: only bundles/ opens it, to seal it to an agent. A change takes effect for the next session. No HTTP, no Prisma.
 */
import { Injectable } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import type { z } from 'zod';
import { recordActOf } from '../acts/acts.ts';
import { BundleChanges } from '../bundles/bundle-changes.ts';
import { Database, type Tx } from '../db/database.ts';
import { Project } from '../db/project.ts';
import type { Prisma } from '../generated/prisma/client.ts';
import type { Caller } from '../http/caller.ts';
import { InvalidRequest, parseWith } from '../http/invalid-request.ts';
import { type Page, toPage } from '../http/page.ts';
import { openFields } from '../http/schema.ts';
import { Envelope } from '../keys/envelope.ts';
import { SystemClock } from '../time.ts';
import {
  type CreateCredential,
  CredentialDocument,
  CredentialFields,
  type CredentialQuery,
  type CredentialView,
  documentOfCredential,
  showCredential,
  takesSecret,
  type UpdateCredential,
} from './credential-document.ts';
import { type CredentialRow, CredentialsRepository } from './credentials.repository.ts';
import { newSshCa, sshCaLine } from './ssh-ca.ts';

/** Context of the envelope; bundles/ opens with the same. */
export const credentialContext = (id: string): string => `credential/${id}`;

@Injectable()
export class Credentials {
  constructor(
    private readonly database: Database,
    private readonly repository: CredentialsRepository,
    private readonly envelope: Envelope,
    private readonly bundles: BundleChanges,
    private readonly project: Project,
    private readonly clock: SystemClock,
  ) {}

  async list(caller: Caller, query: z.infer<typeof CredentialQuery>): Promise<Page<CredentialView>> {
    const where = {
      ...(query.kind === undefined ? {} : { kind: query.kind }),
      ...(query.name === undefined ? {} : { name: { contains: query.name } }),
    };
    return toPage(await this.repository.list(caller.projectId, where, query), query, showCredential);
  }

  async get(caller: Caller, reference: string): Promise<CredentialView> {
    return showCredential(await this.find(caller, reference));
  }

  async create(caller: Caller, input: z.infer<typeof CreateCredential>): Promise<CredentialView> {
    const { secret: givenSecret, ...given } = input;
    const parsed = parseWith(CredentialDocument, given);
    const secretText = givenSecret ?? (parsed.kind === 'ssh_ca' ? newSshCa() : undefined);
    const document = withPublicKey(parsed, secretText);
    if (secretText !== undefined && !takesSecret(document))
      throw new InvalidRequest([
        { field: 'secret', message: 'only a stored credential, or what opens a vault, has one' },
      ]);
    return await this.database.transaction(async (tx) => {
      const id = this.clock.id();
      const sealed =
        secretText === undefined ? null : this.envelope.seal(Buffer.from(secretText), credentialContext(id));
      const row = await this.repository.insert(tx, {
        ...(await this.#columns(tx, caller, document)),
        name: document.name,
        id,
        projectId: caller.projectId,
        sealed,
        rotatedAt: this.clock.now(),
      });
      await recordActOf(
        tx,
        caller,
        'credential.created',
        `credential/${row.name}`,
        openFields(CredentialFields, document),
      );
      await this.bundles.bump(tx, caller.projectId);
      return showCredential(row);
    });
  }

  async update(caller: Caller, reference: string, input: z.infer<typeof UpdateCredential>): Promise<CredentialView> {
    return await this.database.transaction(async (tx) => {
      const found = await this.find(caller, reference, tx);
      const before = documentOfCredential(found);
      if (((input.kind ?? before.kind) === 'ssh_ca') !== (before.kind === 'ssh_ca'))
        throw new GatewayError('request.conflict', { reason: 'an SSH CA is made as one, and stays one' });
      const given = parseWith(CredentialDocument, { ...before, ...input });
      const publicKey = before.settings['public_key'];
      const document =
        publicKey === undefined ? given : { ...given, settings: { ...given.settings, public_key: publicKey } };
      if (document.username === '' && before.username !== '' && found.resources.length > 0)
        throw new InvalidRequest([{ field: 'username', message: 'resources use this credential with its name' }]);
      const moved = document.kind !== found.kind || document.resolveAt !== found.resolveAt;
      const drops = moved && !(takesSecret(document) && document.kind === found.kind);
      const row = await this.repository.update(tx, found.id, {
        ...(await this.#columns(tx, caller, document)),
        version: { increment: 1 },
        ...(drops ? { sealed: null, nextSealed: null, previousSealed: null, previousUntil: null } : {}),
        ...(moved ? { fetchedAt: null, fetchError: null, fetchedUsername: null } : {}),
      });
      await recordActOf(tx, caller, 'credential.updated', `credential/${row.name}`, {
        ...openFields(CredentialFields, document),
        before: openFields(CredentialFields, before),
      });
      await this.bundles.bump(tx, caller.projectId);
      return showCredential(row);
    });
  }

  async putSecret(caller: Caller, reference: string, text: string): Promise<CredentialView> {
    return await this.database.transaction(async (tx) => {
      const found = await this.find(caller, reference, tx);
      if (!takesSecret(documentOfCredential(found)))
        throw new GatewayError('request.conflict', {
          reason: 'only a stored credential, or what opens a vault, has a secret',
        });
      const { settings } = withPublicKey(documentOfCredential(found), text);
      const sealed = this.envelope.seal(Buffer.from(text), credentialContext(found.id));
      const row = await this.repository.update(tx, found.id, {
        ...replaced(found, sealed, this.clock.nowMs()),
        settings: settings as Prisma.InputJsonObject,
        nextSealed: null,
      });
      await recordActOf(tx, caller, 'credential.rotated', `credential/${row.name}`, { version: row.version });
      await this.bundles.bump(tx, caller.projectId);
      return showCredential(row);
    });
  }

  async remove(caller: Caller, reference: string): Promise<void> {
    await this.database.transaction(async (tx) => {
      const found = await this.find(caller, reference, tx);
      if (found.resources.length > 0)
        throw new GatewayError('request.conflict', {
          reason: 'a resource uses it',
          resource: found.resources[0]!.name,
        });
      if (found.adminOf.length > 0)
        throw new GatewayError('request.conflict', {
          reason: 'it makes the accounts of another credential',
          credential: found.adminOf[0]!.name,
        });
      await this.repository.remove(tx, found.id);
      await recordActOf(tx, caller, 'credential.deleted', `credential/${found.name}`);
      await this.bundles.bump(tx, caller.projectId);
    });
  }

  /** @throws GatewayError `request.not_found` */
  async find(caller: Pick<Caller, 'projectId'>, reference: string, tx?: Tx): Promise<CredentialRow> {
    const row = await this.repository.find(caller.projectId, reference, tx);
    if (row === null) throw new GatewayError('request.not_found', { credential: reference });
    return row;
  }

  async #columns(tx: Tx, caller: Caller, document: CredentialFields) {
    const { kind, username, certificate, settings, resolveAt, fallback, rotateEvery } = document;
    // What the control plane may read and ask is the installation's: its variables, files and accounts in clouds and stores.
    if (resolveAt === 'control_plane' && caller.projectId !== this.project.id)
      throw new InvalidRequest([{ field: 'resolveAt', message: 'of project default alone: give it to the agent' }]);
    const seconds = (ms: number | null | undefined): number | null => (ms == null ? null : Math.round(ms / 1000));
    return {
      kind,
      username,
      reference: document.reference ?? null,
      certificate,
      settings: settings as Prisma.InputJsonObject,
      resolveAt,
      adminId: await this.#adminId(tx, caller, document),
      fallbackSeconds: seconds(fallback),
      rotateEverySeconds: seconds(rotateEvery),
    };
  }

  async #adminId(tx: Tx, caller: Caller, { admin }: CredentialFields): Promise<string | null> {
    if (admin == null) return null;
    const row = await this.repository.find(caller.projectId, admin, tx);
    if (row === null) throw new InvalidRequest([{ field: 'admin', message: 'there is no such credential' }]);
    if (row.kind === 'ephemeral' || row.kind === 'none')
      throw new InvalidRequest([{ field: 'admin', message: `a ${row.kind} credential cannot make accounts` }]);
    return row.id;
  }
}

/** An SSH CA says its public half, which hosts have to be told. */
const withPublicKey = (document: CredentialFields, secretText: string | undefined): CredentialFields =>
  document.kind !== 'ssh_ca' || secretText === undefined
    ? document
    : { ...document, settings: { ...document.settings, public_key: sshCaLine(secretText, document.name) } };

/** The columns of a value that takes another's place: the one before stays to fall back to, for as long as the row says. */
export function replaced(
  row: Pick<CredentialRow, 'sealed' | 'fallbackSeconds'>,
  sealed: Uint8Array<ArrayBuffer>,
  nowMs: number,
): Prisma.CredentialUncheckedUpdateInput {
  const keeps = row.sealed !== null && row.fallbackSeconds !== null && row.fallbackSeconds > 0;
  return {
    sealed,
    previousSealed: keeps ? row.sealed : null,
    previousUntil: keeps ? new Date(nowMs + row.fallbackSeconds! * 1000) : null,
    rotatedAt: new Date(nowMs),
    version: { increment: 1 },
  };
}
