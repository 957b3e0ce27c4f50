/**
 * What an agent must be able to do to enforce a bundle or a part of one; one that cannot refuses the manifest aloud.
 * A new restriction stands here under a name of its own: a year-old agent would not know what it drops. Pure.
 */
import { type Grant, needsSources, type Policy, type Resource, type Revocation, type Rule } from '@sallyport/model';

const HTTP_KINDS = ['http', 'kubernetes', 'mcp'] as const;

/** Of a bundle these are the union of its parts', in this order. */
export interface BundleParts {
  readonly resources?: readonly Resource[];
  readonly policies?: readonly Policy[];
  readonly grants?: readonly Grant[];
  readonly revocations?: readonly Revocation[];
}

/** What asks for a capability: one of these is enough, and one without any is asked for by every bundle. */
interface Asked {
  readonly name: string;
  readonly by?: {
    readonly resource?: (resource: Resource) => boolean;
    readonly policy?: (policy: Policy) => boolean;
    readonly grant?: (grant: Grant) => boolean;
    readonly revocation?: (revocation: Revocation) => boolean;
  };
}

const someRule = (policy: Policy, is: (rule: Rule) => boolean): boolean => policy.rules.some(is);
const someRuleSays = (word: RegExp) => (policy: Policy) =>
  someRule(policy, ({ when, unless = '' }) => word.test(`${when} ${unless}`));
const someMask = (is: (mask: Policy['masks'][number]) => boolean) => (policy: Policy) => policy.masks.some(is);
const someApproval = (is: (spec: NonNullable<Rule['approval']>) => boolean) => (policy: Policy) =>
  policy.rules.some(({ approval }) => approval !== undefined && is(approval)) ||
  (policy.budgets ?? []).some(({ approval }) => approval !== undefined && is(approval));
const isSome = (list: readonly unknown[] | undefined): boolean => (list?.length ?? 0) > 0;

/** In the order in which manifests list them. */
const ASKED: readonly Asked[] = [
  { name: 'postgres.1', by: { resource: ({ kind }) => kind === 'postgres' } },
  {
    name: 'ssh.1',
    by: { resource: ({ kind }) => kind === 'ssh', grant: ({ effects }) => effects.includes('forward') },
  },
  ...HTTP_KINDS.map((own): Asked => ({ name: `${own}.1`, by: { resource: ({ kind }) => kind === own } })),
  { name: 'policy.http.1', by: { policy: someRuleSays(/\b(http|body|k8s|mcp)\./) } },
  { name: 'policy.overwrites.1', by: { policy: someRuleSays(/\boverwrites\b/) } },
  {
    name: 'mask.http.1',
    by: { policy: someMask(({ json, headers, kubernetes }) => isSome(json) || isSome(headers) || isSome(kubernetes)) },
  },
  { name: 'mask.streams.1', by: { resource: ({ http }) => isSome(http?.streams) } },
  { name: 'http.documents.1', by: { resource: ({ http }) => http?.documents !== undefined } },
  { name: 'mcp.media.1', by: { resource: ({ mcp }) => mcp?.media !== undefined } },
  { name: 'mcp.accepted.1', by: { resource: ({ mcp }) => mcp?.accepted !== undefined } },
  { name: 'mcp.streams.1', by: { resource: ({ mcp }) => isSome(mcp?.streams) } },
  { name: 'policy.cel.1', by: { policy: ({ rules }) => rules.length > 0 } },
  { name: 'mask.columns.1', by: { policy: someMask(({ columns }) => isSome(columns)) } },
  { name: 'mask.detect.1', by: { policy: someMask(({ detect }) => isSome(detect)) } },
  {
    name: 'approval.once.1',
    by: {
      resource: ({ exceeded }) => exceeded === 'hold',
      policy: (policy) => someRule(policy, ({ verdict }) => verdict === 'hold'),
    },
  },
  {
    name: 'approval.rules.1',
    by: {
      policy: someApproval(
        ({ requireReason, escalate, quietHours }) =>
          requireReason === true || escalate !== undefined || quietHours !== undefined,
      ),
    },
  },
  {
    name: 'approval.shape.1',
    by: { policy: someApproval(({ shape }) => shape !== undefined), revocation: ({ kind }) => kind === 'approval' },
  },
  {
    name: 'approval.commit.1',
    by: {
      policy: someApproval(({ commit }) => commit !== undefined),
      resource: ({ wrapAutocommit }) => wrapAutocommit === true,
    },
  },
  { name: 'budget.1', by: { policy: ({ budgets }) => isSome(budgets) } },
  { name: 'credential.sources.1', by: { resource: ({ credential }) => needsSources(credential) } },
  { name: 'trail.1' },
  { name: 'policy.auth.1', by: { policy: someRuleSays(/\bauth\b/) } },
  {
    name: 'approval.step-up.1',
    by: { policy: (policy) => someRule(policy, ({ approval }) => approval?.stepUp !== undefined) },
  },
  {
    name: 'session.limits.1',
    by: { resource: ({ idleMsMax, sessionMsMax }) => idleMsMax !== undefined || sessionMsMax !== undefined },
  },
  { name: 'identity.issuers.1', by: { resource: ({ issuerTokens }) => issuerTokens !== undefined } },
  {
    name: 'review.1',
    by: { grant: ({ reviewedUntil, confirmed }) => reviewedUntil !== undefined || confirmed !== undefined },
  },
];

/** @returns names in the order in which manifests list them */
export function requiredCapabilities({ resources, policies, grants, revocations }: BundleParts): readonly string[] {
  return ASKED.filter(
    ({ by }) =>
      by === undefined ||
      (by.resource !== undefined && resources?.some(by.resource) === true) ||
      (by.policy !== undefined && policies?.some(by.policy) === true) ||
      (by.grant !== undefined && grants?.some(by.grant) === true) ||
      (by.revocation !== undefined && revocations?.some(by.revocation) === true),
  ).map(({ name }) => name);
}

const ORDER: ReadonlyMap<string, number> = new Map(
  [...ASKED.map(({ name }) => name), 'group.parts.1', 'bundle.pages.1'].map((name, i) => [name, i]),
);

/** @param needs of all parts @returns each once, in the order of manifests */
export const inManifestOrder = (needs: Iterable<string>): readonly string[] =>
  [...new Set(needs)].sort((a, b) => (ORDER.get(a) ?? 0) - (ORDER.get(b) ?? 0));
