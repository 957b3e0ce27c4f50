/**
 * Compiles a condition: CEL with typed facts, checked in full when a policy is saved and again when a bundle is loaded.
 * Refuses `matches` (JavaScript's RegExp can run for minutes; `re` is linear), unknown facts, facts that come later, nesting
 * that multiplies work, and anything that is not true or false. Limits: LIMITS.celSourceBytesMax and those below.
 * Longer than 200 lines: the tree is looked at once, for everything that is asked of it.
 */
import { type ASTNode, Environment } from '@marcbachmann/cel-js';
import { LIMITS } from '@sallyport/core';
import type { SessionUsage } from '@sallyport/model';
import { RE2JS } from 're2js';
import {
  AuthFact,
  FACT_TYPES,
  FAMILIES,
  type Family,
  FileFact,
  LATER_FAMILIES,
  OnBehalfOfFact,
  PrincipalFact,
  ResourceFact,
  SessionFact,
  ShellAssignmentFact,
  ShellCommandFact,
  ShellFact,
  ShellRedirectFact,
  SqlColumnFact,
  SqlFact,
  SqlRelationFact,
  SqlStatementFact,
  SshFact,
  SshForwardFact,
  TimeFact,
  UsageFact,
} from './facts.ts';
import { BodyFact, BodyFieldFact, HttpFact, KubernetesFact, McpFact } from './http-facts.ts';
import { closeNames, type NamesRead, noNames, noteNames, withoutOtherCase } from './other-case.ts';

/** The facts of one statement, by family; a family it does not have is absent. */
export type FactContext = { readonly [F in Family]?: object };

export interface Condition {
  readonly kind: 'condition';
  readonly source: string;
  /** Families it reads. */
  readonly reads: ReadonlySet<Family>;
  /** It reads something that changes from statement to statement beyond the statement's own facts. */
  readonly changing: boolean;
  /** Its value where it reads nothing, or nothing that matters; undefined where it hangs on facts. */
  readonly constant: boolean | undefined;
  /** The same answer from the session's counters alone, where it compares one of them with a number and is nothing more. */
  readonly onUsage: ((usage: Readonly<SessionUsage>) => boolean) | undefined;
  /** @throws whatever the CEL library throws: then it is not computable */
  test(context: FactContext): boolean;
}
export interface ConditionProblem {
  readonly kind: 'problem';
  readonly message: string;
  /** Offset in the source, in characters. */
  readonly at: number;
}

const AST_NODES_MAX = 400;
const LOOPS_DEPTH_MAX = 2;
/** Families that change while a session goes on, and of some the one field that does. */
const CHANGING: ReadonlySet<string> = new Set(['session', 'auth', 'time', 'usage']);
const STEADY_BUT: Readonly<Record<string, string | undefined>> = { session: 'in_transaction', auth: 'age' };
const LOOPS: ReadonlySet<string> = new Set(['all', 'exists', 'exists_one', 'map', 'filter']);

const CLASSES = {
  SqlColumn: SqlColumnFact,
  SqlRelation: SqlRelationFact,
  SqlStatement: SqlStatementFact,
  Sql: SqlFact,
  ShellAssignment: ShellAssignmentFact,
  ShellRedirect: ShellRedirectFact,
  ShellCommand: ShellCommandFact,
  Shell: ShellFact,
  SshForward: SshForwardFact,
  Ssh: SshFact,
  File: FileFact,
  BodyField: BodyFieldFact,
  Http: HttpFact,
  Body: BodyFact,
  Kubernetes: KubernetesFact,
  Mcp: McpFact,
  Principal: PrincipalFact,
  OnBehalfOf: OnBehalfOfFact,
  Resource: ResourceFact,
  Session: SessionFact,
  Time: TimeFact,
  Auth: AuthFact,
  Usage: UsageFact,
} as const;

const environment = newEnvironment();

function newEnvironment(): Environment {
  const env = new Environment({
    unlistedVariablesAreDyn: false,
    limits: { maxAstNodes: AST_NODES_MAX, maxDepth: 40, maxListElements: 200, maxMapEntries: 20, maxCallArguments: 8 },
  });
  for (const [name, fields] of Object.entries(FACT_TYPES)) {
    env.registerType(name, { ctor: CLASSES[name as keyof typeof CLASSES], fields: { ...fields } });
  }
  for (const [name, type] of Object.entries(FAMILIES)) env.registerVariable(name, type);
  env.registerFunction('string.re(string): bool', (text: string, pattern: string) =>
    compiled(pattern).matcher(text).find(),
  );
  return env;
}

const patterns = new Map<string, RE2JS>();

/** Patterns are literals of saved policies, checked then, so there are as many as there are policies. */
function compiled(pattern: string): RE2JS {
  const known = patterns.get(pattern);
  if (known !== undefined) return known;
  if (patterns.size >= 10_000) patterns.clear();
  const fresh = RE2JS.compile(pattern);
  patterns.set(pattern, fresh);
  return fresh;
}

/** @param source CEL. Never throws. */
export function compileCondition(source: string): Condition | ConditionProblem {
  if (Buffer.byteLength(source) > LIMITS.celSourceBytesMax) {
    return { kind: 'problem', message: `longer than ${LIMITS.celSourceBytesMax} bytes`, at: 0 };
  }
  const reads = new Set<Family>();
  try {
    const expression = environment.parse(source);
    const names = noNames();
    const found: Findings = { reads, changing: false, problem: undefined, names };
    inspect(expression.ast, found, 0);
    closeNames(names);
    // The first reason is told in our words before the checker tells it in its own.
    if (found.problem !== undefined) return found.problem;
    const checked = expression.check();
    if (!checked.valid) return problemOf(checked.error);
    if (checked.type !== 'bool') return { kind: 'problem', message: `gives ${checked.type}, not true or false`, at: 0 };
    return {
      kind: 'condition',
      source,
      reads,
      changing: found.changing,
      constant: constantOf(expression.ast, source),
      onUsage: onUsage(expression.ast),
      test: (context) => {
        const value: unknown = expression(withoutOtherCase(context, names));
        if (typeof value !== 'boolean') throw new TypeError('not true or false');
        return value;
      },
    };
  } catch (error) {
    return problemOf(error);
  }
}

const COUNTERS: ReadonlySet<string> = new Set([
  'statements',
  'writes',
  'rows',
  'bytes',
] satisfies (keyof SessionUsage)[]);

/** `usage.rows > 1000000`: rules of this form are asked at every statement, and CEL would make its facts anew each time. */
function onUsage(node: ASTNode): Condition['onUsage'] {
  const { op } = node;
  if (op !== '>' && op !== '>=' && op !== '<' && op !== '<=') return undefined;
  const [left, right] = node.args;
  if (left.op !== '.' || right.op !== 'value' || typeof right.args !== 'bigint') return undefined;
  const [base, field] = left.args;
  const bound = Number(right.args);
  if (base.op !== 'id' || base.args !== 'usage' || !COUNTERS.has(field) || !Number.isSafeInteger(bound))
    return undefined;
  const counter = field as keyof SessionUsage;
  switch (op) {
    case '>':
      return (usage) => usage[counter] > bound;
    case '>=':
      return (usage) => usage[counter] >= bound;
    case '<':
      return (usage) => usage[counter] < bound;
    case '<=':
      return (usage) => usage[counter] <= bound;
    default:
      return op satisfies never;
  }
}

function problemOf(error: unknown): ConditionProblem {
  const { summary, message, range } = error as { summary?: string; message?: string; range?: { start: number } };
  return { kind: 'problem', message: summary ?? message?.split('\n')[0] ?? 'not a condition', at: range?.start ?? 0 };
}

interface Findings {
  readonly reads: Set<Family>;
  changing: boolean;
  problem: ConditionProblem | undefined;
  readonly names: NamesRead;
}

function inspect(node: ASTNode, found: Findings, loops: number): void {
  const refuse = (message: string): void => {
    found.problem ??= { kind: 'problem', message, at: node.range.start };
  };
  noteNames(node, found.names);
  switch (node.op) {
    case 'value':
      return;
    case 'id':
      if (Object.hasOwn(FAMILIES, node.args)) {
        found.reads.add(node.args as Family);
        // `session` by itself may be compared whole; its field is looked at below.
        if (CHANGING.has(node.args)) found.changing = true;
      } else if (LATER_FAMILIES.includes(node.args))
        refuse(`\`${node.args}.*\` arrives later: a rule cannot read it yet`);
      return;
    case '.':
    case '.?': {
      const [base, field] = node.args;
      if (base.op === 'id' && STEADY_BUT[base.args] !== undefined && STEADY_BUT[base.args] !== field) {
        found.reads.add(base.args as Family);
        return;
      }
      inspect(base, found, loops);
      return;
    }
    case 'call':
    case 'rcall': {
      const name = node.args[0];
      const receiver = node.op === 'rcall' ? [node.args[1]] : [];
      const args = node.op === 'rcall' ? node.args[2] : node.args[1];
      if (name === 'matches') refuse('`matches` is not offered: use text.re("pattern"), which takes linear time');
      if (name === 're') checkPattern(args[0], refuse);
      const loop = LOOPS.has(name) && node.op === 'rcall';
      if (loop && loops >= LOOPS_DEPTH_MAX) refuse(`more than ${LOOPS_DEPTH_MAX} nested loops`);
      for (const part of receiver) inspect(part, found, loops);
      for (const part of args) inspect(part, found, loop ? loops + 1 : loops);
      return;
    }
    case 'list':
      for (const part of node.args) inspect(part, found, loops);
      return;
    case 'map':
      for (const pair of node.args) for (const part of pair) inspect(part, found, loops);
      return;
    case '!_':
    case '-_':
      inspect(node.args, found, loops);
      return;
    default:
      for (const part of node.args) inspect(part, found, loops);
  }
}

function checkPattern(node: ASTNode | undefined, refuse: (message: string) => void): void {
  if (node?.op !== 'value' || typeof node.args !== 'string') {
    refuse('the pattern of `re` is a literal text');
    return;
  }
  try {
    compiled(node.args);
  } catch (error) {
    refuse(`not a pattern RE2 reads: ${error instanceof Error ? error.message : 'invalid'}`);
  }
}

/** The value of a condition that no fact can change, through && and ||. */
function constantOf(node: ASTNode, source: string): boolean | undefined {
  if (node.op === '&&' || node.op === '||') {
    const [left, right] = node.args.map((part) => constantOf(part, source));
    const decides = node.op === '||';
    if (left === decides || right === decides) return decides;
    return left === undefined || right === undefined ? undefined : !decides;
  }
  if (node.op === '!_') {
    const value = constantOf(node.args, source);
    return value === undefined ? undefined : !value;
  }
  const found: Findings = { reads: new Set(), changing: false, problem: undefined, names: noNames() };
  inspect(node, found, 0);
  if (found.reads.size > 0) return undefined;
  try {
    const value: unknown = environment.evaluate(source.slice(node.range.start, node.range.end), {});
    return typeof value === 'boolean' ? value : undefined;
  } catch {
    // A variable of a loop stands in it, so it is no constant by itself.
    return undefined;
  }
}
