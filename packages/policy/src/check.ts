/**
 * What is wrong with a policy, beyond its shape: conditions that do not compile, rules that can never speak, limits.
 * Refuses to guess what was meant. Runs when a policy is saved and once more when an agent loads it.
 */
import { isDnsLabel, LIMITS } from '@sallyport/core';
import {
  type ApprovalSpec,
  BUDGET_METERS,
  type Budget,
  HTTP_HEADER_NAME,
  HTTP_RESERVED_HEADERS,
  type Mask,
  type Policy,
  parseJsonPath,
  parseKubernetesMask,
  type Rule,
} from '@sallyport/model';
import { isEmptyBudget } from './budgets.ts';
import { type Condition, compileCondition } from './condition.ts';
import { isZone } from './quiet-hours.ts';

/** One thing wrong; `line` and `column` count from 1 and are 0 where there is no text. */
export interface PolicyProblem {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** As `rules[2].when`. */
  readonly field: string;
  readonly message: string;
}
/** A problem before its place in a text is known; `at` is an offset in a condition. */
export interface FieldProblem {
  readonly field: string;
  readonly message: string;
  readonly at?: number;
}

const MESSAGE_CHARACTERS_MAX = 500;
const APPROVALS_MAX = 10;
const STRICTNESS = { allow: 0, hold: 1, deny: 2 } as const;

/** Checks a policy that came as JSON; empty = fine. */
export function checkPolicy(policy: Policy): readonly PolicyProblem[] {
  return policyProblems(policy).map(({ field, message }) => ({ file: '', line: 0, column: 0, field, message }));
}

export function policyProblems(policy: Policy): readonly FieldProblem[] {
  const problems: FieldProblem[] = [];
  if (!isDnsLabel(policy.name))
    problems.push({ field: 'name', message: 'lower-case letters, digits and dashes, at most 63' });
  if (policy.rules.length > LIMITS.rulesPerPolicyMax) {
    problems.push({ field: 'rules', message: `at most ${LIMITS.rulesPerPolicyMax} rules are allowed` });
  }
  if (policy.resources.labels !== undefined && Object.keys(policy.resources.labels).length === 0) {
    problems.push({
      field: 'resources.labels',
      message: 'no label matches nothing; leave the field out for every resource',
    });
  }
  problems.push(...selectorProblems(policy));
  const earlier: Earlier[] = [];
  policy.rules.forEach((rule, at) => problems.push(...ruleProblems(rule, `rules[${at}]`, earlier)));
  policy.masks.forEach((mask, at) => problems.push(...maskProblems(mask, `masks[${at}]`)));
  const budgets = policy.budgets ?? [];
  budgets.forEach((budget, at) => problems.push(...budgetProblems(budget, `budgets[${at}]`, budgets.slice(0, at))));
  return problems;
}

/** An empty list selects nobody: a policy that forbids would forbid nothing, and nobody would be told. */
function selectorProblems({ subjects, resources }: Policy): readonly FieldProblem[] {
  const { groups, principals, kinds } = subjects;
  const lists: readonly (readonly [string, readonly string[] | undefined])[] = [
    ['subjects.groups', groups],
    ['subjects.principals', principals],
    ['subjects.kinds', kinds],
    ['resources.names', resources.names],
  ];
  return lists
    .filter(([, list]) => list?.length === 0)
    .map(([field]) => ({ field, message: 'an empty list matches nothing; leave it out to mean all' }));
}

interface Earlier {
  readonly rule: Rule;
  readonly field: string;
}

function ruleProblems(rule: Rule, field: string, earlier: Earlier[]): readonly FieldProblem[] {
  const problems: FieldProblem[] = [];
  const add = (name: string, message: string, at?: number) =>
    problems.push({ field: `${field}.${name}`, message, ...(at === undefined ? {} : { at }) });
  if (!isDnsLabel(rule.name)) add('name', 'lower-case letters, digits and dashes, at most 63');
  const namesake = earlier.find((other) => other.rule.name === rule.name);
  if (namesake !== undefined) add('name', `${namesake.field} has this name already`);

  const when = conditionOf(rule.when, (message, at) => add('when', message, at));
  if (when?.constant === false) add('when', 'is never true, so the rule is dead', 0);
  const unless =
    rule.unless === undefined ? undefined : conditionOf(rule.unless, (message, at) => add('unless', message, at));
  if (unless?.constant === true) add('unless', 'is always true, so the rule is dead', 0);
  if (unless?.constant === false) add('unless', 'is never true, so it excepts nothing', 0);
  if (rule.unless !== undefined && squeezed(rule.unless) === squeezed(rule.when))
    add('unless', 'is the same as `when`, so the rule is dead', 0);
  const covering = earlier.find((other) => covers(other.rule, rule));
  if (covering !== undefined)
    add(
      'when',
      `${covering.field} says the same or stricter of every statement this one matches, so the rule is dead`,
      0,
    );

  if (rule.verdict === 'hold') {
    if (rule.approval === undefined) add('approval', 'a hold says who may approve it');
  } else if (rule.approval !== undefined) add('approval', `goes with \`hold\`, not with \`${rule.verdict}\``);
  if (rule.approval !== undefined) approvalProblems(rule.approval, add);
  if ((rule.message ?? '').length > MESSAGE_CHARACTERS_MAX)
    add('message', `at most ${MESSAGE_CHARACTERS_MAX} characters`);
  earlier.push({ rule, field });
  return problems;
}

function conditionOf(source: string, add: (message: string, at: number) => void): Condition | undefined {
  const compiled = compileCondition(source);
  if (compiled.kind === 'condition') return compiled;
  add(compiled.message, compiled.at);
  return undefined;
}

const squeezed = (source: string): string => source.replace(/\s+/g, ' ').trim();

/** An earlier rule with the same condition, no exception and a verdict as strict leaves nothing to say. */
function covers(earlier: Rule, rule: Rule): boolean {
  if (earlier.unless !== undefined || earlier.mode !== rule.mode) return false;
  return squeezed(earlier.when) === squeezed(rule.when) && STRICTNESS[earlier.verdict] >= STRICTNESS[rule.verdict];
}

function maskProblems(mask: Mask, field: string): readonly FieldProblem[] {
  const problems: FieldProblem[] = [];
  const { columns = [], detect = [], json = [], headers = [], kubernetes = [] } = mask;
  if ([columns, detect, json, headers, kubernetes].every(({ length }) => length === 0))
    problems.push({ field, message: 'a mask names columns, detectors, json paths, headers or kubernetes objects' });
  columns.forEach((column, at) => {
    const parts = column.split('.');
    if (parts.length !== 3 || parts.some((part) => part === '')) {
      problems.push({ field: `${field}.columns[${at}]`, message: 'is written schema.table.column' });
    }
  });
  const wrong = (at: string, message: string): void => void problems.push({ field: `${field}.${at}`, message });
  json.forEach((path, at) => {
    if (parseJsonPath(path) === undefined) wrong(`json[${at}]`, 'a path is expected, as customers[].ssn or **.token');
  });
  kubernetes.forEach((place, at) => {
    if (parseKubernetesMask(place) === undefined)
      wrong(`kubernetes[${at}]`, 'is written secrets:data.* or configmaps/app:data.password');
  });
  headers.forEach((name, at) => {
    // `set-cookie` may be masked: what frames a message may not.
    if (!HTTP_HEADER_NAME.test(name) || (HTTP_RESERVED_HEADERS.has(name) && name !== 'set-cookie'))
      problems.push({
        field: `${field}.headers[${at}]`,
        message: 'a header in lower case, none that frames a message',
      });
  });
  return problems;
}

const DAY_MS = 24 * 60 * 60_000;

function approvalProblems(spec: ApprovalSpec, add: (name: string, message: string) => void): void {
  const { count, expiresMs, shape, escalate, quietHours, stepUp, commit } = spec;
  if (commit !== undefined) {
    if (commit.openMsMax < 1_000 || commit.openMsMax > LIMITS.commitOpenMsMax)
      add('approval.transaction.open', 'from 1s to 1h');
    if (commit.statementsMax < 1 || commit.statementsMax > LIMITS.commitStatementsMax)
      add('approval.transaction.statements', `from 1 to ${LIMITS.commitStatementsMax}`);
    if (shape !== undefined) add('approval.shape', 'a COMMIT is approved by itself: no two transactions are alike');
  }
  if (stepUp !== undefined && Object.keys(stepUp).length === 0)
    add('approval.step_up', 'says max_age, amr or acr; leave it out to ask nothing');
  if (count < 1 || count > APPROVALS_MAX) add('approval.count', `from 1 to ${APPROVALS_MAX}`);
  if (expiresMs < 1_000 || expiresMs > LIMITS.approvalWaitMsMax) add('approval.expires', 'from 1s to 24h');
  if (shape !== undefined) {
    if (shape.forMsMax < 1_000 || shape.forMsMax > LIMITS.shapeMsMax) add('approval.shape.for', 'from 1s to 24h');
    if (shape.rowsMax < 1 || shape.rowsMax > LIMITS.shapeRowsMax)
      add('approval.shape.rows', `from 1 to ${LIMITS.shapeRowsMax}`);
  }
  if (escalate !== undefined) {
    if (escalate.groups.length === 0) add('approval.escalate.groups', 'names at least one group');
    if (spec.groups.length === 0)
      add('approval.escalate', 'is for a rule that names groups; here everybody who may approve is asked');
    if (escalate.afterMs < 1_000 || escalate.afterMs >= expiresMs)
      add('approval.escalate.after', 'from 1s on, and before the request expires');
  }
  if (quietHours === undefined) return;
  const { zone, from, to, days = [] } = quietHours;
  if (!isZone(zone)) add('approval.quiet_hours.zone', 'a time zone is expected, as Europe/Berlin or UTC');
  if ((from === undefined) !== (to === undefined)) add('approval.quiet_hours', '`from` and `to` go together');
  if (from !== undefined && from === to)
    add('approval.quiet_hours.to', 'is the same as `from`; name whole days in `days`');
  const outside = [from, to].some((minute) => minute !== undefined && (minute < 0 || minute >= DAY_MS / 60_000));
  if (outside) add('approval.quiet_hours', 'minutes of a day are expected');
  if (from === undefined && days.length === 0) add('approval.quiet_hours', 'names hours or days');
  if (days.length === 7) add('approval.quiet_hours.days', 'every day is quiet: write a rule that denies');
  if (quietHours.action === 'escalate' && escalate === undefined)
    add('approval.quiet_hours.action', 'there is no `escalate` to go to');
}

function budgetProblems(budget: Budget, field: string, earlier: readonly Budget[]): readonly FieldProblem[] {
  const problems: FieldProblem[] = [];
  const add = (name: string, message: string): void =>
    void problems.push({ field: name === '' ? field : `${field}.${name}`, message });
  const { everyMs, limits } = budget;
  if (!isDnsLabel(budget.name)) add('name', 'lower-case letters, digits and dashes, at most 63');
  if (earlier.some((other) => other.name === budget.name)) add('name', 'another budget has this name already');
  if (isEmptyBudget(budget)) add('', 'limits nothing: give statements, writes, rows, bytes or time');
  for (const meter of BUDGET_METERS) {
    const limit = limits[meter];
    const name = meter === 'seconds' ? 'time' : meter;
    if (limit !== undefined && (limit < 1 || limit > Number.MAX_SAFE_INTEGER / 2)) add(name, 'from 1 on');
  }
  if (everyMs === undefined) {
    if (budget.per === 'principal') add('every', 'a budget of a principal says how often it starts anew, as every: 1h');
  } else if (everyMs < 1_000 || everyMs > LIMITS.budgetWindowMsMax) add('every', 'from 1s to 31d');
  if (budget.exceeded === 'hold') {
    if (budget.approval === undefined) add('approval', 'a hold says who may approve it');
  } else if (budget.approval !== undefined) add('approval', 'goes with `exceeded: hold`');
  if (budget.approval !== undefined) {
    approvalProblems(budget.approval, add);
    if (budget.approval.commit !== undefined)
      add('approval.at', 'a statement beyond a budget waits before it runs; `at: commit` is for rules');
    if (budget.approval.shape !== undefined) add('approval.shape', 'a statement beyond a budget is approved by itself');
  }
  if ((budget.message ?? '').length > MESSAGE_CHARACTERS_MAX)
    add('message', `at most ${MESSAGE_CHARACTERS_MAX} characters`);
  return problems;
}
