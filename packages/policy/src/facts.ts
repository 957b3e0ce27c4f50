/**
 * What conditions read: the typed fact families of CEL, in snake case, made from the model's values. Whole numbers are bigint,
 * as CEL's int. Refuses to hold what a protocol does not know; a family a statement lacks is simply not there.
 * docs/reference/policy.md lists every field; test/conformance compares the two.
 */
import {
  type FileFacts,
  isHiddenUse,
  type MaskSet,
  mayName,
  type PrincipalRef,
  type Resource,
  type SessionInfo,
  type SessionUsage,
  type ShellCommand,
  type ShellFacts,
  type SqlColumnUse,
  type SqlFacts,
  type SqlRelation,
  type SqlStatementFacts,
  type SshFacts,
  WEEKDAYS,
} from '@sallyport/model';
import { Fact } from './fact.ts';
import { HTTP_FACT_TYPES } from './http-facts.ts';

/** Field names and CEL types of each type conditions can see. The classes below have exactly these properties. */
export const FACT_TYPES = {
  SqlColumn: { relation: 'string', column: 'string', use: 'string', masked: 'bool' },
  SqlRelation: { schema: 'string', name: 'string', access: 'string' },
  SqlStatement: {
    kind: 'string',
    object: 'string',
    effects: 'list<string>',
    filtered: 'bool',
    overwrites: 'bool',
    has_limit: 'bool',
    limit: 'int',
    relations: 'list<SqlRelation>',
    functions: 'list<string>',
    opaque: 'list<string>',
    columns: 'list<SqlColumn>',
    setting: 'string',
    masked_use: 'bool',
  },
  Sql: {
    statements: 'list<SqlStatement>',
    effects: 'list<string>',
    relations: 'list<SqlRelation>',
    functions: 'list<string>',
    opaque: 'list<string>',
    count: 'int',
    masked_columns_used: 'list<string>',
  },
  ShellAssignment: { name: 'string', value: 'string' },
  ShellRedirect: { op: 'string', path: 'string' },
  ShellCommand: {
    program: 'string',
    path: 'string',
    arguments: 'list<string>',
    line: 'string',
    resolved: 'bool',
    dynamic: 'bool',
    depth: 'int',
    via: 'list<string>',
    assignments: 'list<ShellAssignment>',
    redirects: 'list<ShellRedirect>',
    paths_written: 'list<string>',
    paths_read: 'list<string>',
  },
  Shell: {
    commands: 'list<ShellCommand>',
    programs: 'list<string>',
    paths_written: 'list<string>',
    paths_read: 'list<string>',
    privilege: 'bool',
    network: 'bool',
    background: 'bool',
    opaque: 'list<string>',
  },
  SshForward: { present: 'bool', kind: 'string', host: 'string', port: 'int' },
  Ssh: { channel: 'string', login: 'string', pty: 'bool', subsystem: 'string', forward: 'SshForward' },
  File: { op: 'string', path: 'string', target: 'string', size: 'int', via: 'string' },
  ...HTTP_FACT_TYPES,
  Principal: { id: 'string', name: 'string', kind: 'string', groups: 'list<string>' },
  OnBehalfOf: { present: 'bool', id: 'string', name: 'string', kind: 'string', groups: 'list<string>' },
  Resource: { id: 'string', name: 'string', kind: 'string', labels: 'map<string, string>' },
  Session: {
    database: 'string',
    role: 'string',
    application: 'string',
    client_address: 'string',
    in_transaction: 'bool',
  },
  Time: { hour: 'int', minute: 'int', weekday: 'string', date: 'string' },
  Auth: { amr: 'list<string>', acr: 'string', age: 'int', provider: 'string' },
  Usage: { statements: 'int', writes: 'int', rows: 'int', bytes: 'int', seconds: 'int' },
} as const;

/** The families by the name conditions use. */
export const FAMILIES = {
  sql: 'Sql',
  ssh: 'Ssh',
  shell: 'Shell',
  file: 'File',
  http: 'Http',
  body: 'Body',
  k8s: 'Kubernetes',
  mcp: 'Mcp',
  principal: 'Principal',
  on_behalf_of: 'OnBehalfOf',
  resource: 'Resource',
  session: 'Session',
  time: 'Time',
  auth: 'Auth',
  usage: 'Usage',
} as const;
export type Family = keyof typeof FAMILIES;

/** Families that are planned: a rule that reads one is refused with that reason. */
export const LATER_FAMILIES: readonly string[] = ['plan'];

export class SqlColumnFact extends Fact {}
export class SqlRelationFact extends Fact {}
export class SqlStatementFact extends Fact {}
export class SqlFact extends Fact {}
export class ShellAssignmentFact extends Fact {}
export class ShellRedirectFact extends Fact {}
export class ShellCommandFact extends Fact {}
export class ShellFact extends Fact {}
export class SshForwardFact extends Fact {}
export class SshFact extends Fact {}
export class FileFact extends Fact {}
export class PrincipalFact extends Fact {}
export class OnBehalfOfFact extends Fact {}
export class ResourceFact extends Fact {}
export class SessionFact extends Fact {}
export class TimeFact extends Fact {}
export class UsageFact extends Fact {}
export class AuthFact extends Fact {}

/** Statements inside statements are statements of their own to a rule: a DELETE in a CTE is a DELETE. */
export function sqlFact(facts: SqlFacts, masks: MaskSet): SqlFact {
  const all = facts.statements.flatMap(withNested);
  const outer = facts.statements;
  return new SqlFact({
    statements: all.map((statement) => statementFact(statement, masks)),
    effects: distinct(outer.flatMap((statement) => statement.effects)),
    relations: outer.flatMap((statement) => statement.relations).map(relationFact),
    functions: distinct(outer.flatMap((statement) => statement.functions)),
    opaque: distinct(outer.flatMap((statement) => statement.opaque)),
    count: BigInt(outer.length),
    masked_columns_used: maskedUses(
      outer.flatMap((statement) => statement.columns),
      masks,
    ),
  });
}

const withNested = (statement: SqlStatementFacts): readonly SqlStatementFacts[] =>
  statement.nested === undefined ? [statement] : [statement, ...statement.nested.flatMap(withNested)];

const distinct = <T>(values: readonly T[]): readonly T[] => [...new Set(values)];

function statementFact(statement: SqlStatementFacts, masks: MaskSet): SqlStatementFact {
  return new SqlStatementFact({
    kind: statement.kind,
    object: statement.object,
    effects: statement.effects,
    filtered: statement.filtered,
    overwrites: statement.overwrites === true,
    has_limit: statement.limit !== undefined,
    limit: BigInt(statement.limit ?? 0),
    relations: statement.relations.map(relationFact),
    functions: statement.functions,
    opaque: statement.opaque,
    columns: statement.columns.map((use) => columnFact(use, masks)),
    setting: statement.setting ?? '',
    masked_use: maskedUses(statement.columns, masks).length > 0,
  });
}

const columnFact = (use: SqlColumnUse, masks: MaskSet): SqlColumnFact =>
  new SqlColumnFact({
    relation: use.relation,
    column: use.column,
    use: use.use,
    masked: masks.columns.some((column) => mayName(use, column)),
  });

const relationFact = ({ schema, name, access }: SqlRelation): SqlRelationFact =>
  new SqlRelationFact({ schema, name, access });

/** A command line as a shell reads it. `line` is program and arguments with one blank between, for patterns over both. */
export const shellFact = (facts: ShellFacts): ShellFact =>
  new ShellFact({
    commands: facts.commands.map(commandFact),
    programs: facts.programs,
    paths_written: facts.pathsWritten,
    paths_read: facts.pathsRead,
    privilege: facts.privilege,
    network: facts.network,
    background: facts.background,
    opaque: facts.opaque,
  });

const commandFact = (command: ShellCommand): ShellCommandFact =>
  new ShellCommandFact({
    program: command.program,
    path: command.path,
    arguments: command.arguments,
    line: [command.program, ...command.arguments].join(' '),
    resolved: command.resolved,
    dynamic: command.dynamic,
    depth: BigInt(command.depth),
    via: command.via,
    assignments: command.assignments.map((each) => new ShellAssignmentFact(each)),
    redirects: command.redirects.map((each) => new ShellRedirectFact(each)),
    paths_written: command.pathsWritten,
    paths_read: command.pathsRead,
  });

export const sshFact = ({ channel, login, pty, subsystem, forward }: SshFacts): SshFact =>
  new SshFact({
    channel,
    login,
    pty,
    subsystem,
    forward: new SshForwardFact({
      present: forward !== undefined,
      kind: forward?.kind ?? '',
      host: forward?.host ?? '',
      port: BigInt(forward?.port ?? 0),
    }),
  });

export const fileFact = ({ op, path, target, size, via }: FileFacts): FileFact =>
  new FileFact({ op, path, target, size: BigInt(size), via });

/** Masked columns a statement uses other than as plain output, by name: a view's column of that name counts. */
function maskedUses(uses: readonly SqlColumnUse[], masks: MaskSet): readonly string[] {
  if (masks.columns.length === 0) return [];
  const hidden = uses.filter(isHiddenUse);
  return masks.columns
    .filter((column) => hidden.some((use) => mayName(use, column)))
    .map((column) => `${column.schema}.${column.table}.${column.column}`);
}

export const principalFact = (who: PrincipalRef, groups: readonly string[]): PrincipalFact =>
  new PrincipalFact({ id: who.id, name: who.name, kind: who.kind, groups });

export const onBehalfOfFact = (who: PrincipalRef | undefined, groups: readonly string[]): OnBehalfOfFact =>
  new OnBehalfOfFact({
    present: who !== undefined,
    id: who?.id ?? '',
    name: who?.name ?? '',
    kind: who?.kind ?? '',
    groups,
  });

export const resourceFact = ({ id, name, kind, labels }: Resource): ResourceFact =>
  new ResourceFact({ id, name, kind, labels });

export const sessionFact = (session: SessionInfo, inTransaction: boolean): SessionFact =>
  new SessionFact({
    database: session.database,
    role: session.role,
    application: session.application,
    client_address: session.clientAddress,
    in_transaction: inTransaction,
  });

/** All in UTC. @param nowMs UTC milliseconds */
export function timeFact(nowMs: number): TimeFact {
  const at = new Date(nowMs);
  return new TimeFact({
    hour: BigInt(at.getUTCHours()),
    minute: BigInt(at.getUTCMinutes()),
    weekday: WEEKDAYS[at.getUTCDay()],
    date: at.toISOString().slice(0, 10),
  });
}

/** Older than anything a rule asks for: nobody said when, so it counts as long ago. */
const AGE_UNKNOWN_S = Number.MAX_SAFE_INTEGER;

/** How the person behind the session signed in. @param nowMs UTC milliseconds */
export function authFact({ auth }: SessionInfo, nowMs: number): AuthFact {
  const at = auth?.authTimeMs;
  return new AuthFact({
    amr: auth?.amr ?? [],
    acr: auth?.acr ?? '',
    age: BigInt(at === undefined ? AGE_UNKNOWN_S : Math.max(0, Math.floor((nowMs - at) / 1000))),
    provider: auth?.provider ?? '',
  });
}

/** Counters of the session before this statement. */
export const usageFact = (usage: Readonly<SessionUsage>, openedAt: number, nowMs: number): UsageFact =>
  new UsageFact({
    statements: BigInt(usage.statements),
    writes: BigInt(usage.writes),
    rows: BigInt(usage.rows),
    bytes: BigInt(usage.bytes),
    seconds: BigInt(Math.max(0, Math.floor((nowMs - openedAt) / 1000))),
  });
