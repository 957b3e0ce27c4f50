/**
 * From the directory's groups to ours: the provider's own mapping, as at a sign-in, with source `scim:<provider>`.
 * Whoever loses a group loses what is open. Refuses to touch what other sources gave, but the provider's own sign-ins.
 */
import { Injectable } from '@nestjs/common';
import { type Actor, recordActOf } from '../acts/acts.ts';
import { BundleChanges } from '../bundles/bundle-changes.ts';
import type { Tx } from '../db/database.ts';
import { GroupName } from '../http/schema.ts';
import { IdentityRepository } from '../identity/identity.repository.ts';
import { GroupMapping, mapGroups } from '../identity/mapping/group-mapping.ts';
import { type ProviderFollower, ProviderFollowers } from '../identity/provider-settings/provider-followers.ts';
import { IdentityProviders } from '../identity/providers.ts';
import { Revocations } from '../identity/revocations.ts';
import { SystemClock } from '../time.ts';
import { type Directory, ScimRepository } from './scim.repository.ts';

/** A provider that is gone or switched off gives nobody anything. */
const NO_MAPPING: GroupMapping = { groupsClaim: 'groups', rules: [], unmapped: 'drop' };
type FollowedProvider = Parameters<ProviderFollower['changed']>[2];
const NAMES_SHOWN_MAX = 100;

@Injectable()
export class ScimMemberships implements ProviderFollower {
  constructor(
    private readonly providers: IdentityProviders,
    private readonly repository: ScimRepository,
    private readonly identities: IdentityRepository,
    private readonly revocations: Revocations,
    private readonly bundles: BundleChanges,
    private readonly clock: SystemClock,
    followers: ProviderFollowers,
  ) {
    followers.add(this);
  }

  async #mapping({ projectId, provider }: Directory): Promise<GroupMapping> {
    return (await this.providers.find(projectId, provider))?.mapping ?? NO_MAPPING;
  }

  /** Makes our group that a directory's group gives by its own name, when there is none. @returns its id if it was made */
  async ensureGroup(tx: Tx, actor: Actor, directory: Directory, displayName: string): Promise<string | null> {
    const mapping = await this.#mapping(directory);
    const name = mapping.prefix === undefined ? displayName : displayName.slice(mapping.prefix.length);
    const gives = mapGroups(mapping, [displayName], new Set([name])).groups;
    if (!gives.includes(name) || !GroupName.safeParse(name).success) return null;
    if ((await this.repository.ourGroups(directory.projectId, tx)).some((group) => group.name === name)) return null;
    const id = this.clock.id();
    const description = `From ${directory.provider}.`;
    await this.identities.insertGroup(tx, { id, projectId: directory.projectId, name, description });
    await recordActOf(tx, actor, 'group.created', `group/${name}`, { by: `scim:${directory.provider}` });
    await this.bundles.bump(tx, directory.projectId);
    return id;
  }

  /** Our group that was made for one of the directory's goes with it, unless it holds somebody else. */
  async dropGroup(tx: Tx, actor: Actor, directory: Directory, madeGroupId: string | null): Promise<void> {
    if (madeGroupId === null) return;
    const group = await this.identities.group(directory.projectId, madeGroupId, tx);
    if (group === null || (await this.identities.members(group.id, tx)).length > 0) return;
    await this.identities.deleteGroup(tx, group.id);
    await recordActOf(tx, actor, 'group.deleted', `group/${group.name}`, { by: `scim:${directory.provider}` });
    await this.bundles.bump(tx, directory.projectId);
  }

  /** Gives these people what the directory's groups give them, and takes what they no longer do. */
  async sync(
    tx: Tx,
    actor: Actor,
    directory: Directory,
    principalIds: readonly string[],
    given?: GroupMapping,
  ): Promise<void> {
    if (principalIds.length === 0) return;
    const { projectId, provider } = directory;
    // What another group gives is read when its change is over: who leaves two at once would keep what each takes the other to give.
    await this.repository.lockUsers(tx, directory, principalIds);
    const source = `scim:${provider}`;
    const mapping = given ?? (await this.#mapping(directory));
    const ours = new Map((await this.repository.ourGroups(projectId, tx)).map((group) => [group.name, group.id]));
    const names = new Map([...ours].map(([name, id]) => [id, name]));
    const existing = new Set(ours.keys());
    const inGroups = await this.repository.groupsOf(directory, principalIds, tx);
    const had = await this.repository.memberships(projectId, source, principalIds, tx);
    const key = (row: { readonly groupId: string; readonly principalId: string }) =>
      `${row.groupId}/${row.principalId}`;
    const wanted = principalIds.flatMap((principalId) => {
      const groups = (inGroups.get(principalId) ?? []).map((group) => group.displayName);
      return mapGroups(mapping, groups, existing).groups.map((name) => ({ groupId: ours.get(name)!, principalId }));
    });
    const hadKeys = new Set(had.map(key));
    const wantedKeys = new Set(wanted.map(key));
    const added = wanted.filter((row) => !hadKeys.has(key(row)));
    const lost = had.filter((row) => !wantedKeys.has(key(row)));
    if (added.length + lost.length === 0) return;
    await this.repository.giveMemberships(tx, projectId, source, added);
    await this.repository.takeMemberships(tx, projectId, provider, lost);
    for (const principalId of new Set(lost.map((row) => row.principalId)))
      await this.revocations.revoke(tx, projectId, 'principal', principalId);
    const byGroup = Map.groupBy([...added, ...lost], (row) => row.groupId);
    for (const [groupId] of byGroup) {
      const shown = (rows: typeof lost) =>
        rows
          .filter((row) => row.groupId === groupId)
          .map((row) => row.principalId)
          .slice(0, NAMES_SHOWN_MAX);
      const count = (rows: typeof lost) => rows.filter((row) => row.groupId === groupId).length;
      await recordActOf(tx, actor, 'group.members_synced', `group/${names.get(groupId) ?? groupId}`, {
        source,
        added: shown(added),
        addedCount: count(added),
        removed: shown(lost),
        removedCount: count(lost),
      });
    }
    await this.bundles.bump(tx, projectId);
  }

  /** The provider's mapping has changed, or it was switched on or off: everybody anew. */
  async changed(tx: Tx, actor: Actor, row: FollowedProvider): Promise<void> {
    const directory = { projectId: row.projectId, provider: row.name };
    // The row is not committed yet: what the registry of providers says is the state before.
    const mapping = row.enabled ? GroupMapping.parse(row.mapping) : NO_MAPPING;
    await this.sync(tx, actor, directory, await this.repository.everybody(directory, tx), mapping);
  }

  /** The provider goes: its people stay, without what it gave them, and its tokens end. */
  async removed(tx: Tx, actor: Actor, row: FollowedProvider): Promise<void> {
    const directory = { projectId: row.projectId, provider: row.name };
    await this.sync(tx, actor, directory, await this.repository.everybody(directory, tx), NO_MAPPING);
    const tokens = await this.repository.forget(tx, directory);
    await this.identities.revokeTokens(tx, { id: { in: [...tokens] } }, this.clock.now());
  }
}
