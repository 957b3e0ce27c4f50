export {
  type AnswerPlan,
  type DeniedAnswer,
  type DialectSession,
  type ForwardedRequest,
  type HttpDialect,
  type HttpRefusal,
  PASS,
  type RequestBody,
  type UpgradeHost,
  type UpgradeMachine,
} from './dialect.ts';
