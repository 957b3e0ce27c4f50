/**
 * A trust rule as it is written: whose tokens, for which audience, with which claims, and which principal they make.
 * Refuses a rule that would believe everybody of an issuer that serves the whole world.
 */
import { placeholdersOf } from '@sallyport/model';
import { z } from 'zod';
import { GroupName, Name, open } from '../../http/schema.ts';
import { isPrivate, KeySet, usableKey } from './public-keys.ts';

export const TRUST_KINDS = ['oidc', 'kubernetes', 'github', 'gitlab', 'spiffe'] as const;
export type TrustKind = (typeof TRUST_KINDS)[number];

/** One of these has to be pinned: the issuer alone says nothing about who it is. `sub` counts everywhere. */
const NARROW: Readonly<Record<TrustKind, readonly string[] | undefined>> = {
  oidc: undefined,
  kubernetes: ['sub', 'kubernetes.io/namespace', 'kubernetes.io/serviceaccount/uid'],
  github: ['sub', 'repository', 'repository_id', 'repository_owner', 'repository_owner_id', 'enterprise_id'],
  gitlab: ['sub', 'project_path', 'project_id', 'namespace_path', 'namespace_id'],
  spiffe: ['sub'],
};
/** Issuers that sign for everybody, whatever kind the rule says. */
const PUBLIC_ISSUERS: Readonly<Record<string, TrustKind>> = {
  'https://token.actions.githubusercontent.com': 'github',
  'https://gitlab.com': 'gitlab',
};

const Pattern = z.string().min(1).max(300);
const Pem = z
  .string()
  .max(64 * 1024)
  .regex(/^-----BEGIN CERTIFICATE-----/, 'a PEM certificate is expected');
const Uploaded = KeySet.superRefine((set, context) => {
  if (set.keys.some(isPrivate))
    context.addIssue({ code: 'custom', message: 'these are private keys: give the public ones, and replace these' });
  else if (!set.keys.some((key) => usableKey(key) !== undefined))
    context.addIssue({
      code: 'custom',
      message: 'none of these is a public key that signs (RSA from 2048 bits, P-256 to P-521, Ed25519)',
    });
});
const KeySource = z.discriminatedUnion('from', [
  z.strictObject({ from: z.literal('discovery'), ca: Pem.optional() }),
  z.strictObject({ from: z.literal('url'), url: z.string().max(1_000), ca: Pem.optional() }),
  z.strictObject({ from: z.literal('upload'), keys: Uploaded }),
]);

const Base = z.strictObject({
  name: open(Name),
  kind: open(z.enum(TRUST_KINDS).default('oidc')),
  issuer: open(z.string().min(1).max(500)).describe(
    '`iss` of the tokens; of spiffe the trust domain, as spiffe://example.org.',
  ),
  audiences: open(z.array(z.string().min(1).max(500)).min(1).max(10)).describe('One of them has to be in `aud`.'),
  keys: open(KeySource.default({ from: 'discovery' })).describe('Where the issuer’s public keys come from.'),
  claims: open(
    z
      .record(z.string().min(1).max(200), z.union([Pattern, z.array(Pattern).min(1).max(50)]))
      .refine((claims) => Object.keys(claims).length <= 30, 'at most 30 claims'),
  ).describe(
    'Claim, or path with /, and the pattern or patterns it has to match: * stands for anything but / and :, ** for anything.',
  ),
  principal: open(z.string().min(1).max(300)).describe('The principal’s name; {claim} puts a claim in.'),
  create: open(
    z
      .strictObject({ kind: z.enum(['service', 'ai_agent']), groups: z.array(GroupName).max(20).default([]) })
      .optional(),
  ).describe('Principals of a template are made at their first sign-in.'),
  maxAgeSeconds: open(z.number().int().min(60).max(86_400).default(3_600)).describe(
    'Older or longer-lived tokens are refused.',
  ),
  oneTime: open(z.boolean().default(false)).describe(
    'Each token is good once, by its `jti`; one without is refused. Agents then take no token of this issuer themselves.',
  ),
  enabled: open(z.boolean().default(true)),
});
export const TrustRuleFields = Base;

const isNarrow = (pattern: string | readonly string[]): boolean =>
  [pattern].flat().every((one) => one.replaceAll('*', '').length >= 3);

export const TrustRuleDocument = Base.superRefine((rule, context) => {
  const complain = (path: string, message: string): void => context.addIssue({ code: 'custom', path: [path], message });
  const kind = PUBLIC_ISSUERS[rule.issuer.replace(/\/+$/, '')] ?? rule.kind;
  if (kind !== rule.kind) complain('kind', `this issuer is of kind ${kind}`);
  if (rule.kind === 'spiffe' && !/^spiffe:\/\/[a-z0-9._-]{1,255}$/.test(rule.issuer))
    complain('issuer', 'a trust domain as spiffe://example.org is expected');
  if (rule.kind === 'spiffe' && rule.keys.from === 'discovery')
    complain('keys', 'a trust domain has no discovery: give the url of its bundle, or upload its keys');
  const narrow = NARROW[kind] ?? Object.keys(rule.claims);
  if (!narrow.some((claim) => rule.claims[claim] !== undefined && isNarrow(rule.claims[claim])))
    complain(
      'claims',
      NARROW[kind] === undefined
        ? 'name at least one claim and what it has to be'
        : `pin one of ${narrow.join(', ')}: this issuer signs for others too`,
    );
  const placeholders = placeholdersOf(rule.principal);
  const fixed = rule.principal.replace(/\{[^{}]*\}/g, '');
  if (!/^[A-Za-z0-9._@-]*$/.test(fixed)) complain('principal', 'letters, digits and . _ @ - are expected, and {claim}');
  if (placeholders.length > 0 && !/^[A-Za-z0-9][A-Za-z0-9._-]{2,}/.test(rule.principal.split('{')[0]!))
    complain(
      'principal',
      'a template starts with at least three letters of its own, so that no claim can name a principal of others',
    );
  if (rule.create !== undefined && placeholders.length === 0)
    complain('create', 'only principals of a template are made; make this one yourself');
}).meta({ id: 'TrustRuleDocument' });
export type TrustRuleDocument = z.infer<typeof TrustRuleDocument>;
