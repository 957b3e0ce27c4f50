/**
 * Amazon RDS IAM authentication: a token signed here, good for 15 minutes and for one user on one server, instead of a
 * password. Needs `rds_iam` granted to the role, TLS, and `auth: [password]` on the resource, as AWS has the server ask.
 */
import { Secret } from '@sallyport/core';
import { AWS_REGION } from './aws-secrets.ts';
import { askSdk, cloudSdk } from './cloud-sdk.ts';
import { type CredentialSource, type SourceHost, unavailable } from './source.ts';

const KIND = 'aws_rds_iam';
const LIFE_MS = 15 * 60_000;

/** The part of the SDK that is used. */
interface RdsSignerSdk {
  readonly Signer: new (config: {
    readonly hostname: string;
    readonly port: number;
    readonly username: string;
    readonly region: string;
  }) => { getAuthToken(): Promise<string> };
}

export function awsRdsIamSource(host: SourceHost): CredentialSource {
  return {
    kind: KIND,
    about: 'Amazon RDS IAM tokens, signed at each sign-in.',
    settings: {
      region: { ...AWS_REGION, required: true },
      host: { pattern: /[A-Za-z0-9.-]{1,253}/, help: 'the server as RDS names it; the resource’s host when absent' },
      port: { pattern: /\d{1,5}/, help: 'the resource’s port when absent' },
    },
    perSession: () => true,
    fetch: async (ask) => {
      const hostname = ask.settings['host'] ?? ask.target?.host;
      const port = Number(ask.settings['port'] ?? ask.target?.port ?? 5432);
      if (hostname === undefined || hostname === '') throw unavailable(KIND, 'the server’s name is not known');
      if (ask.username === '') throw unavailable(KIND, 'a user name is needed');
      const [{ Signer }] = await cloudSdk<[RdsSignerSdk]>(host, KIND, ['@aws-sdk/rds-signer']);
      const token = await askSdk(KIND, async () =>
        new Signer({ hostname, port, username: ask.username, region: ask.settings['region'] ?? '' }).getAuthToken(),
      );
      return { username: ask.username, secret: new Secret(token), expiresAtMs: host.nowMs() + LIFE_MS };
    },
  };
}
