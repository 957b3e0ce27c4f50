/**
 * Asked before the commit of a transaction: does it need a second admin, who has not agreed? Then it is not committed.
 * Work of the control plane itself and of its process commands is no REST call and needs none.
 */
import type { ChangeLog } from '../acts/changes.ts';
import { ambient } from '../db/ambient.ts';
import type { Tx } from '../db/database.ts';
import { SETTING } from './areas.ts';

/** Thrown to roll the change back; the interceptor makes a proposal of it. */
export class SecondAdminNeeded extends Error {
  readonly areas: readonly string[];
  readonly changes: ChangeLog;
  constructor(areas: readonly string[], changes: ChangeLog) {
    super('a second admin is needed');
    this.areas = areas;
    this.changes = changes;
  }
}

/** @throws SecondAdminNeeded */
export async function requireSecondAdmin(tx: Tx, changes: ChangeLog): Promise<void> {
  const call = ambient.getStore();
  if (call === undefined || changes.areas.size === 0 || changes.agreed) return;
  const project = await tx.project.findUnique({ where: { id: call.projectId }, select: { dualControl: true } });
  const areas = [...changes.areas].filter((area) => area === SETTING || project?.dualControl.includes(area) === true);
  if (areas.length > 0) throw new SecondAdminNeeded(areas.sort(), changes);
}
