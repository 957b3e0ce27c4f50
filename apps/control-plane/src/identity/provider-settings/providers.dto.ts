/** Shapes of identity providers in REST. Every field says who may see it (http/schema.ts). */
import { z } from 'zod';
import { pageOf, pageQuery } from '../../http/page.ts';
import { Instant, Line, Name, open, secret, sensitive } from '../../http/schema.ts';
import { GroupMapping } from '../mapping/group-mapping.ts';

const Kind = z.enum(['oidc', 'saml']);
const Settings = z.record(z.string().max(100), z.unknown());

export const CreateProvider = z
  .strictObject({
    name: open(Name),
    kind: open(Kind),
    displayName: open(Line(200)).default(''),
    config: open(Settings).describe('Settings of the kind: `OidcConfig` or `SamlConfig`.'),
    secrets: secret(Settings.optional()).describe('Sealed at once and never shown again.'),
    mapping: open(GroupMapping.prefault({})),
    enabled: open(z.boolean()).default(true),
  })
  .meta({ id: 'CreateIdentityProvider' });
export type CreateProvider = z.infer<typeof CreateProvider>;

/** As documents say it: no secrets, and `type` for the kind, since `kind` says what the document is of. */
export const ProviderDocument = z.strictObject({
  name: open(Name),
  type: open(Kind).default('oidc'),
  displayName: open(Line(200)).default(''),
  config: open(Settings),
  mapping: open(GroupMapping.prefault({})),
  enabled: open(z.boolean()).default(true),
});
export type ProviderDocument = z.infer<typeof ProviderDocument>;

export const UpdateProvider = z
  .strictObject({
    displayName: open(Line(200).optional()),
    config: open(Settings.optional()).describe('Replaces all settings.'),
    secrets: secret(Settings.optional()).describe('Replaces all secrets.'),
    mapping: open(GroupMapping.optional()),
    enabled: open(z.boolean().optional()),
  })
  .meta({ id: 'UpdateIdentityProvider' });
export type UpdateProvider = z.infer<typeof UpdateProvider>;

export const ProviderView = z
  .object({
    id: open(z.string()).describe('Empty for a provider of the environment.'),
    name: open(z.string()),
    kind: open(Kind),
    displayName: open(z.string()),
    from: open(z.enum(['database', 'environment'])).describe('Those of the environment are read-only here.'),
    config: open(Settings),
    hasSecrets: open(z.boolean()),
    mapping: open(GroupMapping),
    enabled: open(z.boolean()),
    callback: open(z.string()).describe('The redirect address to register at the provider.'),
    createdAt: open(Instant.nullable()),
    updatedAt: open(Instant.nullable()),
  })
  .meta({ id: 'IdentityProvider' });
export type ProviderView = z.infer<typeof ProviderView>;
export const ProviderPage = pageOf(ProviderView).meta({ id: 'IdentityProviderPage' });
export const ProviderQuery = pageQuery(['name', 'createdAt'], 'name');

export const ProviderTest = z
  .object({
    ok: open(z.boolean()),
    checks: open(z.array(z.object({ check: z.string(), ok: z.boolean(), detail: z.string() }))),
  })
  .meta({ id: 'IdentityProviderTest' });

export const PreviewRequest = z
  .strictObject({
    claims: sensitive(z.record(z.string().max(500), z.unknown()).optional()),
    token: secret(z.string().max(200_000).optional()).describe('A whole id token; it opens nothing here.'),
    mapping: open(GroupMapping.optional()).describe('Try this mapping in place of the one that is saved.'),
  })
  .refine((body) => (body.claims === undefined) !== (body.token === undefined), 'claims or a token are expected')
  .meta({ id: 'IdentityProviderPreviewRequest' });
export type PreviewRequest = z.infer<typeof PreviewRequest>;

export const PreviewAnswer = z
  .object({
    subject: sensitive(z.string()),
    username: sensitive(z.string()),
    displayName: sensitive(z.string()),
    email: sensitive(z.string().nullable()),
    principal: sensitive(z.string().nullable()).describe('Who this is here already; null = the sign-in makes one.'),
    given: sensitive(z.array(z.string())).describe('The provider’s groups.'),
    groups: sensitive(z.array(z.string())).describe('Ours.'),
    why: sensitive(z.array(z.object({ given: z.string(), group: z.string().nullable(), why: z.string() }))),
    problems: open(z.array(z.string())).describe('Why a sign-in with exactly this would be refused.'),
  })
  .meta({ id: 'IdentityProviderPreview' });
export type PreviewAnswer = z.infer<typeof PreviewAnswer>;
