/** What Users and Groups have in common for REST (RFC 7644 section 3). Refuses to know what either is. */
import type { Provisioner } from './provisioner.ts';
import type { ListQuery } from './scim-list.ts';

export interface ScimResources {
  list(who: Provisioner, query: ListQuery): Promise<object>;
  /** @param chosen which attributes are asked for: what is not need not be read */
  get(who: Provisioner, id: string, chosen: ListQuery): Promise<object>;
  create(who: Provisioner, body: unknown): Promise<object>;
  replace(who: Provisioner, id: string, body: unknown, ifMatch: string | undefined): Promise<object>;
  /** @returns undefined where nothing is sent back: a group of thousands need not travel for one more member */
  patch(who: Provisioner, id: string, body: unknown, ifMatch: string | undefined): Promise<object | undefined>;
  remove(who: Provisioner, id: string, ifMatch: string | undefined): Promise<void>;
}
