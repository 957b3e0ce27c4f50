/**
 * Those who hear, inside the transaction of the change, that somebody's account may be one person with
 * others it was not one with before: what these said as two is then one word. Refuses to know what follows.
 */
import { Injectable } from '@nestjs/common';
import type { Tx } from '../db/database.ts';

export interface PersonFollower {
  /** Accounts of this principal's person were joined, or may have been. */
  joined(tx: Tx, principalId: string): Promise<void>;
}

@Injectable()
export class PersonFollowers implements PersonFollower {
  readonly #all: PersonFollower[] = [];

  add(follower: PersonFollower): void {
    this.#all.push(follower);
  }
  async joined(tx: Tx, principalId: string): Promise<void> {
    for (const follower of this.#all) await follower.joined(tx, principalId);
  }
}
