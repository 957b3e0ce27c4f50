/**
 * What a feature calls when agents must learn of a change: the project's bundle revision grows in the change's own
 * transaction. Refuses to know what is in a bundle; bundles/ compiles and pushes after the commit.
 */
import type { Tx } from '../db/database.ts';
import type { Prisma } from '../generated/prisma/client.ts';

/** Abstract class as the injection token; provided by BundlesModule. */
export abstract class BundleChanges {
  /** Called inside the transaction of the change. */
  abstract bump(tx: Tx, projectId: string): Promise<void>;
  /**
   * The same as the last part of a statement that makes the change itself, so that the project's other changes wait for that
   * one turn and no longer.
   * @param after name of the part whose writes come before it; nothing is counted when that has no row
   * @param later it takes nothing away and comes in numbers: agents may learn of many such changes at once
   */
  abstract bumping(projectId: string, after: Prisma.Sql, later?: boolean): Prisma.Sql;
  /** The same for every project: what changed is the installation's, as a key. */
  abstract bumpAll(tx: Tx): Promise<void>;
}
