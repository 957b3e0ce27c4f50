export { type AddressKind, addressKind } from './address.ts';
export type { Clock } from './clock.ts';
export { CODES, type ErrorCode, GatewayError, isErrorCode } from './errors.ts';
export { isDnsLabel, parseUuid, shortId, uuid7Bytes, uuidText } from './ids.ts';
export { LIMITS } from './limits.ts';
export { createLogger, type LogFields, type Logger, type LogLevel } from './log.ts';
export {
  agentUri,
  controlPlaneUri,
  EKU_AGENT_IDENTITY,
  EKU_AGENT_TRAIL,
  EKU_APPROVAL_SIGNING,
  EKU_BUNDLE_SIGNING,
  EKU_CONTROL_IDENTITY,
  EKU_CONTROL_TRAIL,
} from './oids.ts';
export {
  INHERITED,
  isInherited,
  listOf,
  objectOf,
  oneOf,
  optional,
  type Parsed,
  ParseError,
  type Parser,
  parseBoolean,
  parseInteger,
  parseString,
  recordOf,
  withDefault,
} from './parse.ts';
export { newSealKeyPair, type SealKeyPair, seal, unseal } from './seal.ts';
export { Secret } from './secret.ts';
export { secretKey } from './secret-key.ts';
export { isSetting, requireKnownSettings } from './settings.ts';
export { asLine, isLine, isProse, UNFIT } from './shown-text.ts';
export { Views } from './views.ts';
