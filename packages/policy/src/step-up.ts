/**
 * What an approver's sign-in must have proven, as several holds ask it: joined to one demand, and whether one demand covers
 * another. Pure. Refuses to know who signed in: the control plane checks that and says in the approval what it checked.
 */
import type { StepUp } from '@sallyport/model';

const both = (left: readonly string[] | undefined, right: readonly string[] | undefined) =>
  left === undefined ? right : right === undefined ? left : left.filter((one) => right.includes(one));

/** The demand that satisfies all; `impossible` where no sign-in could. */
export function joinedStepUp(demands: readonly (StepUp | undefined)[]): StepUp | undefined | 'impossible' {
  let joined: StepUp | undefined;
  for (const demand of demands) {
    if (demand === undefined) continue;
    const ages = [joined?.maxAgeMs, demand.maxAgeMs].filter((age) => age !== undefined);
    const amr = both(joined?.amr, demand.amr);
    const acr = both(joined?.acr, demand.acr);
    if (amr?.length === 0 || acr?.length === 0) return 'impossible';
    joined = {
      ...(ages.length === 0 ? {} : { maxAgeMs: Math.min(...ages) }),
      ...(amr === undefined ? {} : { amr }),
      ...(acr === undefined ? {} : { acr }),
    };
  }
  return joined;
}

/** True when whoever satisfied `checked` satisfies `asked`. */
export function coversStepUp(checked: StepUp | undefined, asked: StepUp | undefined): boolean {
  if (asked === undefined) return true;
  const within = (mine: readonly string[] | undefined, theirs: readonly string[] | undefined): boolean =>
    theirs === undefined || (mine?.every((one) => theirs.includes(one)) ?? false);
  const isFresh =
    asked.maxAgeMs === undefined || (checked?.maxAgeMs !== undefined && checked.maxAgeMs <= asked.maxAgeMs);
  return isFresh && within(checked?.amr, asked.amr) && within(checked?.acr, asked.acr);
}
