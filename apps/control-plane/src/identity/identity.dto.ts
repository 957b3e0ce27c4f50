/** Shapes of principals, groups, tokens and secrets in REST. Every field says who may see it (http/schema.ts). */
import { PRINCIPAL_KINDS } from '@sallyport/model';
import { z } from 'zod';
import { pageOf, pageQuery } from '../http/page.ts';
import { PERMISSIONS, ROLES } from '../http/permissions.ts';
import { GroupName, Instant, Line, Name, open, Prose, secret, sensitive } from '../http/schema.ts';

/** Names of principals; two of them must fit into an access token. */
export const PrincipalName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._@-]{0,35}$/, 'letters, digits and . _ @ - are expected, at most 36');
const Kind = z.enum(PRINCIPAL_KINDS);
const Roles = z.array(z.enum(ROLES)).max(ROLES.length);

export const PrincipalView = z
  .object({
    id: open(z.uuid()),
    name: open(PrincipalName),
    kind: open(Kind),
    displayName: open(z.string()),
    email: sensitive(z.string().nullable()),
    manager: open(z.string().nullable()),
    roles: open(z.array(z.string())),
    groups: open(z.array(z.string())).optional(),
    sameAs: open(z.array(z.string()))
      .optional()
      .describe('Other accounts that an administrator has said to be the same person’s.'),
    disabledAt: open(Instant.nullable()),
    createdAt: open(Instant),
  })
  .meta({ id: 'Principal' });
export const CreatePrincipal = z
  .strictObject({
    name: open(PrincipalName),
    kind: open(Kind),
    displayName: open(Line(200)).default(''),
    email: sensitive(z.email()).nullish(),
    manager: open(Line(200).min(1).nullish()).describe(
      'Name or address of the person who reviews what this one may do.',
    ),
    roles: open(Roles).default(['member']),
  })
  .meta({ id: 'CreatePrincipal' });
export const UpdatePrincipal = z
  .strictObject({
    displayName: open(Line(200).optional()),
    email: sensitive(z.email().nullish()),
    manager: open(Line(200).min(1).nullish()).describe(
      'Name or address of the person who reviews what this one may do.',
    ),
    roles: open(Roles.optional()),
    sameAs: open(PrincipalName.nullish()).describe(
      'Another account of the same person: neither answers for the other. null takes this account out again.',
    ),
    disabled: open(z.boolean().optional()),
  })
  .meta({ id: 'UpdatePrincipal' });
export const PrincipalPage = pageOf(PrincipalView).meta({ id: 'PrincipalPage' });
export const PrincipalQuery = pageQuery(['name', 'createdAt', 'kind'], 'name').extend({
  kind: Kind.optional(),
  group: GroupName.optional(),
  disabled: z.enum(['true', 'false']).optional(),
  name: z.string().max(64).optional().describe('Part of the name.'),
});

const Member = z.object({
  id: open(z.uuid()),
  name: open(z.string()),
  kind: open(Kind),
  sources: open(z.array(z.string())),
});
export const GroupView = z
  .object({
    id: open(z.uuid()),
    name: open(GroupName),
    description: open(z.string()),
    members: open(z.array(Member)).optional(),
    memberCount: open(z.number()),
    createdAt: open(Instant),
  })
  .meta({ id: 'Group' });
export const CreateGroup = z
  .strictObject({ name: open(GroupName), description: open(Prose(500)).default('') })
  .meta({ id: 'CreateGroup' });
export const UpdateGroup = z.strictObject({ description: open(Prose(500)) }).meta({ id: 'UpdateGroup' });
export const GroupPage = pageOf(GroupView).meta({ id: 'GroupPage' });
export const GroupQuery = pageQuery(['name', 'createdAt'], 'name').extend({
  name: z.string().max(128).optional().describe('Part of the name.'),
});

const DAY_S = 86_400;
const ScimClientShape = z.strictObject({
  provider: Name,
  subject: z
    .enum(['userName', 'externalId', 'email'])
    .default('userName')
    .describe('The attribute that is the same as what sign-ins of the provider call the person.'),
});
export const CreateToken = z
  .strictObject({
    name: open(Line(100).min(1)),
    scopes: open(z.array(z.enum(PERMISSIONS)).max(PERMISSIONS.length))
      .default([])
      .describe('Permissions it is narrowed to; empty = all of the principal’s.'),
    expiresInSeconds: open(
      z
        .number()
        .int()
        .min(60)
        .max(366 * DAY_S),
    ).default(90 * DAY_S),
    scim: open(ScimClientShape.optional()).describe(
      'For `scim:write` alone: the identity provider whose directory will use the token.',
    ),
  })
  .meta({ id: 'CreateToken' });
export const NewTokenView = z
  .object({ id: open(z.uuid()), token: secret(z.string()).describe('Shown once.'), expiresAt: open(Instant) })
  .meta({ id: 'NewToken' });
export const TokenView = z
  .object({
    id: open(z.uuid()),
    name: open(z.string()),
    kind: open(z.string()),
    scopes: open(z.array(z.string())),
    expiresAt: open(Instant),
    lastUsedAt: open(Instant.nullable()),
    createdAt: open(Instant),
  })
  .meta({ id: 'ApiToken' });
export const TokenPage = pageOf(TokenView).meta({ id: 'ApiTokenPage' });
export const TokenQuery = pageQuery(['createdAt', 'name'], '-createdAt');

export const CreateSecret = z
  .strictObject({
    expiresInSeconds: open(
      z
        .number()
        .int()
        .min(60)
        .max(3_660 * DAY_S)
        .optional(),
    ),
  })
  .meta({ id: 'CreateSecret' });
export const NewSecretView = z
  .object({ id: open(z.uuid()), clientId: open(z.string()), clientSecret: secret(z.string()).describe('Shown once.') })
  .meta({ id: 'NewSecret' });
export const SecretList = z
  .object({
    items: z.array(z.object({ id: open(z.uuid()), expiresAt: open(Instant.nullable()), createdAt: open(Instant) })),
    nextCursor: z.null(),
  })
  .meta({ id: 'SecretList' });

export const WhoAmI = z
  .object({
    principal: open(z.object({ id: z.uuid(), name: z.string(), kind: Kind })),
    roles: open(z.array(z.string())),
    groups: open(z.array(z.string())),
    permissions: open(z.array(z.string())),
    project: open(z.object({ id: z.uuid(), name: z.string() })),
    token: open(z.object({ id: z.uuid(), expiresAt: Instant })),
  })
  .meta({ id: 'WhoAmI' });
