/**
 * What an agent must be able to do to enforce a bundle or a part of one; one that cannot refuses the manifest aloud.
 * A new restriction stands here under a name of its own: a year-old agent would not know what it drops. Pure.
 */
import { type Grant, needsSources, type Policy, type Resource, type Revocation } from '@sallyport/model';

const HTTP_KINDS = ['http', 'kubernetes', 'mcp'] as const;

/** Of a bundle these are the union of its parts', in this order. */
export interface BundleParts {
  readonly resources?: readonly Resource[];
  readonly policies?: readonly Policy[];
  readonly grants?: readonly Grant[];
  readonly revocations?: readonly Revocation[];
}

export function requiredCapabilities({
  resources = [],
  policies = [],
  grants = [],
  revocations = [],
}: BundleParts): readonly string[] {
  return capabilitiesOf(resources, policies, grants, revocations)
    .filter(([, needed]) => needed)
    .map(([name]) => name);
}

/** Every name there is, in the order in which manifests list them. */
const ORDER: ReadonlyMap<string, number> = new Map(
  [...capabilitiesOf([], [], [], []).map(([name]) => name), 'group.parts.1', 'bundle.pages.1'].map((name, i) => [
    name,
    i,
  ]),
);

/** @param needs of all parts @returns each once, in the order of manifests */
export const inManifestOrder = (needs: Iterable<string>): readonly string[] =>
  [...new Set(needs)].sort((a, b) => (ORDER.get(a) ?? 0) - (ORDER.get(b) ?? 0));

function capabilitiesOf(
  resources: readonly Resource[],
  policies: readonly Policy[],
  grants: readonly Grant[],
  revocations: readonly Revocation[],
): readonly (readonly [string, boolean])[] {
  const approvals = policies.flatMap((policy) => [
    ...policy.rules.flatMap((rule) => rule.approval ?? []),
    ...(policy.budgets ?? []).flatMap((budget) => budget.approval ?? []),
  ]);
  const masks = policies.flatMap((policy) => policy.masks);
  return [
    ['postgres.1', resources.some((resource) => resource.kind === 'postgres')],
    [
      'ssh.1',
      resources.some((resource) => resource.kind === 'ssh') ||
        grants.some(({ effects }) => effects.includes('forward')),
    ],
    ...HTTP_KINDS.map((kind) => [`${kind}.1`, resources.some((resource) => resource.kind === kind)] as const),
    [
      'policy.http.1',
      policies.some((policy) =>
        policy.rules.some(({ when, unless = '' }) => /\b(http|body|k8s|mcp)\./.test(`${when} ${unless}`)),
      ),
    ],
    [
      'policy.overwrites.1',
      policies.some((policy) =>
        policy.rules.some(({ when, unless = '' }) => /\boverwrites\b/.test(`${when} ${unless}`)),
      ),
    ],
    [
      'mask.http.1',
      masks.some(
        ({ json = [], headers = [], kubernetes = [] }) => json.length + headers.length + kubernetes.length > 0,
      ),
    ],
    ['mask.streams.1', resources.some(({ http }) => (http?.streams?.length ?? 0) > 0)],
    ['http.documents.1', resources.some(({ http }) => http?.documents !== undefined)],
    ['mcp.media.1', resources.some(({ mcp }) => mcp?.media !== undefined)],
    ['mcp.accepted.1', resources.some(({ mcp }) => mcp?.accepted !== undefined)],
    ['mcp.streams.1', resources.some(({ mcp }) => (mcp?.streams?.length ?? 0) > 0)],
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
    [
      'approval.commit.1',
      approvals.some((spec) => spec.commit !== undefined) ||
        resources.some((resource) => resource.wrapAutocommit === true),
    ],
    ['budget.1', policies.some((policy) => (policy.budgets?.length ?? 0) > 0)],
    ['credential.sources.1', resources.some((resource) => needsSources(resource.credential))],
    // Of every bundle, whatever is in it.
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
}
