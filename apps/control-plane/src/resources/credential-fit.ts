/**
 * Whether a credential can be what a resource signs in with: its kind, and what its form needs. Pure.
 * Refuses to look at the secret: agents say what is wrong with that, at the first session and in `credentials test`.
 */
import type { ResourceDocument } from './resource-document.ts';

/** Made for one protocol alone. */
const ONLY_FOR: Readonly<Record<string, ResourceDocument['type']>> = {
  ephemeral: 'postgres',
  aws_rds_iam: 'postgres',
  ssh_ca: 'ssh',
};
/** Forms that send a user name (or client id) with the secret. */
const NAMED: ReadonlySet<string> = new Set(['basic', 'oauth', 'azure']);

/** @returns what is wrong with it; undefined = nothing */
export function credentialMisfit(
  document: ResourceDocument,
  credential: { readonly kind: string; readonly username: string; readonly certificate: boolean } | null,
): string | undefined {
  const { type } = document;
  const inject = (document.http ?? document.kubernetes ?? document.mcp)?.inject;
  if (credential === null)
    return inject === undefined || inject.as === 'none' ? undefined : `is needed: requests carry it as ${inject.as}`;
  if (inject?.as === 'none') return 'would go nowhere: say in `inject` how requests carry it';
  const only = ONLY_FOR[credential.kind];
  if (only !== undefined && only !== type) return `a credential of kind ${credential.kind} is for ${only} resources`;
  if (inject !== undefined && inject.as !== 'mtls' && credential.certificate)
    return 'is a certificate, which `inject: { as: mtls }` takes';
  const isNamed = type === 'postgres' || (inject !== undefined && NAMED.has(inject.as));
  if (isNamed && credential.kind === 'stored' && credential.username === '' && !credential.certificate)
    return 'has no user name, and one is sent with its secret';
  return undefined;
}
