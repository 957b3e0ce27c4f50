export { ApiError, type FieldError, problemOf } from './api-error.ts';
export { type ApiClient, type ApiClientOptions, allItems, createApiClient } from './client.ts';
export { jsonLines } from './lines.ts';
export type { DeviceAuthorization, ExchangeRequest, OAuthApi, TokenAnswer } from './oauth.ts';
export { createTransport, type Query, type RequestParts, type Transport, type TransportOptions } from './transport.ts';
export type {
  Agent,
  ApplyDocument,
  ApprovalRequest,
  Change,
  Effect,
  Endpoint,
  Explanation,
  Grant,
  Group,
  Instant,
  JoinToken,
  Page,
  Policy,
  Principal,
  PrincipalKind,
  PrincipalRef,
  RecordedStatement,
  ReplayFrame,
  Resource,
  Session,
  TrailEventRow,
  WhoAmI,
} from './types.ts';
