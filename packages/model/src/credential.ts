/**
 * Where the secret of a resource comes from, and the small documents the link carries about it: leases, refusals, errands.
 * Refuses to hold a secret: stored ones travel sealed, apart. Instants are UTC ms.
 */
import {
  objectOf,
  oneOf,
  optional,
  type Parsed,
  parseBoolean,
  parseInteger,
  parseString,
  recordOf,
} from '@sallyport/core';

export const CREDENTIAL_KINDS = [
  'stored',
  'env',
  'file',
  'none',
  'vault',
  'aws_secrets',
  'aws_rds_iam',
  'gcp_secret',
  'azure_key_vault',
  'ephemeral',
  'ssh_ca',
] as const;
export type CredentialKind = (typeof CREDENTIAL_KINDS)[number];

const SOURCE = {
  kind: oneOf(...CREDENTIAL_KINDS),
  /** '' where the source knows it. */
  username: parseString,
  /** `env`: variable name; `file`: absolute path; else the credential's id, and its sealed box's. */
  reference: optional(parseString),
  /** PEM of a client certificate and its key are in the secret when true. */
  certificate: optional(parseBoolean),
  /** Of the source (packages/credentials); of `ephemeral`: template, ttlMs, reuseMs. */
  settings: optional(recordOf(parseString)),
  /** How long the value before a change may still be tried, ms; absent = not at all. */
  fallbackMs: optional(parseInteger),
} as const;

/** `admin`, of `ephemeral` alone: who makes and drops its roles. */
export const parseCredentialSource = objectOf({ ...SOURCE, admin: optional(objectOf(SOURCE)) });
export type CredentialSource = Parsed<typeof parseCredentialSource>;

/** More than the first version's agents could read. */
export const needsSources = (source: CredentialSource): boolean =>
  !['stored', 'env', 'file', 'none'].includes(source.kind) ||
  source.settings !== undefined ||
  source.fallbackMs !== undefined;

/** Id of the box that holds the key of masks by `hash`, one for all agents of a project; 32 bytes. */
export const MASK_KEY_BOX = 'mask-key';

/** Boxes that travel for one stored credential: context and id are `credential/<id>` and `<id>`, with these endings. */
export const NEXT_BOX = '/next';
export const PREVIOUS_BOX = '/previous';

/** One upstream credential lent to one session, as an agent tells it; told again when it ends, and all after a reconnect. */
export const parseLeaseReport = objectOf({
  id: parseString,
  kind: oneOf('ephemeral', 'vault'),
  resourceId: parseString,
  credentialId: parseString,
  principalId: parseString,
  /** The session that has it now; '' = kept for the principal's next one. */
  sessionId: parseString,
  /** The account at the server. */
  account: parseString,
  openedAt: parseInteger,
  expiresAt: parseInteger,
  endedAt: optional(parseInteger),
  /** An error code, or how it ended: session, revoked, swept, expired. */
  reason: optional(parseString),
});
export type LeaseReport = Parsed<typeof parseLeaseReport>;

/** What an agent has to say of a credential: the server refused it, or an errand is done. */
export const parseCredentialReport = objectOf({
  kind: oneOf('refused', 'errand'),
  resourceId: parseString,
  /** `refused`: which value it was. */
  value: optional(oneOf('current', 'next', 'previous')),
  /** `refused`: another value is tried. */
  fallsBack: optional(parseBoolean),
  /** `errand`. */
  errandId: optional(parseString),
  outcome: optional(oneOf('done', 'undone', 'failed')),
  /** Error code, '' when done. */
  code: optional(parseString),
  reason: optional(parseString),
});
export type CredentialReport = Parsed<typeof parseCredentialReport>;

/** What the control plane asks of an agent: try a credential, or give its account the prepared next password. */
export const parseCredentialErrand = objectOf({
  id: parseString,
  kind: oneOf('test', 'rotate'),
  resourceId: parseString,
  credentialId: parseString,
});
export type CredentialErrand = Parsed<typeof parseCredentialErrand>;
