/**
 * A key of Azure Key Vault or Managed HSM as a KMS, by the official clients: its private half never leaves it. Who asks is
 * DefaultAzureCredential of this host. A version of the key wraps, so its name stands before what it wrapped.
 * Key Vault binds nothing beside the key: what it unwraps is compared with the key's own id by who keeps it.
 * API: Get Key, Wrap Key, Unwrap Key.
 */
import { Secret } from '@sallyport/core';
import { askSdk, cloudSdk } from './cloud-sdk.ts';
import { type KmsKind, requireKey, requireWrapped } from './kms.ts';
import { ENDPOINT, type SourceHost, unavailable } from './source.ts';

const KIND = 'azure_keys';
const WRAPPED = /^([0-9a-f]{1,64})\.([A-Za-z0-9_-]+)$/;

interface Options {
  readonly abortSignal: AbortSignal;
}
/** The parts of the SDKs that are used. */
export type AzureKeysSdk = readonly [
  {
    readonly KeyClient: new (
      url: string,
      credential: object,
    ) => {
      getKey(name: string, options: Options): Promise<{ readonly properties: { readonly version?: string } }>;
    };
    readonly CryptographyClient: new (
      keyId: string,
      credential: object,
    ) => {
      wrapKey(algorithm: string, key: Uint8Array, options: Options): Promise<{ readonly result?: Uint8Array }>;
      unwrapKey(algorithm: string, wrapped: Uint8Array, options: Options): Promise<{ readonly result?: Uint8Array }>;
    };
  },
  { readonly DefaultAzureCredential: new () => object },
];

const officialSdk = (host: SourceHost): Promise<AzureKeysSdk> =>
  cloudSdk<AzureKeysSdk>(host, KIND, ['@azure/keyvault-keys', '@azure/identity']);

export const azureKeys = azureKeysBy(officialSdk);

/** @param load for tests, where nobody signs in to Azure */
export function azureKeysBy(load: (host: SourceHost) => Promise<AzureKeysSdk>): KmsKind {
  return {
    kind: KIND,
    about: 'Azure Key Vault or Managed HSM, a key.',
    settings: {
      vault_url: { ...ENDPOINT, required: true, help: 'https://<name>.vault.azure.net, or a Managed HSM’s' },
      key: { required: true, pattern: /[A-Za-z0-9-]{1,127}/, help: 'the key’s name' },
      algorithm: { pattern: /RSA-OAEP-256|A256KW/, help: 'RSA-OAEP-256 (when absent), or A256KW for a key of an HSM' },
    },
    open: (name, settings, host) => {
      const { vault_url: url = '', key = '', algorithm = 'RSA-OAEP-256' } = settings;
      const asked = async <T>(
        work: (sdk: AzureKeysSdk[0], credential: object, options: Options) => Promise<T>,
      ): Promise<T> => {
        const [keys, identity] = await load(host);
        return await askSdk(KIND, (abortSignal) => work(keys, new identity.DefaultAzureCredential(), { abortSignal }));
      };
      const keyId = (version: string): string => new URL(`keys/${key}/${version}`, `${url.replace(/\/$/, '')}/`).href;
      return {
        name,
        wrap: (kek) =>
          asked(async ({ KeyClient, CryptographyClient }, credential, options) => {
            const { version } = (await new KeyClient(url, credential).getKey(key, options)).properties;
            if (version === undefined) throw unavailable(KIND, 'the key has no version');
            const client = new CryptographyClient(keyId(version), credential);
            const { result } = await client.wrapKey(algorithm, kek.reveal(), options);
            return `${version}.${requireWrapped(KIND, result)}`;
          }),
        unwrap: (wrapped) =>
          asked(async ({ CryptographyClient }, credential, options) => {
            const [, version = '', text = ''] = WRAPPED.exec(wrapped) ?? [];
            if (version === '') throw unavailable(KIND, 'that is nothing it wrapped');
            const client = new CryptographyClient(keyId(version), credential);
            const { result } = await client.unwrapKey(algorithm, Buffer.from(text, 'base64url'), options);
            return new Secret(requireKey(KIND, result));
          }),
      };
    },
  };
}
