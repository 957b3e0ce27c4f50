/**
 * Tables of statements with the verdicts a team expects (kind PolicyTest), run against policies offline, through the same
 * engine an agent runs. Refuses to parse: the readers of packages/sql and packages/shell are arguments, since engines do not
 * import each other.
 * Longer than 200 lines: a table's fields and the statements they stand for read best together.
 */
import {
  listOf,
  objectOf,
  oneOf,
  optional,
  parseBoolean,
  parseInteger,
  parseString,
  recordOf,
  withDefault,
} from '@sallyport/core';
import {
  EFFECTS,
  type Effect,
  FILE_OPERATIONS,
  type Policy,
  PRINCIPAL_KINDS,
  type Protocol,
  parseEffects,
  parseMask,
  type SessionInfo,
  type ShellFacts,
  type SqlFacts,
  type Statement,
  type StatementFacts,
  VERDICT_KINDS,
} from '@sallyport/model';
import { orProblems, PolicyDocumentError, parsePolicyDocument, readYaml } from './document.ts';
import { loadBundlePolicies } from './engine.ts';
import { soleBundle } from './sole-bundle.ts';
import { askedOverHttp, parseHttpCases, protocolOfHttp, readHttpCase } from './table-http.ts';

export interface CaseResult {
  readonly file: string;
  /** Of the case in its file, from 1. */
  readonly line: number;
  readonly statement: string;
  /** `deny` or `deny by <policy>/<rule>`. */
  readonly expected: string;
  readonly got: string;
  readonly passed: boolean;
}
export interface TestReport {
  readonly results: readonly CaseResult[];
  readonly passed: number;
  readonly failed: number;
}
export interface TestInput {
  readonly policies: readonly Policy[];
  /** YAML of kind PolicyTest. */
  readonly tables: readonly { readonly file: string; readonly source: string }[];
  /** packages/sql's `extractSqlFacts`, its parser loaded. */
  readonly extract: (text: string) => SqlFacts | { readonly unknown: string };
  /** packages/shell's `readCommand`, for cases with a `command`. */
  readonly readCommand?: ReadCommand;
}
export type ReadCommand = (text: string) => { readonly facts: ShellFacts; readonly effects: readonly Effect[] };

const SETTING = {
  principal: optional(parseString),
  kind: optional(oneOf(...PRINCIPAL_KINDS)),
  groups: optional(listOf(parseString, 100)),
  resource: optional(parseString),
  labels: optional(recordOf(parseString)),
  /** What the principal is granted; everything by default, so that rules are what is tested. */
  effects: optional(parseEffects),
  database: optional(parseString),
  role: optional(parseString),
  application: optional(parseString),
  in_transaction: optional(parseBoolean),
  /** UTC, ISO 8601. */
  at: optional(parseString),
  /** Rows, writes and seconds of the session before the statement. */
  rows: optional(parseInteger),
  writes: optional(parseInteger),
  seconds: optional(parseInteger),
  /** Of what is asked over SSH. */
  login: optional(parseString),
  pty: optional(parseBoolean),
};
const parseCase = objectOf({
  ...SETTING,
  /** One of these: SQL, a command line over SSH, a file operation, a forward; a request, a cluster's call, an MCP message. */
  ...parseHttpCases,
  statement: optional(parseString),
  command: optional(parseString),
  file: optional(
    objectOf({
      op: oneOf(...FILE_OPERATIONS),
      path: parseString,
      target: optional(parseString),
      size: optional(parseInteger),
      via: optional(oneOf('sftp', 'scp', 'rsync', 'git')),
    }),
  ),
  forward: optional(
    objectOf({ kind: oneOf('local', 'remote', 'streamlocal'), host: parseString, port: optional(parseInteger) }),
  ),
  expect: oneOf(...VERDICT_KINDS),
  rule: optional(parseString),
});
const parseTable = objectOf({
  kind: oneOf('PolicyTest'),
  /** Names of the policies it is about; all that are given by default. */
  policies: optional(listOf(parseString, 1_000)),
  defaults: withDefault(objectOf(SETTING), {}),
  /** In force beside the policies' own, for rules about masked columns. */
  masks: withDefault(listOf(parseMask, 1_000), []),
  cases: listOf(parseCase, 10_000),
});
type Case = ReturnType<typeof parseCase>;
type Readers = Pick<TestInput, 'extract' | 'readCommand'>;

const MASKS_ONLY: Policy = {
  id: 'table',
  projectId: '',
  name: 'table',
  subjects: {},
  resources: {},
  mode: 'enforce',
  rules: [],
  masks: [],
};

/** A fixed Wednesday noon, so that a rule about time is tested by saying a time. */
const NOW_DEFAULT = '2026-01-07T12:00:00Z';

/**
 * Runs the files of a folder: those of kind PolicyTest against those of kind Policy. Other kinds are passed over.
 * @throws PolicyDocumentError when one cannot be read
 */
export function testPolicyFiles(
  files: readonly { readonly file: string; readonly source: string }[],
  extract: TestInput['extract'],
  readCommand?: ReadCommand,
): TestReport {
  const kindOf = ({ file, source }: { readonly file: string; readonly source: string }): unknown =>
    (readYaml(source, file).value as { readonly kind?: unknown } | null)?.kind;
  return testPolicies({
    policies: files
      .filter((entry) => kindOf(entry) === 'Policy')
      .map(({ file, source }) => parsePolicyDocument(source, file)),
    tables: files.filter((entry) => kindOf(entry) === 'PolicyTest'),
    extract,
    ...(readCommand === undefined ? {} : { readCommand }),
  });
}

/** @throws PolicyDocumentError when a table cannot be read */
export function testPolicies({ policies, tables, ...readers }: TestInput): TestReport {
  const results = tables.flatMap(({ file, source }) => {
    const reading = readYaml(source, file);
    const table = orProblems(() => parseTable(reading.value, ''), reading);
    const missing = table.policies?.find((name) => !policies.some((policy) => policy.name === name));
    if (missing !== undefined) {
      throw new PolicyDocumentError([reading.place({ field: 'policies', message: `no policy is named ${missing}` })]);
    }
    const about = policies.filter((policy) => table.policies?.includes(policy.name) ?? true);
    if (table.masks.length > 0) about.push({ ...MASKS_ONLY, masks: table.masks });
    return table.cases.map((each, at) => {
      const place = reading.place({
        field: `cases[${at}]`,
        message: 'give one of statement, command, file, forward, request, k8s, mcp',
      });
      if (askedFor(each) === undefined) throw new PolicyDocumentError([place]);
      return { file, line: place.line, ...runCase({ ...table.defaults, ...each }, about, readers) };
    });
  });
  const passed = results.filter((result) => result.passed).length;
  return { results, passed, failed: results.length - passed };
}

function runCase(
  each: Case,
  policies: readonly Policy[],
  readers: Readers,
): Pick<CaseResult, 'statement' | 'expected' | 'got' | 'passed'> {
  const nowMs = Date.parse(each.at ?? NOW_DEFAULT);
  const session = sessionOf(each, nowMs);
  const engine = loadBundlePolicies(soleBundle(session, policies, each));
  const verdict = engine.decide({
    session,
    statement: statementOf(each, readers),
    usage: { statements: 0, writes: each.writes ?? 0, rows: each.rows ?? 0, bytes: 0 },
    nowMs,
  });
  const expected = each.rule === undefined ? each.expect : `${each.expect} by ${each.rule}`;
  const passed = verdict.kind === each.expect && (each.rule === undefined || verdict.rule === each.rule);
  return { statement: askedFor(each)!, expected, got: `${verdict.kind} by ${verdict.rule}`, passed };
}

function sessionOf(each: Case, nowMs: number): SessionInfo {
  const name = each.principal ?? 'tester';
  return {
    id: 'session',
    projectId: '',
    agentId: 'agent',
    resourceId: 'resource',
    resourceName: each.resource ?? 'resource',
    protocol: protocolOf(each),
    principal: { id: name, name, kind: each.kind ?? 'person' },
    onBehalfOf: undefined,
    tokenId: 'token',
    grantIds: ['*'],
    clientAddress: '127.0.0.1:1',
    database: each.database ?? (each.statement === undefined ? '' : 'app'),
    role: each.role ?? each.login ?? 'app',
    application: each.application ?? '',
    openedAt: nowMs - (each.seconds ?? 0) * 1000,
  };
}

const overHttp = ({ request, k8s, mcp }: Case): boolean => (request ?? k8s ?? mcp) !== undefined;

const protocolOf = (each: Case): Protocol =>
  overHttp(each) ? protocolOfHttp(each) : each.statement === undefined ? 'ssh' : 'postgres';

/** What is asked, for people; undefined when it is nothing, or several things. */
function askedFor(each: Case): string | undefined {
  const { statement, command, file, forward } = each;
  const asked = [
    statement,
    command,
    file === undefined ? undefined : `${file.op} ${file.path}${file.target === undefined ? '' : ` ${file.target}`}`,
    forward === undefined ? undefined : `forward ${forward.kind} ${forward.host}:${forward.port ?? 0}`,
    ...askedOverHttp(each),
  ].filter((text) => text !== undefined);
  return asked.length === 1 ? asked[0] : undefined;
}

interface Read {
  readonly understood: boolean;
  readonly effects: readonly Effect[];
  readonly facts: StatementFacts;
}

function statementOf(each: Case, readers: Readers): Statement {
  const { understood, effects, facts } = readingOf(each, readers);
  return {
    protocol: protocolOf(each),
    digest: '',
    text: askedFor(each)!,
    parameters: [],
    effects,
    understood,
    facts,
    inTransaction: each.in_transaction ?? false,
    wroteInTransaction: false,
  };
}

function readingOf(each: Case, { extract, readCommand }: Readers): Read {
  const { statement, command, file, forward } = each;
  if (overHttp(each)) return readHttpCase(each, readCommand);
  if (statement !== undefined) {
    const reading = extract(statement);
    if ('unknown' in reading) return { understood: false, effects: [], facts: {} };
    const effects = EFFECTS.filter((effect) => reading.statements.some((one) => one.effects.includes(effect)));
    return { understood: true, effects, facts: { sql: reading } };
  }
  const ssh = { login: each.login ?? 'app', pty: each.pty ?? false, subsystem: '' };
  if (file !== undefined) {
    const facts = { via: 'sftp', target: '', size: 0, ...file } as const;
    const effects: readonly Effect[] = READING_OPERATIONS.has(file.op) ? ['read'] : ['write'];
    return { understood: true, effects, facts: { ssh: { ...ssh, channel: 'sftp' }, file: facts } };
  }
  if (forward !== undefined) {
    const facts = { port: 0, ...forward };
    return { understood: true, effects: ['forward'], facts: { ssh: { ...ssh, channel: 'forward', forward: facts } } };
  }
  // Without its reader nothing is known of it, as of any text that is not understood.
  const read = readCommand?.(command ?? '');
  if (read?.facts.understood !== true) return { understood: false, effects: [], facts: {} };
  return { understood: true, effects: read.effects, facts: { ssh: { ...ssh, channel: 'exec' }, shell: read.facts } };
}
const READING_OPERATIONS: ReadonlySet<string> = new Set(['open', 'read', 'list', 'stat']);
