/**
 * AWS Secrets Manager by the official SDK; who asks is AWS's own default chain at this host (role of the instance, of the
 * pod, or variables). API: GetSecretValue.
 */
import { askSdk, cloudSdk } from './cloud-sdk.ts';
import {
  type CredentialSource,
  ENDPOINT,
  FIELD,
  pickFrom,
  type SourceHost,
  USERNAME_FIELD,
  unavailable,
} from './source.ts';

const KIND = 'aws_secrets';
export const AWS_REGION = { pattern: /[a-z]{2}(-[a-z]+)+-\d/, help: 'a region, as eu-central-1' };

/** The part of the SDK that is used. */
interface SecretsManagerSdk {
  readonly SecretsManagerClient: new (config: {
    readonly region: string;
    readonly maxAttempts: number;
    readonly endpoint?: string;
  }) => {
    send(
      command: object,
      options: { readonly abortSignal: AbortSignal },
    ): Promise<{ readonly SecretString?: string | undefined }>;
    destroy(): void;
  };
  readonly GetSecretValueCommand: new (input: {
    readonly SecretId: string | undefined;
    readonly VersionStage?: string;
  }) => object;
}

export function awsSecretsSource(host: SourceHost): CredentialSource {
  return {
    kind: KIND,
    about: 'AWS Secrets Manager.',
    settings: {
      region: { ...AWS_REGION, required: true },
      secret_id: { required: true, pattern: /[A-Za-z0-9/_+=.@:-]{1,512}/, help: 'name or ARN of the secret' },
      version_stage: { pattern: /[A-Za-z0-9_-]{1,256}/, help: 'AWSCURRENT when absent' },
      endpoint: { ...ENDPOINT, help: 'a VPC endpoint' },
      field: FIELD,
      username_field: USERNAME_FIELD,
    },
    perSession: () => false,
    fetch: async (ask) => {
      const { region, secret_id: secretId, version_stage: stage, endpoint } = ask.settings;
      const [sdk] = await cloudSdk<[SecretsManagerSdk]>(host, KIND, ['@aws-sdk/client-secrets-manager']);
      const client = new sdk.SecretsManagerClient({
        region: region ?? '',
        maxAttempts: 2,
        ...(endpoint === undefined ? {} : { endpoint }),
      });
      try {
        const command = new sdk.GetSecretValueCommand({
          SecretId: secretId,
          ...(stage === undefined ? {} : { VersionStage: stage }),
        });
        const answer = await askSdk(KIND, (abortSignal) => client.send(command, { abortSignal }));
        if (answer.SecretString === undefined) throw unavailable(KIND, 'the secret is no text');
        return pickFrom(KIND, answer.SecretString, ask);
      } finally {
        client.destroy();
      }
    },
  };
}
