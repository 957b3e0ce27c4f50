export { ApiError, type FieldError, problemOf } from './api-error.ts';
export { type ApiClient, type ApiClientOptions, allItems, createApiClient } from './client.ts';
export { jsonLines } from './lines.ts';
export type { DeviceAuthorization, ExchangeRequest, OAuthApi, TokenAnswer } from './oauth.ts';
export { createTransport, type Query, type RequestParts, type Transport, type TransportOptions } from './transport.ts';
export type {
  Account,
  AccountLink,
  Agent,
  ApplyDocument,
  ApprovalRequest,
  Change,
  ChangeProposal,
  DualControl,
  Endpoint,
  Explanation,
  Grant,
  GrantDocument,
  Group,
  JoinToken,
  NewSecret,
  NewToken,
  Page,
  Policy,
  PolicyCheck,
  Principal,
  PrincipalKind,
  Project,
  ProjectAdmin,
  RecordedStatement,
  ReplayFrame,
  Resource,
  Session,
  TrailEvent,
  TreeHead,
  TrustPreview,
  TrustRule,
  WhoAmI,
} from './types.ts';
