export {
  APPROVAL_SCOPES,
  type Approval,
  type ApprovalRequest,
  parseApproval,
  parseApprovalRequest,
  parseOfferedShape,
} from './approval.ts';
export { fieldNumber, fieldsOf, pathKey } from './body-fields.ts';
export {
  type Bundle,
  type BundleChunk,
  type BundleChunkKind,
  type BundleGroup,
  type BundleSettings,
  CAPABILITIES,
  CHUNK_PARSERS,
  type GroupMembers,
  parseBundleGroup,
  parseBundleSettings,
  parseGroupMembers,
  parseRevocation,
  parseVerificationKey,
  type Revocation,
  type SealedCredential,
  type VerificationKey,
} from './bundle.ts';
export {
  type Claims,
  type Conditions,
  failedCondition,
  type Mapped,
  mapPrincipal,
  matchesPattern,
  placeholdersOf,
} from './claims.ts';
export { carriesValue, isHiddenUse, mayName } from './column-use.ts';
export {
  CREDENTIAL_KINDS,
  type CredentialErrand,
  type CredentialKind,
  type CredentialReport,
  type CredentialSource,
  type LeaseReport,
  MASK_KEY_BOX,
  NEXT_BOX,
  needsSources,
  PREVIOUS_BOX,
  parseCredentialErrand,
  parseCredentialReport,
  parseCredentialSource,
  parseLeaseReport,
} from './credential.ts';
export { EFFECTS, type Effect, parseEffects } from './effect.ts';
export { type Grant, parseGrant } from './grant.ts';
export { HTTP_INJECT_FIELDS, HTTP_INJECTIONS, type HttpInject, type HttpInjection } from './http-inject.ts';
export {
  type BodyFacts,
  type BodyField,
  type HttpFacts,
  type KubernetesFacts,
  type McpFacts,
  withoutParameters,
} from './http-statement.ts';
export {
  HTTP_DOCUMENTS,
  HTTP_HEADER_NAME,
  HTTP_RESERVED_HEADERS,
  HTTP_TLS_MODES,
  type HttpRoute,
  type HttpTarget,
  type HttpTextStream,
  httpTargetProblem,
  KUBERNETES_IDENTITIES,
  KUBERNETES_OPAQUE,
  type KubernetesTarget,
  MCP_MEDIA,
  type McpTarget,
} from './http-target.ts';
export {
  authorityText,
  canonicalHost,
  interceptedHosts,
  isAddress,
  isProxiedAt,
  type ProxiedResource,
  proxyHosts,
  readAuthority,
} from './intercepted.ts';
export {
  claimedIssuers,
  type ExpectedIssue,
  ISSUED_ALGORITHMS,
  ISSUED_SKEW_S,
  ISSUED_TOKEN_BYTES_MAX,
  type IssuedPrincipal,
  type IssuerKey,
  isIssuedType,
  issuedPrincipal,
  parseTrustedIssuer,
  type TrustedIssuer,
  trustDomainOf,
  wrongClaim,
} from './issuer.ts';
export { type JsonStep, parseJsonPath } from './json-path.ts';
export { type KubernetesMaskPlace, parseKubernetesMask } from './kubernetes-mask.ts';
export { NO_OBJECT, type ObjectFacts, objectFactsOf } from './kubernetes-object.ts';
export {
  type ApprovalSpec,
  BUDGET_METERS,
  type Budget,
  type BudgetMeter,
  DETECTORS,
  type Detector,
  MASK_METHODS,
  type Mask,
  type MaskMethod,
  MODES,
  type Policy,
  parseApprovalSpec,
  parseBudget,
  parseMask,
  parsePolicy,
  parseResourceSelector,
  parseRule,
  parseSubjects,
  type ResourceSelector,
  type Rule,
  type StepUp,
  type Subjects,
  VERDICT_KINDS,
  WEEKDAYS,
} from './policy.ts';
export { PRINCIPAL_KINDS, type PrincipalKind, type PrincipalRef, parsePrincipalRef } from './principal.ts';
export { PROTOCOLS, type Protocol } from './protocol.ts';
export {
  ISSUER_TOKENS,
  type Labels,
  labelsMatch,
  type PostgresTarget,
  parseResource,
  RECORDING_LEVELS,
  type RecordingLevel,
  type Resource,
  TLS_MODES,
  UPSTREAM_AUTH_METHODS,
} from './resource.ts';
export {
  parseSessionReport,
  type SessionAuth,
  type SessionInfo,
  type SessionIssuer,
  type SessionReport,
  type SessionUsage,
} from './session.ts';
export { SSH_ALSO_KNOWN, SSH_MODERN } from './ssh-algorithms.ts';
export {
  FILE_OPERATIONS,
  type FileFacts,
  type FileOperation,
  type ShellCommand,
  type ShellFacts,
  SSH_CHANNELS,
  type SshChannel,
  type SshFacts,
  type SshForward,
} from './ssh-statement.ts';
export { SSH_LOGIN, SSH_OPAQUE, SSH_SHELL_MODES, type SshTarget } from './ssh-target.ts';
export type {
  ColumnUse,
  CommitWay,
  HeldTransaction,
  RelationAccess,
  SqlColumnUse,
  SqlFacts,
  SqlRelation,
  SqlStatementFacts,
  Statement,
  StatementFacts,
  StatementParameter,
  StatementShape,
} from './statement.ts';
export { type AccessTokenClaims, parseAccessTokenClaims } from './token.ts';
export type { StatementOutcome, TrailEvent, TrailEventKind } from './trail-event.ts';
export {
  parseRowSample,
  parseTransactionWork,
  parseWorkStatement,
  type RowSample,
  type TransactionWork,
  type WorkStatement,
} from './transaction.ts';
export {
  type ColumnMask,
  type CommitHold,
  type DetectMask,
  type HeaderMask,
  type JsonMask,
  type KubernetesMask,
  type MaskSet,
  NO_MASKS,
  type ShadowHit,
  type Verdict,
} from './verdict.ts';
