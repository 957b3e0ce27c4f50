/**
 * Which tables hold what administrators change, and which of their fields may stand in the trail. A change of these is
 * written into the act of its transaction (acts/changes.ts). A field that is not named is hidden: that it changed is told,
 * what it says is not. Refuses to be guessed: every table stands here or in `UNWATCHED`, with the reason.
 */
export interface Watched {
  /** Noun of the glossary. */
  readonly thing: string;
  /** Fields that may be read in the trail for years. */
  readonly open: readonly string[];
  /** Keys of open JSON fields whose values are hidden all the same. */
  readonly hiddenKeys?: readonly string[];
  /** Fields that say nothing by themselves: a change of these alone is none. */
  readonly quiet?: readonly string[];
  /** Rows that are no administrator's business. */
  readonly skip?: (row: Readonly<Record<string, unknown>>) => boolean;
}

/** By the name of the table's delegate. */
export const WATCHED: Readonly<Record<string, Watched>> = {
  project: {
    thing: 'project',
    open: ['name', 'description', 'disabledAt', 'dualControl', 'retainSessionsDays', 'retainEventsDays'],
    quiet: ['maskKey'],
  },
  principal: { thing: 'principal', open: ['name', 'kind', 'displayName', 'manager', 'roles', 'disabledAt'] },
  group: { thing: 'group', open: ['name', 'description'] },
  membership: { thing: 'membership', open: ['groupId', 'principalId', 'source'] },
  identity: { thing: 'identity', open: ['principalId', 'provider'], quiet: ['lastLoginAt'] },
  apiToken: {
    thing: 'token',
    open: ['principalId', 'name', 'kind', 'scopes', 'expiresAt', 'revokedAt'],
    quiet: ['lastUsedAt', 'lineage'],
    // A sign-in is an act of its own, and a browser's session ends by itself.
    skip: (row) => row['kind'] === 'session',
  },
  identityProvider: {
    thing: 'identity-provider',
    open: ['name', 'kind', 'displayName', 'config', 'mapping', 'enabled'],
  },
  trustRule: { thing: 'trust-rule', open: ['name', 'issuer', 'document'], quiet: ['lastUsedAt'] },
  bootstrapLink: {
    thing: 'account-link',
    open: ['principalId', 'replaces', 'breakGlass', 'expiresAt'],
    quiet: ['usedAt'],
  },
  clientKey: { thing: 'client-key', open: ['principalId', 'kid', 'expiresAt'] },
  localAccount: { thing: 'account', open: ['principalId', 'breakGlass'], quiet: ['totpStep', 'lastLoginAt'] },
  passkey: { thing: 'passkey', open: ['accountId', 'name'], quiet: ['counter', 'lastUsedAt'] },
  clientSecret: { thing: 'secret', open: ['principalId', 'expiresAt'] },
  signingKey: {
    thing: 'key',
    open: ['purpose', 'algorithm', 'notBefore', 'signsUntil', 'notAfter', 'retiredAt'],
  },
  resource: {
    thing: 'resource',
    open: ['name', 'kind', 'description', 'labels', 'agents', 'credentialId', 'spec'],
    // Where it is on the network.
    hiddenKeys: ['postgres', 'ssh', 'http', 'kubernetes', 'mcp'],
  },
  credential: {
    thing: 'credential',
    open: ['name', 'kind', 'certificate', 'version', 'resolveAt', 'adminId', 'fallbackSeconds', 'rotateEverySeconds'],
    quiet: ['rotatedAt', 'rotationTriedAt', 'rotationError', 'fetchedAt', 'fetchError', 'refusedAt', 'previousUntil'],
  },
  masterKey: { thing: 'master-key', open: ['keyId'], quiet: ['changedAt'] },
  grant: {
    thing: 'grant',
    open: [
      'name',
      'principalId',
      'groupName',
      'resource',
      'labels',
      'effects',
      'roles',
      'kind',
      'source',
      'requestId',
      'notBefore',
      'notAfter',
      'revokedAt',
    ],
  },
  accessPolicy: { thing: 'access-policy', open: ['name', 'document'] },
  policy: { thing: 'policy', open: ['name', 'source', 'revision'], quiet: ['compiled'] },
  agent: {
    thing: 'agent',
    open: ['name', 'labels', 'names', 'revokedAt'],
    quiet: [
      'capabilities',
      'version',
      'keyHash',
      'endpoints',
      'certExpires',
      'lastSeenAt',
      'instance',
      'bundleEpoch',
      'bundleRevision',
      'bundleError',
    ],
  },
  joinToken: { thing: 'join-token', open: ['agentName', 'names', 'expiresAt'], quiet: ['usedAt'] },
  reviewCampaign: {
    thing: 'review',
    open: ['name', 'description', 'scope', 'reviewers', 'afterReview', 'dueMs', 'evidenceMs', 'every', 'endedAt'],
    // It moves on with each round, which is an act.
    quiet: ['nextAt'],
  },
  approverDelegation: { thing: 'approver-delegation', open: ['ofId', 'toId', 'startsAt', 'endsAt', 'endedAt'] },
  scimClient: { thing: 'scim-client', open: ['provider', 'subject'] },
  samlKey: { thing: 'saml-key', open: ['providerId', 'certificate', 'signsFrom', 'notAfter'] },
  webhook: { thing: 'webhook', open: ['name', 'format', 'events', 'disabledAt'] },
};

/** Tables that are not administered, with the reason. */
export const UNWATCHED: Readonly<Record<string, string>> = {
  wrappedKey: 'a key that nothing is sealed under yet; that one seals is an act',
  issuerKeySet: 'what a trusted issuer publishes; the trust rule is an act',
  issuedAccess: 'each exchange is an act',
  loginAttempt: 'a sign-in under way',
  personSession: 'each sign-in, and its end, is an act',
  usedId: 'counters',
  loginCeremony: 'a sign-in under way',
  loginDelay: 'counters',
  scimUser: 'kept by a directory; each change is an act',
  scimGroup: 'kept by a directory; what it gives is an act',
  scimGroupMember: 'kept by a directory; what it gives is an act',
  issuedCertificate: 'each issue is an act',
  appliedDocument: 'follows the documents',
  policyRevision: 'a copy of the policy',
  rateWindow: 'counters',
  bundleState: 'a counter; a new epoch is an act',
  revocation: 'follows the change that revokes',
  approvalRequest: 'asked by agents; answers are acts',
  approvalVote: 'each answer is an act',
  accessRequest: 'asked by people; each step is an act',
  accessRequestVote: 'each answer is an act',
  slackMessage: 'follows what it tells of',
  slackLink: 'each link and its end is an act',
  slackLinkCode: 'a link under way',
  changeProposal: 'each step is an act',
  approvalComment: 'each comment is an act',
  approvalSeat: 'each handing over is an act',
  budgetShare: 'lent to agents by themselves',
  session: 'told by agents',
  sessionKey: 'sealed by agents; erasing is an act',
  trailChain: 'the trail itself',
  trailBatch: 'the trail itself',
  trailCheckpoint: 'the trail itself',
  trailTreeHead: 'the trail itself',
  trailEvent: 'the trail itself',
  controlAct: 'the trail itself',
  recordingChunk: 'sent by agents',
  usageDay: 'told by agents',
  reviewRound: 'starting, lapsing and closing are acts',
  reviewItem: 'frozen by a round; each answer is an act',
  grantReview: 'follows rounds and answers',
  driftFinding: 'what was told already',
  outboxMessage: 'follows what it tells of',
  credentialLease: 'told by agents; revoking is an act',
  credentialErrand: 'a rotation is an act; a test changes nothing',
};
