/** The kinds of KMS there are: one line each. Refuses to know what a wrapped key is for. */
import { awsKms } from './aws-kms.ts';
import { azureKeys } from './azure-keys.ts';
import { gcpKms } from './gcp-kms.ts';
import type { Kms, KmsKind } from './kms.ts';
import { type Settings, type SourceHost, settingProblems } from './source.ts';
import { vaultTransit } from './vault-transit.ts';

const KINDS: ReadonlyMap<string, KmsKind> = new Map(
  [vaultTransit, awsKms, gcpKms, azureKeys].map((kind) => [kind.kind, kind]),
);
export const KMS_KINDS: readonly string[] = [...KINDS.keys()];

/** What is wrong with these settings of a kind, by name; empty = nothing. An unknown kind is the problem `kind`. */
export function kmsProblems(
  kind: string,
  settings: Settings,
): readonly { readonly setting: string; readonly message: string }[] {
  const known = KINDS.get(kind);
  if (known === undefined) return [{ setting: 'kind', message: `one of ${KMS_KINDS.join(', ')}` }];
  return settingProblems(known, settings);
}

/** @param kind one that `kmsProblems` found nothing wrong with */
export function openKms(name: string, kind: string, settings: Settings, host: SourceHost): Kms {
  const known = KINDS.get(kind);
  if (known === undefined) throw new TypeError('no such kind of KMS');
  return known.open(name, settings, host);
}
