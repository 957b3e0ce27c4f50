/**
 * Groups by SCIM: a directory's groups and who is in them. What they give here is the mapping's business
 * (scim-memberships.ts). Members are Users of the same provider; groups in groups are refused.
 */
import { Injectable } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import { Database, type Tx } from '../db/database.ts';
import { Listening } from '../listening.ts';
import { SystemClock } from '../time.ts';
import { GROUP, GROUP_SCHEMA } from './attributes.ts';
import { type Document, readDocument } from './document.ts';
import { GROUP_COLUMNS, uuidIn } from './filter-where.ts';
import { applyPatch, readOperations } from './patch.ts';
import type { Provisioner } from './provisioner.ts';
import { type GroupRow, ScimRepository } from './scim.repository.ts';
import { ScimError } from './scim-error.ts';
import { choose, isAsked, type ListQuery, listOf, windowOf } from './scim-list.ts';
import { ScimMemberships } from './scim-memberships.ts';
import type { ScimResources } from './scim-resources.ts';
import { requireVersion, versionOf } from './scim-version.ts';

type Members = readonly { readonly id: string; readonly name: string }[];
type Change = (document: Document) => Document;
const taken = (): ScimError => new ScimError('uniqueness', 'Another group of this provider has this name.');

@Injectable()
export class ScimGroups implements ScimResources {
  constructor(
    private readonly database: Database,
    private readonly repository: ScimRepository,
    private readonly memberships: ScimMemberships,
    private readonly listening: Listening,
    private readonly clock: SystemClock,
  ) {}

  async list(who: Provisioner, query: ListQuery): Promise<object> {
    const window = windowOf(query, GROUP_COLUMNS);
    const { total, rows } = await this.repository.groups(who, window);
    const ids = rows.map((row) => row.id);
    const members = isAsked(query, 'members') ? await this.repository.membersOf(ids) : new Map<string, Members>();
    const shown = rows.map((row) => choose(this.#show(row, members.get(row.id) ?? []), query));
    return listOf(shown, total, window.startIndex);
  }

  /** @throws GatewayError `request.not_found` */
  async get(who: Provisioner, id: string, chosen: ListQuery = {}): Promise<object> {
    const isWithMembers = isAsked(chosen, 'members');
    const row = await this.#find(who, id);
    const members = isWithMembers ? await this.repository.membersOf([row.id]) : undefined;
    return this.#show(row, members?.get(row.id) ?? []);
  }

  async create(who: Provisioner, body: unknown): Promise<object> {
    const document = readDocument(GROUP_SCHEMA, body);
    const id = this.clock.id();
    await this.database.transaction(async (tx) => {
      const displayName = String(document['displayName']);
      if (await this.repository.hasGroupName(who, displayName.toLowerCase(), tx)) throw taken();
      const members = await this.#members(tx, who, document);
      const madeGroupId = await this.memberships.ensureGroup(tx, who.actor, who, displayName);
      const { projectId, provider } = who;
      await this.repository.insertGroup(tx, { id, projectId, provider, madeGroupId, ...columnsOf(document) });
      await this.repository.addMembers(tx, projectId, id, members);
      await this.memberships.sync(tx, who.actor, who, members);
    });
    return await this.get(who, id);
  }

  async replace(who: Provisioner, id: string, body: unknown, ifMatch: string | undefined): Promise<object> {
    const given = readDocument(GROUP_SCHEMA, body);
    await this.#change(who, id, ifMatch, () => given);
    return await this.get(who, id);
  }

  async patch(who: Provisioner, id: string, body: unknown, ifMatch: string | undefined): Promise<undefined> {
    const operations = readOperations(body);
    await this.#change(who, id, ifMatch, (document) => applyPatch(GROUP_SCHEMA, document, operations));
    return undefined;
  }

  async remove(who: Provisioner, id: string, ifMatch: string | undefined): Promise<void> {
    await this.database.transaction(async (tx) => {
      const row = await this.#find(who, id, tx);
      requireVersion(ifMatch, row);
      const members = (await this.repository.membersOf([row.id], tx)).get(row.id) ?? [];
      await this.repository.deleteGroup(tx, row.id);
      await this.memberships.sync(
        tx,
        who.actor,
        who,
        members.map((member) => member.id),
      );
      await this.memberships.dropGroup(tx, who.actor, who, row.madeGroupId);
    });
  }

  async #change(who: Provisioner, id: string, ifMatch: string | undefined, change: Change): Promise<void> {
    const found = await this.#find(who, id);
    await this.database.transaction(async (tx) => {
      await this.repository.lockGroup(tx, who, found.id);
      const row = await this.#find(who, id, tx);
      requireVersion(ifMatch, row);
      const had = ((await this.repository.membersOf([row.id], tx)).get(row.id) ?? []).map((member) => member.id);
      const document = change({
        displayName: row.displayName,
        ...(row.externalId === null ? {} : { externalId: row.externalId }),
        ...(had.length === 0 ? {} : { members: had.map((value) => ({ value })) }),
      });
      const columns = columnsOf(document);
      const isRenamed = columns.displayName !== row.displayName;
      if (
        columns.displayNameFolded !== row.displayNameFolded &&
        (await this.repository.hasGroupName(who, columns.displayNameFolded, tx))
      )
        throw taken();
      const members = new Set(await this.#members(tx, who, document));
      const before = new Set(had);
      const added = [...members].filter((one) => !before.has(one));
      const lost = had.filter((one) => !members.has(one));
      await this.repository.addMembers(tx, who.projectId, row.id, added);
      await this.repository.removeMembers(tx, row.id, lost);
      const madeGroupId = isRenamed
        ? await this.memberships.ensureGroup(tx, who.actor, who, columns.displayName)
        : row.madeGroupId;
      await this.repository.updateGroup(tx, row.id, { ...columns, madeGroupId });
      // A group of another name gives everybody in it something else.
      await this.memberships.sync(
        tx,
        who.actor,
        who,
        isRenamed ? [...new Set([...had, ...members])] : [...added, ...lost],
      );
      if (isRenamed) await this.memberships.dropGroup(tx, who.actor, who, row.madeGroupId);
    });
  }

  /** @throws ScimError `invalidValue` for members that are no Users of this provider */
  async #members(tx: Tx, who: Provisioner, document: Document): Promise<readonly string[]> {
    const given = (document['members'] ?? []) as readonly { readonly value?: string }[];
    const ids = given.map(({ value }) => uuidIn(value ?? ''));
    const unique = [...new Set(ids.filter((id): id is string => id !== undefined))];
    const known = await this.repository.knownUsers(who, unique, tx);
    if (ids.includes(undefined) || known.size < unique.length)
      throw new ScimError('invalidValue', 'A member is no User of this provider.');
    return unique;
  }

  async #find(who: Provisioner, id: string, tx?: Tx): Promise<GroupRow> {
    const uuid = uuidIn(id);
    const row = uuid === undefined ? null : await this.repository.group(who, uuid, tx);
    if (row === null) throw new GatewayError('request.not_found', { group: id.slice(0, 100) });
    return row;
  }

  #show(row: GroupRow, members: Members): object {
    const base = `${this.listening.publicUrl()}/scim/v2`;
    return {
      schemas: [GROUP],
      id: row.id,
      ...(row.externalId === null ? {} : { externalId: row.externalId }),
      displayName: row.displayName,
      members: members.map(({ id, name }) => ({ value: id, display: name, $ref: `${base}/Users/${id}` })),
      meta: {
        resourceType: 'Group',
        created: row.createdAt.toISOString(),
        lastModified: row.updatedAt.toISOString(),
        location: `${base}/Groups/${row.id}`,
        version: versionOf(row),
      },
    };
  }
}

function columnsOf(document: Document) {
  const displayName = String(document['displayName']);
  return {
    displayName,
    displayNameFolded: displayName.toLowerCase(),
    externalId: typeof document['externalId'] === 'string' ? document['externalId'] : null,
  };
}
