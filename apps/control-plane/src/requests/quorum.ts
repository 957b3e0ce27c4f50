/**
 * Who may answer an access request, and whether the answers are enough: distinct persons, quorums by group, each person
 * counted for one quorum alone. Pure. Refuses anything that is no person, and whoever is involved in the request.
 */
import type { PrincipalKind } from '@sallyport/model';
import type { Approvers } from './access-policy.ts';

export interface Answerer {
  readonly id: string;
  readonly kind: PrincipalKind;
  readonly groups: ReadonlySet<string>;
  /** Their account is there, and its roles let it answer. */
  readonly able: boolean;
}

/** @param involved ids of the requester, of whom it is for, and of everybody known to be one of them */
export function mayAnswer(approve: Approvers | undefined, involved: ReadonlySet<string>, who: Answerer): boolean {
  if (approve === undefined || who.kind !== 'person' || !who.able || involved.has(who.id)) return false;
  const anybody = approve.groups.length === 0 && approve.all.length === 0;
  return (
    anybody ||
    approve.groups.some((group) => who.groups.has(group)) ||
    approve.all.some((one) => who.groups.has(one.group))
  );
}

/**
 * Called with every yes so far, by persons as they are now: who has lost a group since counts for it no more, and accounts
 * that have become one person's count once.
 * @param persons whom an account belongs to; one that is not there is its own
 * @returns true when they are enough
 */
export function isEnough(
  approve: Approvers,
  yes: readonly Answerer[],
  persons: ReadonlyMap<string, string> = new Map(),
): boolean {
  const voters = [...Map.groupBy(yes, (one) => persons.get(one.id) ?? one.id).values()].map(
    (accounts): Answerer => ({ ...accounts[0]!, groups: new Set(accounts.flatMap(({ groups }) => [...groups])) }),
  );
  const counted =
    approve.groups.length === 0 && approve.all.length === 0
      ? voters
      : voters.filter(
          (one) =>
            approve.groups.some((group) => one.groups.has(group)) ||
            approve.all.some((all) => one.groups.has(all.group)),
        );
  if (counted.length < Math.max(1, approve.count)) return false;
  const seats = approve.all.flatMap((one) => Array.from({ length: one.count }, () => one.group));
  return areSeated(seats, counted);
}

/** Whether each seat can have a person of its own (bipartite matching by augmenting paths; a few dozen seats at most). */
function areSeated(seats: readonly string[], persons: readonly Answerer[]): boolean {
  const seatOf = new Map<Answerer, number>();
  const place = (seat: number, tried: Set<Answerer>): boolean => {
    for (const person of persons) {
      if (tried.has(person) || !person.groups.has(seats[seat]!)) continue;
      tried.add(person);
      const sits = seatOf.get(person);
      if (sits === undefined || place(sits, tried)) {
        seatOf.set(person, seat);
        return true;
      }
    }
    return false;
  };
  return seats.every((_, seat) => place(seat, new Set()));
}
