/**
 * Google Cloud Secret Manager by the official client; who asks is Application Default Credentials of this host
 * (workload identity, an attached service account, or GOOGLE_APPLICATION_CREDENTIALS). API: AccessSecretVersion.
 */

import { askSdk, cloudSdk, SDK_MS_MAX } from './cloud-sdk.ts';
import {
  type CredentialSource,
  FIELD,
  pickFrom,
  type Setting,
  type Settings,
  type SourceHost,
  USERNAME_FIELD,
  unavailable,
} from './source.ts';

const KIND = 'gcp_secret';

/** The part of the SDK that is used. */
export interface GcpSdk {
  readonly SecretManagerServiceClient: new (options: {
    readonly fallback: boolean;
    readonly apiEndpoint?: string;
    readonly port?: number;
  }) => {
    accessSecretVersion(
      request: { readonly name: string },
      options: { readonly timeout: number; readonly maxRetries: number },
    ): Promise<readonly [{ readonly payload?: { readonly data?: Uint8Array | string | null } | null }, ...unknown[]]>;
    close(): Promise<void>;
  };
}

export const GCP_ENDPOINT: Setting = {
  pattern: /[A-Za-z0-9.-]{1,253}(:\d{1,5})?/,
  help: 'a regional endpoint’s host',
};

/** What a client of Google's is made with. REST: no second gRPC stack beside the link's. */
export function gcpAddress({ endpoint = '' }: Settings): {
  readonly fallback: boolean;
  readonly apiEndpoint?: string;
  readonly port?: number;
} {
  const [host = '', port] = endpoint.split(':');
  return {
    fallback: true,
    ...(host === '' ? {} : { apiEndpoint: host }),
    ...(port === undefined ? {} : { port: Number(port) }),
  };
}

export function gcpSecretSource(
  host: SourceHost,
  load: () => Promise<readonly [GcpSdk]> = () => cloudSdk<[GcpSdk]>(host, KIND, ['@google-cloud/secret-manager']),
): CredentialSource {
  return {
    kind: KIND,
    about: 'Google Cloud Secret Manager.',
    settings: {
      project: { required: true, pattern: /[a-z0-9:.-]{1,63}/, help: 'the project’s id or number' },
      secret: { required: true, pattern: /[A-Za-z0-9_-]{1,255}/, help: 'the secret’s name' },
      version: { pattern: /latest|\d{1,10}|[A-Za-z0-9_-]{1,63}/, help: 'a version or alias; latest when absent' },
      endpoint: GCP_ENDPOINT,
      field: FIELD,
      username_field: USERNAME_FIELD,
    },
    perSession: () => false,
    fetch: async (ask) => {
      const { project, secret, version = 'latest' } = ask.settings;
      const [sdk] = await load();
      const client = new sdk.SecretManagerServiceClient(gcpAddress(ask.settings));
      try {
        const name = `projects/${project}/secrets/${secret}/versions/${version}`;
        const [answer] = await askSdk(KIND, () =>
          client.accessSecretVersion({ name }, { timeout: SDK_MS_MAX, maxRetries: 1 }),
        );
        const data = answer.payload?.data;
        if (data === undefined || data === null) throw unavailable(KIND, 'the version has no payload');
        return pickFrom(KIND, typeof data === 'string' ? data : Buffer.from(data).toString('utf8'), ask);
      } finally {
        await client.close();
      }
    },
  };
}
