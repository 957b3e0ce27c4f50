/** The places a credential may come from: one line each in `openSources`. */
import { awsRdsIamSource } from './aws-rds-iam.ts';
import { awsSecretsSource } from './aws-secrets.ts';
import { azureKeyVaultSource } from './azure-key-vault.ts';
import { gcpSecretSource } from './gcp-secret.ts';
import { envSource, fileSource } from './host-secrets.ts';
import type { CredentialSource, SourceHost } from './source.ts';
import { vaultSource } from './vault.ts';

export { headersOf, isTokenForm, staticCredential, tokenCredential } from './http/credential.ts';
export type { HttpForm, RequestCredential } from './http/form.ts';
export { TokenSlot } from './http/token-slot.ts';
export { fetchToken, type ServiceAccountAsk, serviceAccountToken } from './http/tokens.ts';
export type { Kms } from './kms.ts';
export { kmsProblems, openKms } from './kms-kinds.ts';
export {
  ASK_MS_MAX,
  type Ask,
  type CredentialSource,
  type Fetched,
  type Lease,
  SECRET_BYTES_MAX,
  type Settings,
  type SourceHost,
  settingProblems,
} from './source.ts';
export type { IssuedSshCertificate, SshCertificateAsk } from './ssh-certificate.ts';

/** By kind. @param host what they may read of the host they run on */
export function openSources(host: SourceHost): ReadonlyMap<string, CredentialSource> {
  const sources: readonly CredentialSource[] = [
    envSource(host),
    fileSource(host),
    vaultSource(host),
    awsSecretsSource(host),
    awsRdsIamSource(host),
    gcpSecretSource(host),
    azureKeyVaultSource(host),
  ];
  return new Map(sources.map((source) => [source.kind, source]));
}
