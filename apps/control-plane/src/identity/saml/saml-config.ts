/** Settings of a SAML 2.0 provider, as REST and documents give them. Nothing in it is secret: our own keys are made here. */
import { LIMITS } from '@sallyport/core';
import { z } from 'zod';
import { open } from '../../http/schema.ts';

const Text = z.string().min(1).max(500);
const Url = z.url({ protocol: /^https?$/ }).max(2_000);
const CERTIFICATES_MAX = 10;

export const SamlConfig = z
  .strictObject({
    entityId: open(z.string().min(1).max(1_000)).describe(
      'The provider’s entity ID; answers of any other are refused.',
    ),
    metadataUrl: open(Url.optional()).describe('Where the provider publishes its metadata; read again every hour.'),
    metadata: open(z.string().max(LIMITS.samlMetadataBytesMax).optional()).describe(
      'The metadata itself, in place of an address.',
    ),
    ssoUrl: open(Url.optional()).describe('Without metadata: where sign-in requests go (HTTP-Redirect).'),
    certificates: open(z.array(z.string().max(20_000)).max(CERTIFICATES_MAX).optional()).describe(
      'Without metadata: the provider’s signing certificates (PEM), the next one beside the present one.',
    ),
    spEntityId: open(z.string().min(1).max(1_000).optional()).describe(
      'Our entity ID, if the provider wants another than the address of our metadata.',
    ),
    nameIdFormat: open(Text.optional()).describe('Asked for in requests; absent = the provider chooses.'),
    subjectAttribute: open(Text.optional()).describe('Attribute that names the person for good; absent = the NameID.'),
    usernameAttribute: open(Text.optional()),
    displayNameAttribute: open(Text.optional()),
    emailAttribute: open(Text.optional()),
    amrAttribute: open(Text.optional()).describe('Attribute with the methods of authentication.'),
    signed: open(z.enum(['assertion', 'response', 'both']))
      .default('assertion')
      .describe('What has to be signed. A signature that is there is checked in any case.'),
    encryption: open(z.enum(['optional', 'required'])).default('optional'),
    idpInitiated: open(z.boolean())
      .default(false)
      .describe('Take answers that nobody asked for. Lets another site sign a browser in as somebody else.'),
    clockSkewSeconds: open(z.number().int().min(0).max(300)).default(60),
    sessionSeconds: open(
      z
        .number()
        .int()
        .min(300)
        .max(30 * 86_400),
    ).default(12 * 3_600),
  })
  .meta({ id: 'SamlConfig' });
export type SamlConfig = z.infer<typeof SamlConfig>;

export const SamlSecrets = z.strictObject({}).meta({ id: 'SamlSecrets' });
