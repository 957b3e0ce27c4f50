/**
 * What one agent has to enforce, from the project's rows: chunks as canonical JSON and the manifest that names them.
 * Pure, so that every replica makes the same bytes for the same (agent, epoch, revision). ADR 0005.
 * Refuses to sign, to send, or to emit a chunk that the agent's own strict parser would refuse.
 */
import { hash } from 'node:crypto';
import { wire } from '@sallyport/contract';
import { GatewayError } from '@sallyport/core';
import {
  type BundleChunkKind,
  type BundleGroup,
  type BundleSettings,
  CHUNK_PARSERS,
  type CredentialSource,
  type Grant,
  labelsMatch,
  needsSources,
  type Policy,
  type Resource,
  type Revocation,
  type TrustedIssuer,
  type VerificationKey,
} from '@sallyport/model';
import { canonicalJson } from './canonical.ts';

/** A project's state as read in one snapshot. Instants are UTC milliseconds. */
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

export interface CompiledChunk {
  readonly name: string;
  readonly digest: Buffer;
  readonly body: Buffer;
}

export interface CompiledBundle {
  readonly epoch: number;
  readonly revision: number;
  /** Encoded BundleManifest: these bytes are what is signed and sent. */
  readonly manifest: Buffer;
  readonly chunks: readonly CompiledChunk[];
  /** Stored credentials that the agent needs, in the order of their ids. */
  readonly credentialIds: readonly string[];
}

/** @throws GatewayError `bundle.malformed` when a row cannot be read by the agents' parser */
export function compileBundle(
  source: BundleSource,
  agent: { readonly id: string; readonly name: string },
): CompiledBundle {
  const resources = source.resources
    .filter((entry) => entry.agents.length === 0 || entry.agents.includes(agent.name))
    .map((entry) => entry.resource);
  const grants = source.grants.filter((grant) => isGrantUseful(grant, resources, source.createdAt));
  // An agent that knows PostgreSQL alone would refuse the word.
  const hasSsh = resources.some((resource) => resource.kind === 'ssh');
  // Every policy of the project: which resource one is about is the agent's to judge, and leaving one out would fail open.
  const policies = source.policies;
  const issuers = resources.some(({ issuerTokens }) => issuerTokens !== undefined) ? (source.issuers ?? []) : [];
  const chunks = [
    ...resources.map((body) => chunk('resource', body.id, body)),
    ...policies.map((body) => chunk('policy', body.id, body)),
    ...grants.map((body) => chunk('grant', body.id, body)),
    ...source.groups.map((body) => chunk('group', body.name, { ...body, members: [...new Set(body.members)].sort() })),
    ...source.keys
      .filter((key) => key.notAfter > source.createdAt && (key.use !== 'ssh_user' || hasSsh))
      .map((body) => chunk('key', body.kid, body)),
    ...issuers.map((body) => chunk('issuer', body.id, body)),
    chunk(
      'revocations',
      'all',
      [...source.revocations].sort(byText((entry) => `${entry.kind}/${entry.id}/${entry.before}`)),
    ),
    chunk('settings', 'all', source.settings),
  ].sort(byText((entry) => entry.name));
  const manifest = wire.BundleManifest.encode({
    format: 1,
    agentId: agent.id,
    projectId: source.projectId,
    epoch: source.epoch,
    revision: source.revision,
    createdAt: String(source.createdAt),
    requires: requiredCapabilities(resources, policies, grants, source.revocations),
    chunks: chunks.map(({ name, digest, body }) => ({ name, digest, size: body.length })),
  }).finish();
  const credentialIds = resources
    .flatMap(({ credential }) => [credential, ...(credential.admin === undefined ? [] : [credential.admin])])
    .flatMap((credential) => boxOf(credential) ?? []);
  return {
    epoch: source.epoch,
    revision: source.revision,
    manifest: Buffer.from(manifest.buffer, manifest.byteOffset, manifest.byteLength),
    chunks,
    credentialIds: [...new Set(credentialIds)].sort(),
  };
}

const byText =
  <T>(text: (entry: T) => string) =>
  (a: T, b: T): number =>
    text(a) < text(b) ? -1 : text(a) > text(b) ? 1 : 0;

function chunk(kind: BundleChunkKind, id: string, value: unknown): CompiledChunk {
  const name = `${kind}/${id}`;
  try {
    const body = Buffer.from(canonicalJson(CHUNK_PARSERS[kind](value, '')));
    return { name, digest: hash('sha256', body, 'buffer'), body };
  } catch (cause) {
    throw new GatewayError(
      'bundle.malformed',
      { chunk: name, why: cause instanceof Error ? cause.message : '' },
      { cause },
    );
  }
}

/** The id of the box a source may have; which there are is the rows' to say. */
const boxOf = ({ kind, reference }: CredentialSource): string | undefined =>
  kind === 'env' || kind === 'file' ? undefined : reference;

function isGrantUseful(grant: Grant, resources: readonly Resource[], nowMs: number): boolean {
  if (grant.notAfter !== undefined && grant.notAfter <= nowMs) return false;
  return resources.some(
    (resource) =>
      grant.resource === resource.name || (grant.labels !== undefined && labelsMatch(grant.labels, resource.labels)),
  );
}

/** What an agent must be able to do to enforce this; one that cannot refuses the manifest aloud. */
function requiredCapabilities(
  resources: readonly Resource[],
  policies: readonly Policy[],
  grants: readonly Grant[],
  revocations: readonly Revocation[],
): string[] {
  const approvals = policies.flatMap((policy) => [
    ...policy.rules.flatMap((rule) => rule.approval ?? []),
    ...(policy.budgets ?? []).flatMap((budget) => budget.approval ?? []),
  ]);
  const masks = policies.flatMap((policy) => policy.masks);
  const wanted: readonly (readonly [string, boolean])[] = [
    ['postgres.1', resources.some((resource) => resource.kind === 'postgres')],
    [
      'ssh.1',
      resources.some((resource) => resource.kind === 'ssh') ||
        grants.some(({ effects }) => effects.includes('forward')),
    ],
    ['policy.cel.1', policies.some((policy) => policy.rules.length > 0)],
    ['mask.columns.1', masks.some((mask) => (mask.columns?.length ?? 0) > 0)],
    ['mask.detect.1', masks.some((mask) => (mask.detect?.length ?? 0) > 0)],
    [
      'approval.once.1',
      resources.some((resource) => resource.exceeded === 'hold') ||
        policies.some((policy) => policy.rules.some((rule) => rule.verdict === 'hold')),
    ],
    [
      'approval.rules.1',
      approvals.some(
        (spec) => spec.requireReason === true || spec.escalate !== undefined || spec.quietHours !== undefined,
      ),
    ],
    [
      'approval.shape.1',
      approvals.some((spec) => spec.shape !== undefined) || revocations.some(({ kind }) => kind === 'approval'),
    ],
    ['approval.commit.1', approvals.some((spec) => spec.commit !== undefined)],
    ['budget.1', policies.some((policy) => (policy.budgets?.length ?? 0) > 0)],
    ['credential.sources.1', resources.some((resource) => needsSources(resource.credential))],
    ['trail.1', true],
    [
      'policy.auth.1',
      policies.some((policy) => policy.rules.some(({ when, unless = '' }) => /\bauth\b/.test(`${when} ${unless}`))),
    ],
    ['approval.step-up.1', policies.some((policy) => policy.rules.some((rule) => rule.approval?.stepUp !== undefined))],
    [
      'session.limits.1',
      resources.some((resource) => resource.idleMsMax !== undefined || resource.sessionMsMax !== undefined),
    ],
    ['identity.issuers.1', resources.some((resource) => resource.issuerTokens !== undefined)],
    ['review.1', grants.some((grant) => grant.reviewedUntil !== undefined || grant.confirmed !== undefined)],
  ];
  return wanted.filter(([, needed]) => needed).map(([name]) => name);
}
