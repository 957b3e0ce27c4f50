/**
 * AWS KMS as a KMS, by the official SDK: the key never leaves it. Who asks is AWS's own default chain at this host, as with
 * its secrets. The encryption context is authenticated, and Decrypt names the key. API: Encrypt, Decrypt.
 */
import { Secret } from '@sallyport/core';
import { AWS_REGION } from './aws-secrets.ts';
import { askSdk, cloudSdk } from './cloud-sdk.ts';
import { KMS_CONTEXT, type KmsKind, requireKey, requireWrapped } from './kms.ts';
import { ENDPOINT, type Settings, type SourceHost } from './source.ts';

const KIND = 'aws_kms';

interface AwsKmsClient {
  send(
    command: object,
    options: { readonly abortSignal: AbortSignal },
  ): Promise<{ readonly CiphertextBlob?: Uint8Array; readonly Plaintext?: Uint8Array }>;
  destroy(): void;
}
/** The part of the SDK that is used. */
export interface AwsKmsSdk {
  readonly KMSClient: new (config: {
    readonly region: string;
    readonly maxAttempts: number;
    readonly endpoint?: string;
  }) => AwsKmsClient;
  readonly EncryptCommand: new (input: object) => object;
  readonly DecryptCommand: new (input: object) => object;
}

export const awsKms: KmsKind = {
  kind: KIND,
  about: 'AWS KMS, a symmetric key.',
  settings: {
    region: { ...AWS_REGION, required: true },
    key: { required: true, pattern: /[A-Za-z0-9/_:-]{1,512}/, help: 'id or ARN of the key, or alias/<name>' },
    endpoint: { ...ENDPOINT, help: 'a VPC endpoint' },
  },
  open: (name, settings, host) => {
    const about = { KeyId: settings['key'], EncryptionContext: { purpose: KMS_CONTEXT } };
    return {
      name,
      wrap: (key) =>
        asked(host, settings, async ({ EncryptCommand }, send) => {
          const answer = await send(new EncryptCommand({ ...about, Plaintext: key.reveal() }));
          return requireWrapped(KIND, answer.CiphertextBlob);
        }),
      unwrap: (wrapped) =>
        asked(host, settings, async ({ DecryptCommand }, send) => {
          const answer = await send(
            new DecryptCommand({ ...about, CiphertextBlob: Buffer.from(wrapped, 'base64url') }),
          );
          return new Secret(requireKey(KIND, answer.Plaintext));
        }),
    };
  },
};

async function asked<T>(
  host: SourceHost,
  settings: Settings,
  work: (sdk: AwsKmsSdk, send: (command: object) => ReturnType<AwsKmsClient['send']>) => Promise<T>,
): Promise<T> {
  const { region = '', endpoint } = settings;
  const [sdk] = await cloudSdk<[AwsKmsSdk]>(host, KIND, ['@aws-sdk/client-kms']);
  const client = new sdk.KMSClient({ region, maxAttempts: 2, ...(endpoint === undefined ? {} : { endpoint }) });
  try {
    return await askSdk(KIND, (abortSignal) => work(sdk, (command) => client.send(command, { abortSignal })));
  } finally {
    client.destroy();
  }
}
