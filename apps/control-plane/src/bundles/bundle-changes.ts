/**
 * What a feature calls when agents must learn of a change: the project's bundle revision grows in the change's own
 * transaction. Refuses to know what is in a bundle; bundles/ compiles and pushes after the commit.
 */
import type { Tx } from '../db/database.ts';

/** Abstract class as the injection token; provided by BundlesModule. */
export abstract class BundleChanges {
  /** Called inside the transaction of the change. */
  abstract bump(tx: Tx, projectId: string): Promise<void>;
  /** The same for every project: what changed is the installation's, as a key. */
  abstract bumpAll(tx: Tx): Promise<void>;
}
