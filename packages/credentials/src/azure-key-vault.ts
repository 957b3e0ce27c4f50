/**
 * Azure Key Vault secrets by the official client; who asks is DefaultAzureCredential of this host (workload or managed
 * identity, or variables). API: Get Secret.
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

const KIND = 'azure_key_vault';

/** The parts of the SDKs that are used. */
export type AzureSdk = readonly [
  {
    readonly SecretClient: new (
      url: string,
      credential: object,
    ) => {
      getSecret(
        name: string,
        options: { readonly version?: string; readonly abortSignal: AbortSignal },
      ): Promise<{ readonly value?: string | undefined }>;
    };
  },
  { readonly DefaultAzureCredential: new () => object },
];

export function azureKeyVaultSource(
  host: SourceHost,
  load: () => Promise<AzureSdk> = () => cloudSdk<AzureSdk>(host, KIND, ['@azure/keyvault-secrets', '@azure/identity']),
): CredentialSource {
  return {
    kind: KIND,
    about: 'Azure Key Vault.',
    settings: {
      vault_url: { ...ENDPOINT, required: true, help: 'https://<name>.vault.azure.net' },
      secret: { required: true, pattern: /[A-Za-z0-9-]{1,127}/, help: 'the secret’s name' },
      version: { pattern: /[a-f0-9]{1,64}/, help: 'the newest when absent' },
      field: FIELD,
      username_field: USERNAME_FIELD,
    },
    perSession: () => false,
    fetch: async (ask) => {
      const { vault_url: url, secret, version } = ask.settings;
      const [keyVault, identity] = await load();
      const answer = await askSdk(KIND, (abortSignal) => {
        const client = new keyVault.SecretClient(url ?? '', new identity.DefaultAzureCredential());
        return client.getSecret(secret ?? '', { ...(version === undefined ? {} : { version }), abortSignal });
      });
      if (answer.value === undefined) throw unavailable(KIND, 'the secret has no value');
      return pickFrom(KIND, answer.value, ask);
    },
  };
}
