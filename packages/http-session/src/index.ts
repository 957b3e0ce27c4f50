export { requestDigest } from './bound.ts';
export {
  type AnswerPlan,
  type DeniedAnswer,
  type DialectSession,
  type ForwardedRequest,
  type HttpDialect,
  type HttpRefusal,
  type InsteadOfBody,
  PASS,
  type RequestBody,
  type UpgradeHost,
  type UpgradeMachine,
} from './dialect.ts';
export { createHttpDoor } from './door.ts';
export type { Look, LookAnswer } from './look.ts';
export { machineBlock, refusalOf, wordsOf } from './refusal.ts';
export { type Upstream, upstreamOf } from './upstream.ts';
