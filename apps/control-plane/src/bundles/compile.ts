/**
 * What one agent has to enforce, from the project's rows: chunks as canonical JSON and the manifest that names them.
 * Pure, so that every replica makes the same bytes for the same (agent, epoch, revision). ADR 0005 and 0029.
 * Made at once here; bundles.service.ts keeps a catalog and views and makes the same bytes from what changed.
 */
import type {
  BundleGroup,
  BundleSettings,
  Grant,
  Policy,
  Resource,
  Revocation,
  TrustedIssuer,
  VerificationKey,
} from '@sallyport/model';
import { Catalog, type Document } from './catalog.ts';
import { manifestFor, View } from './view.ts';

/**
 * A project's state as read in one snapshot. Instants are UTC milliseconds. What it holds is never changed in place: what
 * is the same object as in an earlier state is the same.
 */
export interface BundleSource {
  readonly projectId: string;
  readonly epoch: number;
  readonly revision: number;
  /** When the revision was made: also what "expired" is measured against, so that replicas agree. */
  readonly createdAt: number;
  readonly resources: readonly { readonly resource: Resource; readonly agents: readonly string[] }[];
  readonly policies: readonly Policy[];
  readonly grants: readonly Grant[];
  readonly groups: readonly BundleGroup[];
  readonly keys: readonly VerificationKey[];
  /** Absent = none. */
  readonly issuers?: readonly TrustedIssuer[];
  readonly revocations: readonly Revocation[];
  readonly settings: BundleSettings;
}

export interface CompiledBundle {
  readonly epoch: number;
  readonly revision: number;
  /** Encoded BundleManifest: these bytes are what is signed and sent. */
  readonly manifest: Buffer;
  /** By name. */
  readonly chunks: readonly Pick<Document, 'name' | 'digest' | 'body'>[];
  /** Of a large bundle: what lists the chunks. */
  readonly pages: readonly { readonly digest: Buffer; readonly body: Buffer }[];
  /** Stored credentials that the agent needs, in the order of their ids. */
  readonly credentialIds: readonly string[];
}

export interface CompiledFor {
  readonly id: string;
  readonly name: string;
  /** It reads a manifest of pages. */
  readonly pages: boolean;
}

/** @throws GatewayError `bundle.malformed` when a row cannot be read by the agents' parser */
export function compileBundle(source: BundleSource, agent: CompiledFor): CompiledBundle {
  const catalog = new Catalog();
  catalog.update(source);
  const edition = new View(catalog.documents(), agent.name).edition(source);
  return {
    epoch: source.epoch,
    revision: source.revision,
    manifest: manifestFor(edition, agent),
    chunks: [...edition.documents].sort((a, b) => (a.name < b.name ? -1 : 1)),
    pages: edition.pages(),
    credentialIds: edition.credentialIds,
  };
}
