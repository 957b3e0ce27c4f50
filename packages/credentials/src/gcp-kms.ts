/**
 * Google Cloud KMS as a KMS, by the official client: the key never leaves it. Who asks is Application Default Credentials of
 * this host. What is bound is authenticated beside the text; which version of the key wrapped, the service knows by itself.
 * API: CryptoKeys, Encrypt and Decrypt.
 */
import { Secret } from '@sallyport/core';
import { askSdk, cloudSdk, SDK_MS_MAX } from './cloud-sdk.ts';
import { GCP_ENDPOINT, gcpAddress } from './gcp-secret.ts';
import { KMS_CONTEXT, type KmsKind, requireKey, requireWrapped } from './kms.ts';
import { type Settings, type SourceHost } from './source.ts';

const KIND = 'gcp_kms';
const PART = /[A-Za-z0-9_-]{1,63}/;

/** What a symmetric key is asked for. */
interface Request {
  readonly name: string;
  readonly additionalAuthenticatedData: Uint8Array;
  readonly plaintext?: Uint8Array;
  readonly ciphertext?: Uint8Array;
}
interface Options {
  readonly timeout: number;
  readonly maxRetries: number;
}
type Bytes = Uint8Array | string | null | undefined;
interface GcpKmsClient {
  encrypt(request: Request, options: Options): Promise<readonly [{ readonly ciphertext?: Bytes }, ...unknown[]]>;
  decrypt(request: Request, options: Options): Promise<readonly [{ readonly plaintext?: Bytes }, ...unknown[]]>;
  close(): Promise<void>;
}
/** The part of the SDK that is used. */
export interface GcpKmsSdk {
  readonly KeyManagementServiceClient: new (options: {
    readonly fallback: boolean;
    readonly apiEndpoint?: string;
    readonly port?: number;
  }) => GcpKmsClient;
}

export const gcpKms: KmsKind = {
  kind: KIND,
  about: 'Google Cloud KMS, a symmetric key.',
  settings: {
    project: { required: true, pattern: /[a-z0-9:.-]{1,63}/, help: 'the project’s id or number' },
    location: { required: true, pattern: /[a-z0-9-]{1,63}/, help: 'where the key ring is, as europe-west3' },
    key_ring: { required: true, pattern: PART, help: 'the key ring’s name' },
    key: { required: true, pattern: PART, help: 'the key’s name' },
    endpoint: GCP_ENDPOINT,
  },
  open: (name, settings, host) => {
    const { project, location, key_ring: ring, key } = settings;
    const about = {
      name: `projects/${project}/locations/${location}/keyRings/${ring}/cryptoKeys/${key}`,
      additionalAuthenticatedData: Buffer.from(KMS_CONTEXT),
    };
    return {
      name,
      wrap: (kek) =>
        asked(host, settings, async (client, options) => {
          const [answer] = await client.encrypt({ ...about, plaintext: kek.reveal() }, options);
          return requireWrapped(KIND, bytesOf(answer.ciphertext));
        }),
      unwrap: (wrapped) =>
        asked(host, settings, async (client, options) => {
          const [answer] = await client.decrypt({ ...about, ciphertext: Buffer.from(wrapped, 'base64url') }, options);
          return new Secret(requireKey(KIND, bytesOf(answer.plaintext)));
        }),
    };
  },
};

async function asked<T>(
  host: SourceHost,
  settings: Settings,
  work: (client: GcpKmsClient, options: Options) => Promise<T>,
): Promise<T> {
  const [sdk] = await cloudSdk<[GcpKmsSdk]>(host, KIND, ['@google-cloud/kms']);
  const client = new sdk.KeyManagementServiceClient(gcpAddress(settings));
  try {
    return await askSdk(KIND, () => work(client, { timeout: SDK_MS_MAX, maxRetries: 1 }));
  } finally {
    await client.close();
  }
}

/** Over REST the client gives bytes as it finds them: text is base64. */
const bytesOf = (value: Bytes): Uint8Array | undefined =>
  typeof value === 'string' ? Buffer.from(value, 'base64') : (value ?? undefined);
