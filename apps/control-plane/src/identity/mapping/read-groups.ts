/**
 * Groups out of claims or attributes as providers send them: a list, one text, a delimited text, or an object whose keys
 * (Keycloak's and Zitadel's roles) are the groups. Refuses to cut: too many, or a link instead of groups, is an error,
 * because half of somebody's groups is a wrong answer that looks right.
 */
import { GatewayError, LIMITS } from '@sallyport/core';

export type Claims = Readonly<Record<string, unknown>>;
const isRecord = (value: unknown): value is Claims =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The claim of exactly this name (they may hold dots: `https://example.com/groups`), else the path `a.b`. */
export function claimAt(claims: Claims, path: string): unknown {
  if (Object.hasOwn(claims, path)) return claims[path];
  let value: unknown = claims;
  for (const key of path.split('.')) {
    if (!isRecord(value) || !Object.hasOwn(value, key)) return undefined;
    value = value[key];
  }
  return value;
}

/**
 * @throws GatewayError `auth.groups_overage` when the provider sent a link in place of the groups (Entra ID beyond 200),
 *   or more than `LIMITS.groupsPerSignInMax`; `auth.groups_malformed` for a claim of another shape
 */
export function readGroups(
  claims: Claims,
  where: { readonly groupsClaim: string; readonly separator?: string | undefined },
): readonly string[] {
  const value = claimAt(claims, where.groupsClaim);
  if (value === undefined || value === null) {
    // OpenID Connect Core, 5.6.2 (distributed claims); Entra ID's implicit flows say `hasgroups` instead.
    const links = claims['_claim_names'];
    const isLinked = isRecord(links) && (Object.hasOwn(links, where.groupsClaim) || Object.hasOwn(links, 'groups'));
    if (isLinked || claims['hasgroups'] === true) throw new GatewayError('auth.groups_overage', { sent: 'a link' });
    return [];
  }
  const groups = textsOf(value, where.separator);
  if (groups === undefined) throw new GatewayError('auth.groups_malformed', { claim: where.groupsClaim });
  if (groups.length > LIMITS.groupsPerSignInMax) throw new GatewayError('auth.groups_overage', { sent: groups.length });
  return groups;
}

function textsOf(value: unknown, separator: string | undefined): readonly string[] | undefined {
  if (typeof value === 'string') {
    const parts = separator === undefined ? [value] : value.split(separator);
    return parts.map((part) => part.trim()).filter((part) => part !== '');
  }
  if (isRecord(value)) return Object.keys(value);
  if (!Array.isArray(value)) return undefined;
  const texts = value.map((entry: unknown) =>
    typeof entry === 'string' ? entry : isRecord(entry) ? nameIn(entry) : undefined,
  );
  return texts.every((entry): entry is string => entry !== undefined) ? texts : undefined;
}

/** Lists of objects name the group in `name`, `display` or `value`, in this order. */
const nameIn = (entry: Claims): string | undefined =>
  [entry['name'], entry['display'], entry['value']].find((one): one is string => typeof one === 'string');
