/**
 * What a project may put under the control of two admins, told by the tables a change touches: no route, document or
 * import is a way round. Refuses to know who asks; db/database.ts asks before each commit of a REST write.
 */
type Row = Readonly<Record<string, unknown>>;
type Touches = (before: Row | null, after: Row | null) => boolean;

export const AREAS = ['policy', 'identity-provider', 'master-key', 'administrators', 'retention'] as const;
export type Area = (typeof AREAS)[number];

/** Not to be chosen: who could switch dual control off alone would not need it. */
export const SETTING = 'dual-control';

const always: Touches = () => true;
/** Two accounts of one person could then answer each other. */
const isTakenApart: Touches = (before, after) =>
  before?.['personId'] != null && after !== null && before['personId'] !== after['personId'];

/** One's own token gives nobody more than they are; another's is their hand. To revoke one needs nobody. */
const isMadeForAnother: Touches = (before, after) => {
  const hands = after?.['lineage'];
  return (
    before === null && after !== null && Array.isArray(hands) && hands.some((hand) => hand !== after['principalId'])
  );
};

/** Whoever uses an account for emergencies is told of; without the mark nobody is. */
const isNoMoreAlarmed: Touches = (before, after) => before?.['breakGlass'] === true && after?.['breakGlass'] === false;

/** By the tables' delegates, which all have to be watched (acts/watched.ts): what is not watched is not seen. */
export const TOUCHES: Readonly<Record<Area, Readonly<Record<string, Touches>>>> = {
  policy: { policy: always, accessPolicy: always },
  'identity-provider': {
    identityProvider: always,
    // The first pair of a provider makes itself, whenever something needs it.
    samlKey: (before) => before !== null,
    scimClient: always,
    trustRule: always,
    clientKey: always,
    clientSecret: always,
    apiToken: isMadeForAnother,
    bootstrapLink: always,
    localAccount: isNoMoreAlarmed,
  },
  'master-key': { signingKey: always, masterKey: always },
  administrators: {
    principal: (before, after) =>
      (isAdmin(before) !== isAdmin(after) && rolesOf(before) !== rolesOf(after)) || isTakenApart(before, after),
  },
  retention: {
    project: (before, after) =>
      before !== null &&
      (before['retainSessionsDays'] !== after?.['retainSessionsDays'] ||
        before['retainEventsDays'] !== after?.['retainEventsDays']),
  },
};

/** Areas of one change of a row; before its project's setting is asked. */
export function areasOf(table: string, before: Row | null, after: Row | null): readonly string[] {
  const areas: string[] = AREAS.filter((area) => TOUCHES[area][table]?.(before, after) === true);
  const was = before?.['dualControl'];
  if (table === 'project' && Array.isArray(was) && was.length > 0 && String(was) !== String(after?.['dualControl']))
    areas.push(SETTING);
  return areas;
}

const rolesOf = (row: Row | null): string => JSON.stringify(row?.['roles'] ?? []);
const isAdmin = (row: Row | null): boolean => /"(?:admin|owner)"/.test(rolesOf(row));
