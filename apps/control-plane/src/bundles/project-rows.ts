/**
 * A project's rows as bundles are made from, kept in memory and brought up to date with what a later read found.
 * What has not changed stays the same object: the catalog goes by that. Pure.
 * Refuses to know where rows come from.
 */
import type { BundleGroup, Grant, Policy, Resource, Revocation, TrustedIssuer } from '@sallyport/model';
import type { BundleSource } from './compile.ts';
import { isSameList } from './split.ts';

export interface StoredCredential {
  readonly version: number;
  /** Under the envelope cipher, by the ending of the box they become ('' = the current value). */
  readonly boxes: readonly { readonly ending: string; readonly sealed: Uint8Array; readonly notAfter?: number }[];
}

/** Ids of rows that may have changed or gone. */
export interface Marked {
  readonly resources: readonly string[];
  readonly policies: readonly string[];
  readonly grants: readonly string[];
  readonly groups: readonly string[];
  /** `<group id>/<principal id>`. */
  readonly members: readonly string[];
  readonly principals: readonly string[];
  readonly revocations: readonly string[];
  readonly credentials: readonly string[];
}

/** What one read found: everything, or what there is of the marked. */
export interface RowsRead {
  readonly projectId: string;
  readonly epoch: number;
  readonly revision: number;
  readonly createdAt: number;
  /** What the read could see, for the next one to go on from. */
  readonly seen: string;
  /** Undefined = everything was read. */
  readonly marked: Marked | undefined;
  /** A disabled project gives nobody anything, so its live sessions end. */
  readonly enabled: boolean;
  readonly resources: readonly { readonly resource: Resource; readonly agents: readonly string[] }[];
  readonly policies: readonly { readonly id: string; readonly policy: Policy }[];
  /** Those not revoked. */
  readonly grants: readonly Grant[];
  readonly groups: readonly { readonly id: string; readonly name: string }[];
  /** Enabled ones, by group id. */
  readonly members: readonly { readonly groupId: string; readonly principalIds: readonly string[] }[];
  /** Ids of disabled principals. */
  readonly disabled: readonly string[];
  readonly revocations: readonly { readonly id: string; readonly revocation: Revocation; readonly keepUntil: number }[];
  /** All there are, at every read: few, and made from several tables. */
  readonly issuers: readonly TrustedIssuer[];
  readonly credentials: readonly { readonly id: string; readonly stored: StoredCredential }[];
}

interface GroupRow {
  name: string;
  readonly members: Set<string>;
  /** Undefined after a change, until it is asked for. */
  made: BundleGroup | undefined;
}

export class ProjectRows {
  #at: Pick<RowsRead, 'projectId' | 'epoch' | 'revision' | 'createdAt' | 'seen' | 'enabled' | 'issuers'>;
  readonly #resources = new Map<string, RowsRead['resources'][number]>();
  readonly #policies = new Map<string, Policy>();
  readonly #grants = new Map<string, Grant>();
  readonly #groups = new Map<string, GroupRow>();
  /** Groups by their members: somebody who is new is looked for in none. */
  readonly #groupsOf = new Map<string, Set<GroupRow>>();
  readonly #disabled = new Set<string>();
  readonly #revocations = new Map<string, RowsRead['revocations'][number]>();
  readonly #credentials = new Map<string, StoredCredential>();
  #lastRevocations: readonly Revocation[] = [];
  /** As `source` gives them; undefined after a change, until they are asked for. */
  #resourceList: BundleSource['resources'] | undefined;
  #policyList: readonly Policy[] | undefined;
  #grantList: readonly Grant[] | undefined;

  /** @param everything a read of everything */
  constructor(everything: RowsRead) {
    this.#at = everything;
    this.apply(everything);
  }

  /** For the next read. */
  get seen(): string {
    return this.#at.seen;
  }

  get credentials(): ReadonlyMap<string, StoredCredential> {
    return this.#credentials;
  }

  apply(read: RowsRead): void {
    const wasEnabled = this.#at.enabled;
    this.#at = read;
    const { marked } = read;
    const touches = (ids: readonly string[] | undefined): boolean => ids === undefined || ids.length > 0;
    if (touches(marked?.resources) || read.resources.length > 0) this.#resourceList = undefined;
    if (touches(marked?.policies)) this.#policyList = undefined;
    const wereDisabled = (marked?.principals ?? []).some((id) => this.#disabled.has(id));
    if (touches(marked?.grants) || wereDisabled || read.disabled.length > 0 || wasEnabled !== read.enabled)
      this.#grantList = undefined;
    for (const id of marked?.resources ?? []) this.#resources.delete(id);
    for (const id of marked?.policies ?? []) this.#policies.delete(id);
    for (const id of marked?.grants ?? []) this.#grants.delete(id);
    for (const id of marked?.revocations ?? []) this.#revocations.delete(id);
    for (const id of marked?.credentials ?? []) this.#credentials.delete(id);
    for (const id of marked?.principals ?? []) this.#disabled.delete(id);
    for (const entry of read.resources) this.#resources.set(entry.resource.id, entry);
    for (const { id, policy } of read.policies) this.#policies.set(id, policy);
    for (const grant of read.grants) this.#grants.set(grant.id, grant);
    for (const entry of read.revocations) this.#revocations.set(entry.id, entry);
    for (const { id, stored } of read.credentials) this.#credentials.set(id, stored);
    for (const id of read.disabled) this.#disabled.add(id);
    this.#applyGroups(read);
  }

  #applyGroups({ marked, groups, members }: RowsRead): void {
    const found = new Map(groups.map(({ id, name }) => [id, name]));
    for (const id of marked?.groups ?? []) if (!found.has(id)) this.#dropGroup(id);
    for (const [id, name] of found) {
      const known = this.#groups.get(id);
      if (known === undefined) this.#groups.set(id, { name, members: new Set(), made: undefined });
      else if (known.name !== name) {
        known.name = name;
        known.made = undefined;
      }
    }
    // Out first, then in: what was read is what is there of the marked.
    const leave = (group: GroupRow | undefined, principalId: string): void => {
      if (group?.members.delete(principalId) !== true) return;
      group.made = undefined;
      this.#groupsOf.get(principalId)?.delete(group);
    };
    for (const pair of marked?.members ?? []) {
      const slash = pair.indexOf('/');
      leave(this.#groups.get(pair.slice(0, slash)), pair.slice(slash + 1));
    }
    for (const id of marked?.principals ?? []) for (const group of this.#groupsOf.get(id) ?? []) leave(group, id);
    for (const { groupId, principalIds } of members) {
      const group = this.#groups.get(groupId);
      if (group === undefined || principalIds.length === 0) continue;
      for (const id of principalIds) this.#join(group, id);
      group.made = undefined;
    }
    for (const id of marked?.principals ?? []) if (this.#groupsOf.get(id)?.size === 0) this.#groupsOf.delete(id);
  }

  #join(group: GroupRow, principalId: string): void {
    group.members.add(principalId);
    const groups = this.#groupsOf.get(principalId);
    if (groups === undefined) this.#groupsOf.set(principalId, new Set([group]));
    else groups.add(group);
  }

  #dropGroup(id: string): void {
    const group = this.#groups.get(id);
    if (group === undefined) return;
    for (const member of group.members) this.#groupsOf.get(member)?.delete(group);
    this.#groups.delete(id);
  }

  /** Lists of the same objects as before where nothing changed, and the same list where nothing of its kind did. */
  source(): Omit<BundleSource, 'keys' | 'settings'> {
    const { projectId, epoch, revision, createdAt, issuers } = this.#at;
    return {
      projectId,
      epoch,
      revision,
      createdAt,
      resources: (this.#resourceList ??= [...this.#resources.values()]),
      policies: (this.#policyList ??= [...this.#policies.values()]),
      grants: (this.#grantList ??= this.#grantsInUse()),
      groups: [...this.#groups.values()].map((group) => {
        group.made ??= { name: group.name, projectId, members: [...group.members] };
        return group.made;
      }),
      issuers,
      revocations: this.#revocationsAt(createdAt),
    };
  }

  #grantsInUse(): readonly Grant[] {
    const grants = this.#at.enabled ? [...this.#grants.values()] : [];
    return grants.filter(({ principal }) => principal === undefined || !this.#disabled.has(principal));
  }

  #revocationsAt(createdAt: number): readonly Revocation[] {
    const kept = [...this.#revocations.values()].filter(({ keepUntil }) => keepUntil > createdAt);
    const list = kept.map(({ revocation }) => revocation);
    if (!isSameList(list, this.#lastRevocations)) this.#lastRevocations = list;
    return this.#lastRevocations;
  }
}
