/**
 * Whom a held statement waits for, as its client is told: the groups asked by now, and those that are asked when it has taken
 * too long. By the agent's clock: the control plane asks them, and may do so some seconds later.
 */
import type { HeldNotice } from './road.ts';

export interface Asked {
  /** None: everybody who may approve. */
  readonly groups: readonly string[];
  /** A sentence of its own: who is asked later, and from when (UTC); '' when nobody is. */
  readonly later: string;
}

export function askedFor({ verdict, requestedAt }: HeldNotice, nowMs: number): Asked {
  const { groups, escalate } = verdict.approval;
  if (escalate === undefined) return { groups, later: '' };
  const further = escalate.groups.filter((group) => !groups.includes(group));
  const at = requestedAt + escalate.afterMs;
  if (at <= nowMs || further.length === 0) return { groups: [...groups, ...further], later: '' };
  const instant = `${new Date(at).toISOString().slice(0, 19)}Z`;
  return { groups, later: `From ${instant} on ${further.join(' or ')} may answer, too.` };
}
