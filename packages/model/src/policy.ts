/**
 * A policy document as it travels in a bundle: rules with CEL conditions, and masks. Durations are milliseconds.
 * Refuses to evaluate anything; packages/policy reads YAML into this, checks it and decides with it.
 */
import {
  LIMITS,
  listOf,
  objectOf,
  oneOf,
  optional,
  parseBoolean,
  parseInteger,
  parseString,
  recordOf,
} from '@sallyport/core';
import { PRINCIPAL_KINDS } from './principal.ts';

/** Whom it is about; the parts that are given must all match, inside a part one is enough; nothing given = everybody. */
export const parseSubjects = objectOf({
  groups: optional(listOf(parseString, 1_000)),
  principals: optional(listOf(parseString, 1_000)),
  kinds: optional(listOf(oneOf(...PRINCIPAL_KINDS), 3)),
});
export type Subjects = ReturnType<typeof parseSubjects>;

/** Which resources; nothing given = every resource. */
export const parseResourceSelector = objectOf({
  names: optional(listOf(parseString, 1_000)),
  labels: optional(recordOf(parseString)),
});
export type ResourceSelector = ReturnType<typeof parseResourceSelector>;

/** What an approver's own sign-in must have proven; enforced by the control plane, which knows it. */
export const parseStepUp = objectOf({
  /** At most this long ago, milliseconds. */
  maxAgeMs: optional(parseInteger),
  /** One of these methods of proof (RFC 8176). */
  amr: optional(listOf(parseString, 20)),
  /** One of these levels. */
  acr: optional(listOf(parseString, 20)),
});
export type StepUp = ReturnType<typeof parseStepUp>;
export const WEEKDAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const;

export const parseApprovalSpec = objectOf({
  groups: listOf(parseString, 100),
  /** How many distinct persons must say yes. */
  count: parseInteger,
  expiresMs: parseInteger,
  stepUp: optional(parseStepUp),
  /** How far an approver may let the same shape pass; absent = a yes is for one statement, once. */
  shape: optional(objectOf({ forMsMax: parseInteger, rowsMax: parseInteger })),
  /** The requester has to say why before anybody is asked. */
  requireReason: optional(parseBoolean),
  /** Members of these groups may answer too, once nobody has for so long. */
  escalate: optional(objectOf({ afterMs: parseInteger, groups: listOf(parseString, 100) })),
  /**
   * What writes runs in the client's own transaction, and its COMMIT waits for the answer; absent = a statement waits before it
   * runs. From the first such statement on the transaction may stay open so long, and hold so many of them. ADR 0025.
   */
  commit: optional(objectOf({ openMsMax: parseInteger, statementsMax: parseInteger })),
  /** When nobody is expected to answer. Minutes of the day in `zone` (IANA); `days` are quiet from midnight to midnight. */
  quietHours: optional(
    objectOf({
      zone: parseString,
      from: optional(parseInteger),
      to: optional(parseInteger),
      days: optional(listOf(oneOf(...WEEKDAYS), 7)),
      /** Ask the escalation's groups at once, refuse, or wait until the quiet hours are over. */
      action: oneOf('escalate', 'deny', 'wait'),
    }),
  ),
});
export type ApprovalSpec = ReturnType<typeof parseApprovalSpec>;

export const VERDICT_KINDS = ['allow', 'hold', 'deny'] as const;
export const MODES = ['enforce', 'shadow'] as const;

export const parseRule = objectOf({
  name: parseString,
  /** CEL over typed facts; true = the rule matches. */
  when: parseString,
  unless: optional(parseString),
  verdict: oneOf(...VERDICT_KINDS),
  /** Shown to the client instead of the code's text. */
  message: optional(parseString),
  approval: optional(parseApprovalSpec),
  mode: oneOf(...MODES),
});
export type Rule = ReturnType<typeof parseRule>;

/** How a value is shown. `redact`: a fixed text; `partial`: kind-aware, last characters; `hash`: keyed, joinable; `null`: SQL NULL. */
export const MASK_METHODS = ['redact', 'partial', 'hash', 'null'] as const;
export type MaskMethod = (typeof MASK_METHODS)[number];
export const DETECTORS = [
  'payment_card',
  'email',
  'national_id',
  'iban',
  'phone',
  'ip_address',
  'secret_key',
  'jwt',
] as const;
export type Detector = (typeof DETECTORS)[number];

export const parseMask = objectOf({
  /** `schema.table.column` each. */
  columns: optional(listOf(parseString, 10_000)),
  detect: optional(listOf(oneOf(...DETECTORS), DETECTORS.length)),
  /** Paths in JSON bodies: `customers[].ssn`, `**.token` (json-path.ts). */
  json: optional(listOf(parseString, 1_000)),
  /** Headers of answers, lower case. */
  headers: optional(listOf(parseString, 200)),
  /** `secrets:data.*`, `configmaps/app:data.password`. */
  kubernetes: optional(listOf(parseString, 1_000)),
  with: oneOf(...MASK_METHODS),
});
export type Mask = ReturnType<typeof parseMask>;

/** What a budget counts; `seconds` is time that sessions are open. */
export const BUDGET_METERS = ['statements', 'writes', 'rows', 'bytes', 'seconds'] as const;
export type BudgetMeter = (typeof BUDGET_METERS)[number];

/** At most so much, by one session or by one principal over all sessions and agents. */
export const parseBudget = objectOf({
  name: parseString,
  per: oneOf('session', 'principal'),
  /** Counts start anew so often; absent (for a session only) = they last as long as it does. */
  everyMs: optional(parseInteger),
  limits: objectOf({
    statements: optional(parseInteger),
    writes: optional(parseInteger),
    rows: optional(parseInteger),
    bytes: optional(parseInteger),
    seconds: optional(parseInteger),
  }),
  exceeded: oneOf('deny', 'hold'),
  approval: optional(parseApprovalSpec),
  message: optional(parseString),
});
export type Budget = ReturnType<typeof parseBudget>;

export const parsePolicy = objectOf({
  id: parseString,
  projectId: parseString,
  name: parseString,
  subjects: parseSubjects,
  resources: parseResourceSelector,
  mode: oneOf(...MODES),
  rules: listOf(parseRule, 500),
  masks: listOf(parseMask, 1_000),
  budgets: optional(listOf(parseBudget, LIMITS.budgetsPerPolicyMax)),
});
export type Policy = ReturnType<typeof parsePolicy>;
