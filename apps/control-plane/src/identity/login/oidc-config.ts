/** Settings of an OpenID Connect provider, as REST, documents and the environment give them. Nothing secret is in `OidcConfig`. */
import { ISSUED_ALGORITHMS } from '@sallyport/model';
import { z } from 'zod';
import { open, secret } from '../../http/schema.ts';
import { GoogleDirectoryConfig } from './google-directory.ts';

/** What is ours to say in an authorization request. */
const RESERVED = new Set(
  'client_id redirect_uri response_type response_mode scope state nonce code_challenge code_challenge_method max_age acr_values request request_uri id_token_hint claims'.split(
    ' ',
  ),
);
const Text = z.string().min(1).max(500);

export const OidcConfig = z
  .strictObject({
    issuer: open(z.url({ protocol: /^https?$/ }).max(2_000)).describe(
      'Exactly as the provider writes it in its tokens.',
    ),
    clientId: open(Text),
    clientAuth: open(z.enum(['client_secret_basic', 'client_secret_post', 'none']))
      .default('client_secret_basic')
      .describe('How we prove ourselves at the token endpoint.'),
    scopes: open(z.array(z.string().regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,200}$/)).max(30))
      .default(['openid', 'profile', 'email'])
      .describe('`offline_access` lets us ask again whether a person may stay.'),
    usernameClaim: open(Text).default('preferred_username'),
    userinfo: open(z.boolean()).default(false).describe('Read claims that are not in the id token from userinfo too.'),
    requiredClaims: open(z.record(Text, Text))
      .default({})
      .describe('Claims that must be exactly so, as `hd` of Google or `tid` of Entra ID.'),
    algorithms: open(z.array(z.enum(ISSUED_ALGORITHMS)).min(1).max(ISSUED_ALGORITHMS.length))
      .default([...ISSUED_ALGORITHMS])
      .describe('Signatures believed; symmetric ones never are.'),
    clockSkewSeconds: open(z.number().int().min(0).max(300)).default(30),
    sessionSeconds: open(
      z
        .number()
        .int()
        .min(300)
        .max(30 * 86_400),
    ).default(12 * 3_600),
    refreshSeconds: open(z.number().int().min(60).max(86_400))
      .default(3_600)
      .describe('How often the provider is asked again, when it gave a refresh token.'),
    authorizationParameters: open(
      z.record(
        z.string().refine((name) => /^[a-z_]{1,50}$/.test(name) && !RESERVED.has(name), 'this parameter is ours'),
        Text,
      ),
    )
      .default({})
      .describe('More for the authorization request, as `access_type: offline`.'),
    groupsSource: open(GoogleDirectoryConfig.optional()).describe('Where groups are read that no token carries.'),
  })
  .meta({ id: 'OidcConfig' });
export type OidcConfig = z.infer<typeof OidcConfig>;

export const OidcSecrets = z
  .strictObject({
    clientSecret: secret(z.string().min(1).max(4_096).optional()),
    directoryKey: secret(z.string().max(10_000).optional()).describe('Private key (PEM) of Google’s service account.'),
  })
  .meta({ id: 'OidcSecrets' });
export type OidcSecrets = z.infer<typeof OidcSecrets>;
