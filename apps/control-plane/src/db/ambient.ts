/**
 * What goes along with a piece of work without being handed on: that it is a REST write and whose, and, when an agreed
 * change is carried out, its transaction and who agreed. AsyncLocalStorage of Node. Refuses to be set by a request itself.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { PrincipalRef } from '@sallyport/model';
import type { Caller } from '../http/caller.ts';
import type { Tx } from './database.ts';

/** A change that a second admin agreed to, while it is carried out. */
export interface Agreed {
  readonly proposalId: string;
  /** Whose change it is; the guard takes them for the caller. */
  readonly proposer: Caller;
  readonly by: PrincipalRef;
  /** Everything of it belongs to this transaction. */
  readonly tx: Tx;
}

export interface Ambient {
  /** Project of the caller. */
  readonly projectId: string;
  readonly agreed?: Agreed;
}

export const ambient = new AsyncLocalStorage<Ambient>();
