/**
 * A policy as people write it: YAML in, the model out, and back. Durations are `30s`, `10m`, `24h` here and milliseconds there.
 * Refuses unknown fields, aliases, and several documents in one text. Every problem is found at once, with file, line and field.
 * Longer than 200 lines, so that reading and writing stand side by side.
 */
import {
  INHERITED,
  isInherited,
  isProse,
  LIMITS,
  listOf,
  objectOf,
  oneOf,
  optional,
  ParseError,
  type Parser,
  parseBoolean,
  parseInteger,
  parseString,
  UNFIT,
  withDefault,
} from '@sallyport/core';
import {
  type ApprovalSpec,
  type Budget,
  type Mask,
  MODES,
  type Policy,
  parseMask,
  parseResourceSelector,
  parseSubjects,
  type Rule,
  VERDICT_KINDS,
  WEEKDAYS,
} from '@sallyport/model';
import { type Document, isScalar, LineCounter, parseDocument, stringify, visit } from 'yaml';
import { type FieldProblem, type PolicyProblem, policyProblems } from './check.ts';

/** Documents beyond this are refused unread. */
const DOCUMENT_BYTES_MAX = 256 * 1024;
const APPROVAL_EXPIRES_MS_DEFAULT = 10 * 60_000;
const COMMIT_OPEN_MS_DEFAULT = 10 * 60_000;
const COMMIT_STATEMENTS_DEFAULT = 100;

/** Everything that is wrong with a document. */
export class PolicyDocumentError extends Error {
  override readonly name = 'PolicyDocumentError';
  readonly code = 'policy.invalid';
  readonly problems: readonly PolicyProblem[];
  constructor(problems: readonly PolicyProblem[]) {
    super(problems.map(problemLine).join('\n'));
    this.problems = problems;
  }
}

/** `file:line:column: field: what`. */
export function problemLine({ file, line, column, field, message }: PolicyProblem): string {
  const place = line === 0 ? file : `${file}:${line}:${column}`;
  return [place, field, message].filter((part) => part !== '').join(': ');
}

const UNITS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `10m` → 600000. */
const parseDuration: Parser<number> = (value, path) => {
  const match = typeof value === 'string' ? /^(\d{1,6})([smhd])$/.exec(value) : null;
  if (match === null) throw new ParseError(path, 'a duration is expected, as 30s, 10m or 24h');
  return Number(match[1]) * UNITS[match[2]!]!;
};

/** 600000 → `10m`: the largest unit that divides it. */
export function renderDuration(ms: number): string {
  const unit = Object.entries(UNITS).findLast(([, size]) => ms % size === 0) ?? (['s', 1_000] as const);
  return `${Math.ceil(ms / unit[1])}${unit[0]}`;
}

/** `08:30` → 510 minutes. */
const parseTimeOfDay: Parser<number> = (value, path) => {
  const match = typeof value === 'string' ? /^([01]\d|2[0-3]):([0-5]\d)$/.exec(value) : null;
  if (match === null) throw new ParseError(path, 'a time of day is expected, as "08:30", in quotes');
  return Number(match[1]) * 60 + Number(match[2]);
};
const renderTimeOfDay = (minutes: number): string =>
  `${String(Math.floor(minutes / 60)).padStart(2, '0')}:${String(minutes % 60).padStart(2, '0')}`;

const parseApprovalFields = objectOf({
  groups: listOf(parseString, 100),
  count: withDefault(parseInteger, 1),
  expires: withDefault(parseDuration, APPROVAL_EXPIRES_MS_DEFAULT),
  step_up: optional(
    objectOf({
      max_age: optional(parseDuration),
      amr: optional(listOf(parseString, 20)),
      acr: optional(listOf(parseString, 20)),
    }),
  ),
  shape: optional(objectOf({ for: parseDuration, rows: parseInteger })),
  at: optional(oneOf('statement', 'commit')),
  transaction: optional(objectOf({ open: optional(parseDuration), statements: optional(parseInteger) })),
  require_reason: optional(parseBoolean),
  escalate: optional(objectOf({ after: parseDuration, groups: listOf(parseString, 100) })),
  quiet_hours: optional(
    objectOf({
      zone: parseString,
      from: optional(parseTimeOfDay),
      to: optional(parseTimeOfDay),
      days: optional(listOf(oneOf(...WEEKDAYS), 7)),
      action: oneOf('escalate', 'deny', 'wait'),
    }),
  ),
});
type ApprovalDocument = ReturnType<typeof parseApprovalFields>;
const parseApproval: Parser<ApprovalDocument> = (value, path) => {
  const approval = parseApprovalFields(value, path);
  if (approval.transaction !== undefined && approval.at !== 'commit')
    throw new ParseError(`${path}.transaction`, 'goes with `at: commit`');
  return approval;
};

const parseBudgetDocument = objectOf({
  name: parseString,
  per: withDefault(oneOf('session', 'principal'), 'session'),
  every: optional(parseDuration),
  statements: optional(parseInteger),
  writes: optional(parseInteger),
  rows: optional(parseInteger),
  bytes: optional(parseInteger),
  time: optional(parseDuration),
  exceeded: withDefault(oneOf('deny', 'hold'), 'deny'),
  approval: optional(parseApproval),
  message: optional(parseString),
});

const parseRuleDocument = objectOf({
  name: parseString,
  when: parseString,
  unless: optional(parseString),
  verdict: oneOf(...VERDICT_KINDS),
  message: optional(parseString),
  approval: optional(parseApproval),
  mode: withDefault(oneOf(...MODES), 'enforce'),
});

/** `with: null` is YAML's null, and means the method of that name. */
const parseMaskDocument: Parser<Mask> = (value, path) => {
  const isNull = typeof value === 'object' && value !== null && 'with' in value && value.with === null;
  return parseMask(isNull ? { ...value, with: 'null' } : value, path);
};

const parseDocumentFields = objectOf({
  kind: oneOf('Policy'),
  name: parseString,
  subjects: withDefault(parseSubjects, {}),
  resources: withDefault(parseResourceSelector, {}),
  mode: withDefault(oneOf(...MODES), 'enforce'),
  rules: withDefault(listOf(parseRuleDocument, 500), []),
  masks: withDefault(listOf(parseMaskDocument, 1_000), []),
  budgets: withDefault(listOf(parseBudgetDocument, LIMITS.budgetsPerPolicyMax), []),
});

/**
 * Reads one document of kind Policy.
 * @param file named in every problem. @param ids what the store knows it by; the name by default
 * @throws PolicyDocumentError
 */
export function parsePolicyDocument(
  source: string,
  file: string,
  ids: { readonly id?: string; readonly projectId?: string } = {},
): Policy {
  const read = readYaml(source, file);
  const parsed = orProblems(() => parseDocumentFields(read.value, ''), read);
  const policy: Policy = {
    id: ids.id ?? parsed.name,
    projectId: ids.projectId ?? '',
    name: parsed.name,
    subjects: parsed.subjects,
    resources: parsed.resources,
    mode: parsed.mode,
    rules: parsed.rules.map(ruleOf),
    masks: parsed.masks,
    // Left out where there is none: a policy without budgets is what it was to agents that know none.
    ...(parsed.budgets.length === 0 ? {} : { budgets: parsed.budgets.map(budgetOf) }),
  };
  const problems = policyProblems(policy);
  if (problems.length > 0) throw new PolicyDocumentError(problems.map((problem) => read.place(problem)));
  return policy;
}

function ruleOf({ approval, ...rule }: ReturnType<typeof parseRuleDocument>): Rule {
  return approval === undefined ? rule : { ...rule, approval: approvalOf(approval) };
}

const approvalOf = ({
  groups,
  count,
  expires,
  shape,
  require_reason: requireReason,
  escalate,
  quiet_hours: quietHours,
  step_up: asked,
  at,
  transaction,
}: ApprovalDocument): ApprovalSpec => ({
  groups,
  count,
  expiresMs: expires,
  ...(shape === undefined ? {} : { shape: { forMsMax: shape.for, rowsMax: shape.rows } }),
  ...(at === 'commit'
    ? {
        commit: {
          openMsMax: transaction?.open ?? COMMIT_OPEN_MS_DEFAULT,
          statementsMax: transaction?.statements ?? COMMIT_STATEMENTS_DEFAULT,
        },
      }
    : {}),
  ...(requireReason === undefined ? {} : { requireReason }),
  ...(escalate === undefined ? {} : { escalate: { afterMs: escalate.after, groups: escalate.groups } }),
  ...(quietHours === undefined ? {} : { quietHours }),
  ...(asked === undefined
    ? {}
    : {
        stepUp: {
          ...(asked.max_age === undefined ? {} : { maxAgeMs: asked.max_age }),
          ...(asked.amr === undefined ? {} : { amr: asked.amr }),
          ...(asked.acr === undefined ? {} : { acr: asked.acr }),
        },
      }),
});

function budgetOf(budget: ReturnType<typeof parseBudgetDocument>): Budget {
  const { name, per, every, statements, writes, rows, bytes, time, exceeded, approval, message } = budget;
  return {
    name,
    per,
    ...(every === undefined ? {} : { everyMs: every }),
    limits: {
      ...(statements === undefined ? {} : { statements }),
      ...(writes === undefined ? {} : { writes }),
      ...(rows === undefined ? {} : { rows }),
      ...(bytes === undefined ? {} : { bytes }),
      ...(time === undefined ? {} : { seconds: time / 1000 }),
    },
    exceeded,
    ...(approval === undefined ? {} : { approval: approvalOf(approval) }),
    ...(message === undefined ? {} : { message }),
  };
}

/** A YAML text as a value, with the means to find a field's place in it. */
export interface YamlReading {
  readonly value: unknown;
  readonly place: (problem: FieldProblem) => PolicyProblem;
}

/** @throws PolicyDocumentError */
export function readYaml(source: string, file: string): YamlReading {
  const fail = (line: number, column: number, message: string) =>
    new PolicyDocumentError([{ file, line, column, field: '', message }]);
  if (Buffer.byteLength(source) > DOCUMENT_BYTES_MAX) throw fail(0, 0, `longer than ${DOCUMENT_BYTES_MAX} bytes`);
  const unfit = source.split('\n').findIndex((line) => !isProse(line));
  if (unfit >= 0) throw fail(unfit + 1, 1, UNFIT);
  const lines = new LineCounter();
  const document = parseDocument(source, { lineCounter: lines, uniqueKeys: true });
  const error = document.errors[0];
  if (error !== undefined) {
    const { line, col } = lines.linePos(error.pos[0]);
    throw fail(line, col, error.message.split('\n')[0] ?? 'not YAML');
  }
  visit(document, {
    Pair: (_key, { key }) => {
      if (!isScalar<unknown>(key) || typeof key.value !== 'string' || !isInherited(key.value)) return;
      const { line, col } = lines.linePos(key.range?.[0] ?? 0);
      throw fail(line, col, `${key.value}: ${INHERITED}`);
    },
  });
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: 0 });
  } catch {
    // The library's only complaint at this point; an alias can make a small text a huge value.
    throw fail(1, 1, 'aliases are not allowed');
  }
  return {
    value,
    place: ({ field, message, at }) => ({ file, ...placeOf(document, lines, field, at), field, message }),
  };
}

/** Runs a parser of plain values; its ParseError becomes a problem with a place. @throws PolicyDocumentError */
export function orProblems<T>(parse: () => T, reading: YamlReading): T {
  try {
    return parse();
  } catch (cause) {
    if (!(cause instanceof ParseError)) throw cause;
    const message = cause.path === '' ? cause.message : cause.message.slice(cause.path.length + 2);
    throw new PolicyDocumentError([reading.place({ field: cause.path, message })]);
  }
}

/** The place of a field, or of the nearest one around it where it is missing. */
function placeOf(document: Document, lines: LineCounter, field: string, at = 0): { line: number; column: number } {
  const path = [...field.matchAll(/[^.[\]]+/g)].map(([part]) => (/^\d+$/.test(part) ? Number(part) : part));
  for (let length = path.length; length >= 0; length--) {
    const node: unknown = length === 0 ? document.contents : document.getIn(path.slice(0, length), true);
    const range = (node as { range?: readonly number[] } | null | undefined)?.range;
    if (range === undefined) continue;
    const { line, col } = lines.linePos(range[0]!);
    if (length < path.length || !isScalar(node) || typeof node.value !== 'string') return { line, column: col };
    const before = node.value.slice(0, at).split('\n');
    // A block scalar's text begins on the line after its mark; a quoted one a character after its quote.
    const block = node.type === 'BLOCK_LITERAL' || node.type === 'BLOCK_FOLDED';
    if (block || before.length > 1) return { line: line + before.length - (block ? 0 : 1), column: 1 };
    return { line, column: col + at + (node.type === 'PLAIN' ? 0 : 1) };
  }
  return { line: 1, column: 1 };
}

/** The YAML of a policy, for export and diff: defaults left out, fields in the order people write them. */
export function renderPolicyDocument(policy: Policy): string {
  const filled = (value: object | undefined) =>
    value === undefined || Object.keys(value).length === 0 ? undefined : value;
  const document = {
    kind: 'Policy',
    name: policy.name,
    subjects: filled(policy.subjects),
    resources: filled(policy.resources),
    mode: policy.mode === 'enforce' ? undefined : policy.mode,
    rules: policy.rules.length === 0 ? undefined : policy.rules.map(renderRule),
    masks:
      policy.masks.length === 0
        ? undefined
        : policy.masks.map(({ columns, detect, json, headers, kubernetes, with: method }) => ({
            columns,
            detect,
            json,
            headers,
            kubernetes,
            with: method,
          })),
    budgets: policy.budgets === undefined ? undefined : policy.budgets.map(renderBudget),
  };
  return stringify(document, { lineWidth: 110, keepUndefined: false });
}

function renderRule({ name, when, unless, verdict, message, approval, mode }: Rule): object {
  return {
    name,
    when,
    unless,
    verdict,
    message,
    approval: approval === undefined ? undefined : renderApproval(approval),
    mode: mode === 'enforce' ? undefined : mode,
  };
}

const renderApproval = ({
  groups,
  count,
  expiresMs,
  shape,
  requireReason,
  escalate,
  quietHours,
  stepUp,
  commit,
}: ApprovalSpec): object => ({
  groups,
  count,
  expires: renderDuration(expiresMs),
  shape: shape === undefined ? undefined : { for: renderDuration(shape.forMsMax), rows: shape.rowsMax },
  at: commit && 'commit',
  transaction: commit && { open: renderDuration(commit.openMsMax), statements: commit.statementsMax },
  require_reason: requireReason,
  escalate: escalate === undefined ? undefined : { after: renderDuration(escalate.afterMs), groups: escalate.groups },
  quiet_hours:
    quietHours === undefined
      ? undefined
      : {
          ...quietHours,
          from: quietHours.from === undefined ? undefined : renderTimeOfDay(quietHours.from),
          to: quietHours.to === undefined ? undefined : renderTimeOfDay(quietHours.to),
        },
  step_up: stepUp && {
    max_age: stepUp.maxAgeMs === undefined ? undefined : renderDuration(stepUp.maxAgeMs),
    amr: stepUp.amr,
    acr: stepUp.acr,
  },
});

const renderBudget = ({ name, per, everyMs, limits, exceeded, approval, message }: Budget): object => ({
  name,
  per,
  every: everyMs === undefined ? undefined : renderDuration(everyMs),
  statements: limits.statements,
  writes: limits.writes,
  rows: limits.rows,
  bytes: limits.bytes,
  time: limits.seconds === undefined ? undefined : renderDuration(limits.seconds * 1000),
  exceeded,
  approval: approval === undefined ? undefined : renderApproval(approval),
  message,
});
