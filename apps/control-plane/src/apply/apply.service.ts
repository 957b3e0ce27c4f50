/**
 * Brings groups, resources, grants, policies, access policies, identity providers and access reviews to what a set of documents says: all in one transaction, or nothing.
 * A dry run does the same work and rolls back, so that its answer is what would happen. Prune deletes what earlier documents
 * named and these do not, among the kinds that these hold; what was made by hand stays. No HTTP, no Prisma.
 */
import { Injectable } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import { recordActOf } from '../acts/acts.ts';
import { textDiff } from '../acts/text-diff.ts';
import { BundleChanges } from '../bundles/bundle-changes.ts';
import { Database, type Tx } from '../db/database.ts';
import { documentOf as grantDocumentOf } from '../grants/grant-document.ts';
import { GrantsRepository } from '../grants/grants.repository.ts';
import { Grants } from '../grants/grants.service.ts';
import type { Caller } from '../http/caller.ts';
import { showDuration } from '../http/duration.ts';
import { InvalidRequest } from '../http/invalid-request.ts';
import { codeOf } from '../http/problem.filter.ts';
import { IdentityRepository } from '../identity/identity.repository.ts';
import { Principals } from '../identity/principals.service.ts';
import { ProviderSettingsService } from '../identity/provider-settings/providers.service.ts';
import { Revocations } from '../identity/revocations.ts';
import { PoliciesRepository } from '../policies/policies.repository.ts';
import { Policies } from '../policies/policies.service.ts';
import { AccessPolicies, documentOf as accessPolicyOf } from '../requests/access-policies.service.ts';
import { showPolicy } from '../requests/access-policy.ts';
import { documentOf as resourceDocumentOf, specOf } from '../resources/resource-document.ts';
import { ResourcesRepository } from '../resources/resources.repository.ts';
import { Resources } from '../resources/resources.service.ts';
import { Campaigns, documentOf as reviewOf } from '../reviews/campaigns.service.ts';
import { SystemClock } from '../time.ts';
import { type AppliedThing, ApplyRepository } from './apply.repository.ts';
import { diffOf } from './diff.ts';
import {
  type CheckedDocument,
  DOCUMENT_KINDS,
  type DocumentKind,
  type DocumentText,
  type GroupDocument,
  readDocuments,
} from './documents.ts';

export interface Change {
  readonly kind: DocumentKind;
  readonly name: string;
  readonly action: 'create' | 'update' | 'delete' | 'none';
  readonly diff: readonly string[];
  /** What is allowed and will not work as meant. */
  readonly warnings?: readonly string[];
}
type Of<K extends DocumentKind> = Extract<CheckedDocument, { readonly kind: K }>;

/** Thrown to roll a dry run back with its answer. */
class DryRun extends Error {
  readonly changes: readonly Change[];
  constructor(changes: readonly Change[]) {
    super('dry run');
    this.changes = changes;
  }
}

@Injectable()
export class Apply {
  constructor(
    private readonly database: Database,
    private readonly repository: ApplyRepository,
    private readonly identity: IdentityRepository,
    private readonly principals: Principals,
    private readonly revocations: Revocations,
    private readonly bundles: BundleChanges,
    private readonly resources: Resources,
    private readonly resourceRows: ResourcesRepository,
    private readonly grants: Grants,
    private readonly grantRows: GrantsRepository,
    private readonly policies: Policies,
    private readonly policyRows: PoliciesRepository,
    private readonly accessPolicies: AccessPolicies,
    private readonly providers: ProviderSettingsService,
    private readonly campaigns: Campaigns,
    private readonly clock: SystemClock,
  ) {}

  /** @throws InvalidRequest `policy.invalid` with file, line and field of everything that is wrong */
  async apply(
    caller: Caller,
    texts: readonly DocumentText[],
    options: { readonly dryRun: boolean; readonly prune: boolean },
  ): Promise<readonly Change[]> {
    const documents = readDocuments(texts);
    try {
      return await this.database.transaction(async (tx) => {
        const changes: Change[] = [];
        // Grants name groups and resources, so those come first.
        for (const kind of DOCUMENT_KINDS) {
          for (const document of documents.filter((one) => one.kind === kind))
            changes.push(await this.#placed(document, () => this.#applyOne(tx, caller, document)));
        }
        for (const kind of DOCUMENT_KINDS) await this.#note(tx, caller, kind, documents);
        if (options.prune)
          for (const kind of [...DOCUMENT_KINDS].reverse())
            changes.push(...(await this.#prune(tx, caller, kind, documents)));
        if (options.dryRun) throw new DryRun(changes);
        const touched = changes.filter((change) => change.action !== 'none');
        if (touched.length > 0)
          await recordActOf(tx, caller, 'documents.applied', `project/${caller.projectName}`, {
            documents: touched.length,
            prune: options.prune,
          });
        return changes;
      });
    } catch (error) {
      if (error instanceof DryRun) return error.changes;
      throw error;
    }
  }

  /** Errors of a document name its file and line. */
  async #placed(document: CheckedDocument, work: () => Promise<Change>): Promise<Change> {
    try {
      return await work();
    } catch (error) {
      const { file, line } = document;
      if (error instanceof InvalidRequest)
        throw new InvalidRequest(
          error.errors.map((problem) => ({ ...problem, file, line: problem.line ?? line })),
          'policy.invalid',
          { cause: error },
        );
      if (!(error instanceof GatewayError) && codeOf(error) === 'internal') throw error;
      throw new InvalidRequest(
        [{ file, line, field: 'name', message: `this ${document.kind} conflicts with something that exists` }],
        'policy.invalid',
        { cause: error },
      );
    }
  }

  async #applyOne(tx: Tx, caller: Caller, document: CheckedDocument): Promise<Change> {
    switch (document.kind) {
      case 'Group':
        return await this.#group(tx, caller, document);
      case 'Resource':
        return await this.#resource(tx, caller, document);
      case 'Grant':
        return await this.#grant(tx, caller, document);
      case 'Policy':
        return await this.#policy(tx, caller, document);
      case 'AccessPolicy':
        return await this.#accessPolicy(tx, caller, document);
      case 'IdentityProvider':
        return await this.#identityProvider(tx, caller, document);
      case 'AccessReview':
        return await this.#accessReview(tx, caller, document);
      default:
        throw document satisfies never;
    }
  }

  async #group(tx: Tx, caller: Caller, { name, document }: Of<'Group'>): Promise<Change> {
    const found = await this.identity.group(caller.projectId, name, tx);
    const manual = async (id: string) =>
      (await this.identity.members(id, tx))
        .filter((member) => member.source === 'manual')
        .map((member) => member.principal);
    const had = found === null ? [] : await manual(found.id);
    const show = (description: string, members: readonly string[]) => ({
      description,
      ...(document.members === undefined ? {} : { members: [...members].sort() }),
    });
    const before =
      found === null
        ? undefined
        : show(
            found.description,
            had.map((member) => member.name),
          );
    const diff = diffOf(before, show(document.description, document.members ?? []));
    if (found !== null && diff.length === 0) return { kind: 'Group', name, action: 'none', diff };
    const row =
      found ??
      (await this.identity.insertGroup(tx, {
        id: this.clock.id(),
        projectId: caller.projectId,
        name,
        description: document.description,
      }));
    if (found !== null) await this.identity.updateGroup(tx, row.id, { description: document.description });
    await this.#setMembers(tx, caller, row.id, document, had);
    await recordActOf(tx, caller, found === null ? 'group.created' : 'group.updated', `group/${name}`, { ...document });
    await this.bundles.bump(tx, caller.projectId);
    return { kind: 'Group', name, action: found === null ? 'create' : 'update', diff };
  }

  async #setMembers(
    tx: Tx,
    caller: Caller,
    groupId: string,
    document: GroupDocument,
    had: readonly { readonly id: string; readonly name: string }[],
  ): Promise<void> {
    if (document.members === undefined) return;
    for (const [index, name] of document.members.entries()) {
      const principal = await this.identity.principal(caller.projectId, name, tx);
      if (principal === null)
        throw new InvalidRequest([{ field: `members.${index}`, message: `there is no principal ${name}` }]);
      await this.identity.addMember(tx, {
        projectId: caller.projectId,
        groupId,
        principalId: principal.id,
        source: 'manual',
      });
    }
    for (const member of had.filter((one) => !document.members!.includes(one.name))) {
      await this.identity.removeMembers(tx, { groupId, principalId: member.id, source: 'manual' });
      await this.revocations.revoke(tx, caller.projectId, 'principal', member.id);
    }
  }

  async #resource(tx: Tx, caller: Caller, { name, document }: Of<'Resource'>): Promise<Change> {
    const found = await this.resourceRows.find(caller.projectId, name, tx);
    const wanted = resourceDocumentOf({
      name,
      kind: document.type,
      description: document.description,
      labels: document.labels,
      agents: document.agents,
      spec: specOf(document),
      credential: document.credential ? { name: document.credential } : null,
    } as never);
    const diff = diffOf(found === null ? undefined : resourceDocumentOf(found), wanted);
    if (found === null) await this.resources.insert(tx, caller, document);
    else if (diff.length > 0) await this.resources.update(tx, caller, found, document);
    return { kind: 'Resource', name, action: found === null ? 'create' : diff.length > 0 ? 'update' : 'none', diff };
  }

  async #grant(tx: Tx, caller: Caller, { name, document }: Of<'Grant'>): Promise<Change> {
    const found = await this.grantRows.find(caller.projectId, name, tx);
    const instant = (text: string | null | undefined) => (text ? new Date(text).toISOString() : null);
    const principal = document.principal
      ? ((await this.identity.principal(caller.projectId, document.principal, tx))?.name ?? document.principal)
      : null;
    const wanted = {
      ...document,
      principal,
      notBefore: instant(document.notBefore),
      notAfter: instant(document.notAfter),
      effects: [...document.effects].sort(),
    };
    const before =
      found === null
        ? undefined
        : {
            ...grantDocumentOf(found),
            effects: [...found.effects].sort(),
            ...(found.revokedAt === null ? {} : { revoked: true }),
          };
    const diff = diffOf(before, wanted);
    if (found === null) await this.grants.insert(tx, caller, document, { source: 'apply' });
    else if (diff.length > 0) await this.grants.update(tx, caller, found, document);
    return { kind: 'Grant', name, action: found === null ? 'create' : diff.length > 0 ? 'update' : 'none', diff };
  }

  async #policy(tx: Tx, caller: Caller, { name, source, file }: Of<'Policy'>): Promise<Change> {
    const found = await this.policyRows.find(caller.projectId, name, tx);
    const diff = textDiff(found?.source ?? '', source);
    const row =
      found === null
        ? await this.policies.insert(tx, caller, source, file)
        : diff.length > 0
          ? await this.policies.update(tx, caller, found, source, file)
          : found;
    const action = found === null ? 'create' : diff.length > 0 ? 'update' : 'none';
    return { kind: 'Policy', name, action, diff, warnings: await this.policies.warningsOf(tx, row) };
  }

  async #accessPolicy(tx: Tx, caller: Caller, { name, document }: Of<'AccessPolicy'>): Promise<Change> {
    const found = (await this.accessPolicies.all(caller.projectId, tx)).find((row) => row.name === name);
    const diff = diffOf(found === undefined ? undefined : showPolicy(accessPolicyOf(found)), showPolicy(document));
    if (found === undefined) await this.accessPolicies.insert(tx, caller, document);
    else if (diff.length > 0) await this.accessPolicies.update(tx, caller, found, document);
    const action = found === undefined ? 'create' : diff.length > 0 ? 'update' : 'none';
    return { kind: 'AccessPolicy', name, action, diff };
  }

  /** Its secrets are not the document's business: they stay as they are. */
  async #identityProvider(tx: Tx, caller: Caller, { name, document }: Of<'IdentityProvider'>): Promise<Change> {
    const found = (await this.providers.all(caller.projectId, tx)).find((row) => row.name === name);
    const { config } = this.providers.checkedConfig(document.type, document.config);
    const wanted = { ...document, config };
    const diff = diffOf(found === undefined ? undefined : this.providers.documentOf(found), wanted);
    const { type, ...settings } = wanted;
    if (found !== undefined && found.kind !== type)
      throw new InvalidRequest([{ field: 'type', message: `this provider is of kind ${found.kind}` }]);
    if (found === undefined) await this.providers.insert(tx, caller, { ...settings, kind: type });
    else if (diff.length > 0) await this.providers.change(tx, caller, found, settings);
    const action = found === undefined ? 'create' : diff.length > 0 ? 'update' : 'none';
    return { kind: 'IdentityProvider', name, action, diff };
  }

  /** A turn that lies behind us says nothing any more: its schedule goes on as it has. */
  async #accessReview(tx: Tx, caller: Caller, { name, document }: Of<'AccessReview'>): Promise<Change> {
    const found = (await this.campaigns.all(caller.projectId, tx)).find((row) => row.name === name);
    const { nextAt, due, evidence, every, ...rest } = document;
    const now = this.clock.now();
    const wanted = nextAt ? new Date(nextAt) : null;
    const turn = wanted !== null && (found === undefined || wanted > now) ? wanted : (found?.nextAt ?? null);
    const show = (at: Date | null): string | null => (at === null || at <= now ? null : at.toISOString());
    const spans = { due: showDuration(due), evidence: showDuration(evidence), every: every ?? null };
    const diff = diffOf(found === undefined ? undefined : { ...reviewOf(found), nextAt: show(found.nextAt) }, {
      ...rest,
      ...spans,
      nextAt: show(turn),
    });
    if (found === undefined) await this.campaigns.insert(tx, caller, document);
    else if (found.endedAt !== null)
      throw new InvalidRequest([{ field: 'name', message: 'a review of this name has ended: take another' }]);
    else if (diff.length > 0) {
      const keeps = turn !== null && (found.every === spans.every || turn !== found.nextAt);
      await this.campaigns.update(tx, caller, found, { ...document, nextAt: keeps ? turn.toISOString() : null });
    }
    const action = found === undefined ? 'create' : diff.length > 0 ? 'update' : 'none';
    return { kind: 'AccessReview', name, action, diff };
  }

  async #prune(
    tx: Tx,
    caller: Caller,
    kind: DocumentKind,
    documents: readonly CheckedDocument[],
  ): Promise<readonly Change[]> {
    const named = new Set(documents.filter((one) => one.kind === kind).map((one) => one.name));
    if (named.size === 0) return [];
    const applied = await this.repository.ids(tx, caller.projectId, kind);
    const gone = <T extends AppliedThing>(rows: readonly T[]): readonly T[] =>
      rows.filter((row) => applied.has(row.id) && !named.has(row.name));
    const deleted: AppliedThing[] = [];
    const each = async <T extends AppliedThing>(rows: readonly T[], remove: (row: T) => Promise<unknown>) => {
      for (const row of gone(rows)) {
        await remove(row);
        deleted.push(row);
      }
    };
    switch (kind) {
      case 'Group':
        await each(await this.identity.allGroups(caller.projectId, tx), (row) =>
          this.principals.deleteGroup(tx, caller, row),
        );
        break;
      case 'Resource':
        await each(await this.resourceRows.all(caller.projectId, tx), (row) => this.resources.delete(tx, caller, row));
        break;
      case 'Grant':
        await each(await this.grantRows.all(caller.projectId, tx), (row) => this.grants.delete(tx, caller, row));
        break;
      case 'Policy':
        await each(await this.policyRows.all(caller.projectId, tx), (row) => this.policies.delete(tx, caller, row));
        break;
      case 'AccessPolicy':
        await each(await this.accessPolicies.all(caller.projectId, tx), (row) =>
          this.accessPolicies.delete(tx, caller, row),
        );
        break;
      case 'IdentityProvider':
        await each(await this.providers.all(caller.projectId, tx), (row) => this.providers.delete(tx, caller, row));
        break;
      case 'AccessReview':
        await each(await this.campaigns.all(caller.projectId, tx), (row) => this.campaigns.drop(tx, caller, row));
        break;
      default:
        throw kind satisfies never;
    }
    await this.repository.forget(tx, caller.projectId, kind, deleted);
    return deleted.map(({ name }) => ({ kind, name, action: 'delete', diff: [] }));
  }

  /** Notes what these documents name, whether they changed it or found it so. */
  async #note(tx: Tx, caller: Caller, kind: DocumentKind, documents: readonly CheckedDocument[]): Promise<void> {
    const named = new Set(documents.filter((one) => one.kind === kind).map((one) => one.name));
    if (named.size === 0) return;
    const rows = (await this.#all(tx, caller, kind)).filter((row) => named.has(row.name));
    await this.repository.note(tx, caller.projectId, kind, rows);
  }

  #all(tx: Tx, { projectId }: Caller, kind: DocumentKind): Promise<readonly AppliedThing[]> {
    switch (kind) {
      case 'Group':
        return this.identity.allGroups(projectId, tx);
      case 'Resource':
        return this.resourceRows.all(projectId, tx);
      case 'Grant':
        return this.grantRows.all(projectId, tx);
      case 'Policy':
        return this.policyRows.all(projectId, tx);
      case 'AccessPolicy':
        return this.accessPolicies.all(projectId, tx);
      case 'IdentityProvider':
        return this.providers.all(projectId, tx);
      case 'AccessReview':
        return this.campaigns.all(projectId, tx);
      default:
        throw kind satisfies never;
    }
  }
}
