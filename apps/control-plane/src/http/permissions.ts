/**
 * Every permission of the REST API, `<noun>:<verb>`, and the roles as lists of them.
 * Refuses to know routes: each route names what it needs by `@Requires`. Public contract: add, never rename.
 * docs/reference/permissions.md is generated from here.
 */
export const PERMISSIONS = [
  'principal:read',
  'principal:create',
  'principal:update',
  'principal:delete',
  'group:read',
  'group:create',
  'group:update',
  'group:delete',
  /** API tokens and client secrets of others; one's own need `token:own`. */
  'token:create',
  'token:delete',
  'token:own',
  'identity-provider:read',
  'identity-provider:create',
  'identity-provider:update',
  'identity-provider:delete',
  /** Trying one out and previewing what a token would give: shows persons' claims. */
  'identity-provider:test',
  /** Local accounts: ways in without a provider. One's own need `account:own`. */
  'account:read',
  'account:create',
  'account:update',
  'account:delete',
  'account:own',
  /** Whose tokens are believed about machines. */
  'trust-rule:read',
  'trust-rule:create',
  'trust-rule:update',
  'trust-rule:delete',
  'trust-rule:test',
  'resource:read',
  /** Only what the caller's grants reach. */
  'resource:reach',
  'resource:create',
  'resource:update',
  'resource:delete',
  'credential:read',
  'credential:create',
  'credential:update',
  'credential:delete',
  /** Has an agent sign in with it once. */
  'credential:test',
  /** Gives its account a new password. */
  'credential:rotate',
  'lease:read',
  'lease:revoke',
  'grant:read',
  'grant:create',
  'grant:update',
  'grant:delete',
  'review:read',
  /** Making campaigns, starting and ending them. */
  'review:create',
  /** Only what one is the reviewer of. */
  'review:answer',
  'review:export',
  'policy:read',
  'policy:create',
  'policy:update',
  'policy:delete',
  /** Check and explain change nothing. */
  'policy:explain',
  'document:apply',
  'access-policy:read',
  'access-policy:create',
  'access-policy:update',
  'access-policy:delete',
  /** Asking, for what an access policy allows; prolonging and withdrawing one’s own. */
  'access-request:create',
  /** One’s own, and those one may answer; all with `grant:read`. */
  'access-request:read',
  'access-request:answer',
  'approval:read',
  'approval:answer',
  'budget:read',
  /** Sessions of others; one's own need `session:own`. */
  'session:read',
  'session:own',
  'session:view',
  'session:view-clear',
  'session:watch',
  'session:kill',
  /** Destroys the key of a session’s payloads, for good. */
  'session:erase',
  'trail:read',
  'trail:export',
  /** Saying after how many days sessions are erased. */
  'retention:update',
  'agent:read',
  'agent:create',
  'agent:delete',
  'bundle:read',
  'bundle:recover',
  'webhook:read',
  'webhook:create',
  'webhook:update',
  'webhook:delete',
  /** Giving a webhook an address on the control plane's own host. */
  'webhook:loopback',
  /** Tying a Slack user to oneself. */
  'slack:link',
  /** Every project; one's own is seen without it. */
  'project:read',
  /** One’s own project, and those one may sign in to. */
  'project:own',
  'project:create',
  'project:update',
  'project:delete',
  'key:rotate',
  'change-proposal:read',
  /** As the second admin; the permission of the change itself is needed too. */
  'change-proposal:answer',
  'dual-control:update',
  /** Provisioning people and groups of one identity provider by SCIM. */
  'scim:write',
  /** Exchanging an API token for an access token of a resource; grants decide which. */
  'access:exchange',
] as const;
export type Permission = (typeof PERMISSIONS)[number];

/** What belongs to the installation and not to a project: role `owner` alone has it, in project `default` alone. */
export const INSTALLATION_PERMISSIONS: readonly Permission[] = [
  'project:read',
  'project:create',
  'project:update',
  'project:delete',
  'key:rotate',
  'webhook:loopback',
];

export const ROLES = ['owner', 'admin', 'auditor', 'approver', 'provisioner', 'member'] as const;
export type Role = (typeof ROLES)[number];

const MEMBER: readonly Permission[] = [
  'token:own',
  'account:own',
  'resource:reach',
  'policy:explain',
  'access-request:create',
  'access-request:read',
  'slack:link',
  'approval:read',
  'session:own',
  'project:own',
  'review:answer',
  'access:exchange',
];

/** What each role may do; a principal has the union of its roles, a token at most that. */
export const ROLE_PERMISSIONS: Readonly<Record<Role, readonly Permission[]>> = {
  owner: INSTALLATION_PERMISSIONS,
  admin: PERMISSIONS.filter((permission) => !INSTALLATION_PERMISSIONS.includes(permission)),
  auditor: [
    ...MEMBER,
    'principal:read',
    'group:read',
    'identity-provider:read',
    'account:read',
    'trust-rule:read',
    'resource:read',
    'credential:read',
    'lease:read',
    'grant:read',
    'review:read',
    'review:export',
    'policy:read',
    'budget:read',
    'access-policy:read',
    'session:read',
    'session:view',
    'session:watch',
    'trail:read',
    'trail:export',
    'agent:read',
    'bundle:read',
    'webhook:read',
    'change-proposal:read',
  ],
  approver: [
    ...MEMBER,
    'approval:answer',
    'access-request:answer',
    'access-policy:read',
    'group:read',
    'resource:read',
    'grant:read',
    'policy:read',
    'budget:read',
    'session:read',
    'session:view',
  ],
  /** What an identity provider's directory signs in as, and nothing else. */
  provisioner: ['scim:write'],
  member: MEMBER,
};

export const isPermission = (text: string): text is Permission => (PERMISSIONS as readonly string[]).includes(text);
export const isRole = (text: string): text is Role => (ROLES as readonly string[]).includes(text);

/** @param roles unknown ones give nothing; @param scopes narrows, empty = all of the roles' */
export function permissionsOf(roles: readonly string[], scopes: readonly string[] = []): ReadonlySet<Permission> {
  const all = new Set(roles.filter(isRole).flatMap((role) => ROLE_PERMISSIONS[role]));
  return scopes.length === 0 ? all : new Set([...all].filter((permission) => scopes.includes(permission)));
}

/** What roles give in a project: the owner's counts in the default one alone, however it came to be written elsewhere. */
export const permissionsIn = (
  projectName: string,
  roles: readonly string[],
  scopes: readonly string[] = [],
): ReadonlySet<Permission> =>
  permissionsOf(projectName === 'default' ? roles : roles.filter((role) => role !== 'owner'), scopes);

/** Whether an account, as it is now, may do this: it is not disabled, and its roles give it. */
export const isAble = (
  account: { readonly roles: readonly string[]; readonly disabledAt: Date | null },
  permission: Permission,
): boolean => account.disabledAt === null && permissionsOf(account.roles).has(permission);
