/**
 * Users by SCIM: persons that a provider's directory creates, changes, switches off and deletes. Deactivation ends what is
 * open at once. Refuses to give roles, to touch persons of other providers, and to take over an account by its name.
 */
import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { asLine, GatewayError } from '@sallyport/core';
import { recordActOf } from '../acts/acts.ts';
import { Database, type Tx } from '../db/database.ts';
import type { Principal, Prisma } from '../generated/prisma/client.ts';
import { IdentityRepository } from '../identity/identity.repository.ts';
import { Principals } from '../identity/principals.service.ts';
import { Revocations } from '../identity/revocations.ts';
import { Listening } from '../listening.ts';
import { SystemClock } from '../time.ts';
import { ENTERPRISE, USER, USER_SCHEMA } from './attributes.ts';
import { type Document, isRecord, readDocument } from './document.ts';
import { USER_COLUMNS, uuidIn } from './filter-where.ts';
import { applyPatch, readOperations } from './patch.ts';
import type { Provisioner } from './provisioner.ts';
import { ScimRepository, type UserRow } from './scim.repository.ts';
import { ScimError } from './scim-error.ts';
import { choose, isAsked, type ListQuery, listOf, windowOf } from './scim-list.ts';
import { ScimMemberships } from './scim-memberships.ts';
import type { ScimResources } from './scim-resources.ts';
import { requireVersion, versionOf } from './scim-version.ts';

const NAME_CHARS_MAX = 36;
type Emails = readonly Readonly<{ value?: string; type?: string; primary?: boolean }>[];
type Change = (document: Document) => Document;

@Injectable()
export class ScimUsers implements ScimResources {
  constructor(
    private readonly database: Database,
    private readonly repository: ScimRepository,
    private readonly identities: IdentityRepository,
    private readonly principals: Principals,
    private readonly memberships: ScimMemberships,
    private readonly revocations: Revocations,
    private readonly listening: Listening,
    private readonly clock: SystemClock,
  ) {}

  async list(who: Provisioner, query: ListQuery): Promise<object> {
    const window = windowOf(query, USER_COLUMNS);
    const { total, rows } = await this.repository.users(who, window);
    const ids = rows.map((row) => row.principalId);
    const groups = isAsked(query, 'groups') ? await this.repository.groupsOf(who, ids) : new Map();
    const shown = rows.map((row) => choose(this.#show(row, groups.get(row.principalId) ?? []), query));
    return listOf(shown, total, window.startIndex);
  }

  /** @throws GatewayError `request.not_found` */
  async get(who: Provisioner, id: string): Promise<object> {
    const row = await this.#find(who, id);
    return this.#show(row, (await this.repository.groupsOf(who, [row.principalId])).get(row.principalId) ?? []);
  }

  async create(who: Provisioner, body: unknown): Promise<object> {
    const document = readDocument(USER_SCHEMA, body);
    const id = await this.database.transaction(async (tx) => {
      const columns = columnsOf(document);
      if (await this.repository.hasUserName(who, columns.userNameFolded, tx)) throw taken();
      const subject = this.#subject(who, document);
      const known = await this.identities.identity(who.projectId, who.provider, subject, tx);
      const principal = known?.principal ?? (await this.#newPrincipal(tx, who, document, subject));
      if (principal.kind !== 'person' || (await this.repository.user(who, principal.id, tx)) !== null) throw taken();
      const active = document['active'] !== false;
      await this.repository.insertUser(tx, {
        projectId: who.projectId,
        provider: who.provider,
        principalId: principal.id,
        subject,
        active,
        ...columns,
      });
      await this.#toPrincipal(tx, who, principal, document);
      await this.#act(tx, who, principal, Object.keys(document));
      if (!active) await this.#disable(tx, who, principal);
      return principal.id;
    });
    return await this.get(who, id);
  }

  /** PUT: what is not in the body is gone, but `active`, whose absence says nothing. */
  async replace(who: Provisioner, id: string, body: unknown, ifMatch: string | undefined): Promise<object> {
    const given = readDocument(USER_SCHEMA, body);
    return await this.#change(who, id, ifMatch, ({ active }) => ({
      ...(active === undefined ? {} : { active }),
      ...given,
    }));
  }

  async patch(who: Provisioner, id: string, body: unknown, ifMatch: string | undefined): Promise<object> {
    const operations = readOperations(body);
    return await this.#change(who, id, ifMatch, (document) => applyPatch(USER_SCHEMA, document, operations));
  }

  /** Ends everything; the person goes too, unless another provider knows them. */
  async remove(who: Provisioner, id: string, ifMatch: string | undefined): Promise<void> {
    await this.database.transaction(async (tx) => {
      const row = await this.#find(who, id, tx);
      requireVersion(ifMatch, row);
      await this.repository.deleteUser(tx, who, row.principalId);
      await this.memberships.sync(tx, who.actor, who, [row.principalId]);
      await this.repository.deleteIdentities(tx, who, row.principalId);
      if ((await this.repository.otherIdentities(tx, who, row.principalId)) === 0) {
        await this.principals.deletePrincipal(tx, who.actor, row.principal);
        return;
      }
      await this.identities.revokeTokens(tx, { principalId: row.principalId, kind: 'session' }, this.clock.now());
      await this.revocations.revoke(tx, who.projectId, 'principal', row.principalId);
      if (row.disabledHere) await this.principals.enablePrincipal(tx, who.actor, row.principal);
      await recordActOf(tx, who.actor, 'identity.deleted', `principal/${row.principal.name}`, {
        by: `scim:${who.provider}`,
      });
    });
  }

  async #change(who: Provisioner, id: string, ifMatch: string | undefined, change: Change): Promise<object> {
    const found = await this.#find(who, id);
    await this.database.transaction(async (tx) => {
      await this.repository.lockUser(tx, who, found.principalId);
      const row = await this.#find(who, id, tx);
      requireVersion(ifMatch, row);
      const before = row.document as Document;
      const document = change({ ...before, active: row.active });
      const columns = columnsOf(document);
      if (
        columns.userNameFolded !== row.userNameFolded &&
        (await this.repository.hasUserName(who, columns.userNameFolded, tx))
      )
        throw taken();
      const subject = this.#subject(who, document);
      if (subject !== row.subject) await this.#rename(tx, who, row, subject);
      const active = document['active'] !== false;
      await this.repository.updateUser(tx, who, row.principalId, { ...columns, subject, active });
      await this.#toPrincipal(tx, who, row.principal, document);
      await this.#act(tx, who, row.principal, changedIn(before, columns.document));
      if (!active && row.active) await this.#disable(tx, who, row.principal);
      // Whom an admin has disabled stays so, whatever the directory says.
      if (active && row.disabledHere) {
        await this.repository.updateUser(tx, who, row.principalId, { disabledHere: false });
        await this.principals.enablePrincipal(tx, who.actor, row.principal);
      }
    });
    return await this.get(who, id);
  }

  async #disable(tx: Tx, who: Provisioner, principal: Principal): Promise<void> {
    if (principal.disabledAt !== null) return;
    await this.repository.updateUser(tx, who, principal.id, { disabledHere: true });
    await this.principals.disablePrincipal(tx, who.actor, principal);
  }

  /** The provider calls the person something else from now on. */
  async #rename(tx: Tx, who: Provisioner, row: UserRow, subject: string): Promise<void> {
    const holder = await this.identities.identity(who.projectId, who.provider, subject, tx);
    if (holder !== null && holder.principalId !== row.principalId) throw taken();
    if (holder === null && (await this.repository.moveIdentity(tx, who, row.principalId, row.subject, subject)) === 0)
      await this.#insertIdentity(tx, who, row.principalId, subject);
  }

  async #insertIdentity(tx: Tx, who: Provisioner, principalId: string, subject: string): Promise<void> {
    const { projectId, provider } = who;
    await this.identities.insertIdentity(tx, { id: this.clock.id(), projectId, principalId, provider, subject });
  }

  async #newPrincipal(tx: Tx, who: Provisioner, document: Document, subject: string): Promise<Principal> {
    const name =
      String(document['userName'])
        .replace(/[^A-Za-z0-9._@-]/g, '-')
        .replace(/^[^A-Za-z0-9]+/, '')
        .slice(0, NAME_CHARS_MAX) || 'person';
    // The word of a directory must not open somebody's account: a taken name gets a tail.
    const isFree = (await this.identities.principal(who.projectId, name, tx)) === null;
    const principal = await this.identities.insertPrincipal(tx, {
      id: this.clock.id(),
      projectId: who.projectId,
      name: isFree ? name : `${name.slice(0, NAME_CHARS_MAX - 5)}-${randomBytes(2).toString('hex')}`,
      kind: 'person',
      roles: ['member'],
    });
    await this.#insertIdentity(tx, who, principal.id, subject);
    await recordActOf(tx, who.actor, 'principal.created', `principal/${principal.name}`, {
      kind: 'person',
      by: `scim:${who.provider}`,
    });
    return principal;
  }

  /** What is shown of the person elsewhere. */
  async #toPrincipal(tx: Tx, who: Provisioner, principal: Principal, document: Document): Promise<void> {
    const displayName = asLine(displayNameOf(document), 200);
    const email = primaryEmail(document)?.slice(0, 320) ?? null;
    const managerId = uuidIn(managerOf(document) ?? '');
    const known = managerId === undefined ? null : await this.repository.user(who, managerId, tx);
    // Unnamed by the directory, it is what an administrator wrote.
    const manager = known?.principal.name ?? principal.manager;
    if (principal.displayName === displayName && principal.email === email && principal.manager === manager) return;
    await this.identities.updatePrincipal(tx, principal.id, { displayName, email, manager });
  }

  /** Names of attributes, not what they say: those are about a person. */
  async #act(tx: Tx, who: Provisioner, principal: Principal, attributes: readonly string[]): Promise<void> {
    await recordActOf(tx, who.actor, 'principal.provisioned', `principal/${principal.name}`, {
      by: `scim:${who.provider}`,
      attributes: [...attributes],
    });
  }

  async #find(who: Provisioner, id: string, tx?: Tx): Promise<UserRow> {
    const uuid = uuidIn(id);
    const row = uuid === undefined ? null : await this.repository.user(who, uuid, tx);
    if (row === null) throw new GatewayError('request.not_found', { user: id.slice(0, 100) });
    return row;
  }

  #subject(who: Provisioner, document: Document): string {
    const subject = who.subject === 'email' ? primaryEmail(document) : document[who.subject];
    if (typeof subject === 'string' && subject !== '') return subject;
    throw new ScimError('invalidValue', `${who.subject} is needed: it is what sign-ins call the person.`);
  }

  #show(row: UserRow, groups: readonly { readonly id: string; readonly displayName: string }[]): object {
    const document = row.document as Document;
    const base = `${this.listening.publicUrl()}/scim/v2`;
    return {
      schemas: [USER, ...(ENTERPRISE in document ? [ENTERPRISE] : [])],
      id: row.principalId,
      ...document,
      active: row.active && row.principal.disabledAt === null,
      ...(groups.length === 0
        ? {}
        : {
            groups: groups.map((group) => ({
              value: group.id,
              display: group.displayName,
              $ref: `${base}/Groups/${group.id}`,
            })),
          }),
      meta: {
        resourceType: 'User',
        created: row.createdAt.toISOString(),
        lastModified: row.updatedAt.toISOString(),
        location: `${base}/Users/${row.principalId}`,
        version: versionOf(row),
      },
    };
  }
}

const taken = (): ScimError => new ScimError('uniqueness', 'Another user of this provider has this name.');

const textIn = (document: Document, name: string, sub?: string): string | undefined => {
  const value = sub === undefined ? document[name] : isRecord(document[name]) ? document[name][sub] : undefined;
  return typeof value === 'string' && value !== '' ? value : undefined;
};
const managerOf = (document: Document): string | undefined => {
  const extension = document[ENTERPRISE];
  return isRecord(extension) ? textIn(extension, 'manager', 'value') : undefined;
};
const emailsOf = (document: Document): Emails => (document['emails'] ?? []) as Emails;
const primaryEmail = (document: Document): string | undefined => {
  const emails = emailsOf(document).filter((email) => email.value !== undefined);
  return (emails.find((email) => email.primary === true) ?? emails[0])?.value;
};
const displayNameOf = (document: Document): string =>
  textIn(document, 'displayName') ??
  textIn(document, 'name', 'formatted') ??
  [textIn(document, 'name', 'givenName'), textIn(document, 'name', 'familyName')].filter(Boolean).join(' ');

const changedIn = (before: Document, after: Document): readonly string[] =>
  [...new Set([...Object.keys(before), ...Object.keys(after)])].filter(
    (name) => JSON.stringify(before[name]) !== JSON.stringify(after[name]),
  );

/** The columns that a document is found by. */
function columnsOf(document: Document) {
  const { active: _, ...kept } = document;
  const folded = (text: string | undefined): string | null => text?.toLowerCase() ?? null;
  const userName = String(document['userName']);
  return {
    document: kept as Prisma.InputJsonObject,
    userName,
    userNameFolded: userName.toLowerCase(),
    externalId: textIn(document, 'externalId') ?? null,
    displayNameFolded: folded(textIn(document, 'displayName')),
    givenNameFolded: folded(textIn(document, 'name', 'givenName')),
    familyNameFolded: folded(textIn(document, 'name', 'familyName')),
    emailKeys: emailsOf(document).flatMap(({ value, type }) =>
      value === undefined ? [] : [...new Set([`:${value}`, `${type ?? ''}:${value}`])].map((key) => key.toLowerCase()),
    ),
  };
}
