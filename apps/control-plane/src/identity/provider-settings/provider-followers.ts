/**
 * Who else keeps something by an identity provider, and so has to follow when it changes or goes: other features say so at
 * start, and are called inside of the change's transaction. Refuses to know them.
 */
import { Injectable } from '@nestjs/common';
import type { Actor } from '../../acts/acts.ts';
import type { Tx } from '../../db/database.ts';
import type { ProviderRow } from './providers.repository.ts';

export interface ProviderFollower {
  /** Its mapping, or whether it is in use, has changed. */
  changed(tx: Tx, actor: Actor, provider: ProviderRow): Promise<void>;
  /** It goes: a later one of the same name must find nothing of it. */
  removed(tx: Tx, actor: Actor, provider: ProviderRow): Promise<void>;
}

@Injectable()
export class ProviderFollowers implements ProviderFollower {
  readonly #all: ProviderFollower[] = [];

  add(follower: ProviderFollower): void {
    this.#all.push(follower);
  }
  async changed(tx: Tx, actor: Actor, provider: ProviderRow): Promise<void> {
    for (const follower of this.#all) await follower.changed(tx, actor, provider);
  }
  async removed(tx: Tx, actor: Actor, provider: ProviderRow): Promise<void> {
    for (const follower of this.#all) await follower.removed(tx, actor, provider);
  }
}
