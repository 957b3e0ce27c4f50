/**
 * Those who hear, inside the transaction of the change, that somebody's account may be one person with
 * others it was not one with before: what these said as two is then one word. Refuses to know what follows.
 */
import { Injectable } from '@nestjs/common';
import type { Tx } from '../db/database.ts';
import { accountsOf } from './same-person.ts';

export interface PersonFollower {
  /** @param accounts of one person, at least two: these were joined, or may have been */
  joined(tx: Tx, accounts: ReadonlySet<string>): Promise<void>;
}

@Injectable()
export class PersonFollowers {
  readonly #all: PersonFollower[] = [];

  add(follower: PersonFollower): void {
    this.#all.push(follower);
  }
  /** The principal may have become one person with others: who is nobody else's account is nobody's business. */
  async joined(tx: Tx, principalId: string): Promise<void> {
    const accounts = await accountsOf(tx, [principalId]);
    if (accounts.size < 2) return;
    for (const follower of this.#all) await follower.joined(tx, accounts);
  }
}
