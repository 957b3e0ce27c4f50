/**
 * A configured target that principals can reach, as an agent gets it in its bundle. Durations are milliseconds.
 * Refuses to hold a secret: `credential` says where one comes from; stored ones travel sealed, apart.
 */
import {
  listOf,
  objectOf,
  oneOf,
  optional,
  ParseError,
  type Parser,
  parseBoolean,
  parseInteger,
  parseString,
  recordOf,
} from '@sallyport/core';
import { parseCredentialSource } from './credential.ts';
import { httpTargetProblem, parseHttpTarget, parseKubernetesTarget, parseMcpTarget } from './http-target.ts';
import { PROTOCOLS } from './protocol.ts';
import { parseSshTarget, sshTargetProblem } from './ssh-target.ts';

export type Labels = Readonly<Record<string, string>>;

export const TLS_MODES = ['verify-full', 'verify-ca', 'require', 'disable'] as const;
export const UPSTREAM_AUTH_METHODS = [
  'scram-sha-256',
  'scram-sha-256-plus',
  'certificate',
  'md5',
  'password',
  'trust',
] as const;

/** How a PostgreSQL server is reached. `databases` empty = any database the server has. */
const parsePostgresTarget = objectOf({
  host: optional(parseString),
  port: optional(parseInteger),
  /** Directory of the server's unix socket; instead of host and port. */
  socket: optional(parseString),
  databases: listOf(parseString, 1_000),
  tls: oneOf(...TLS_MODES),
  /** PEM of the CAs to trust; the system's when absent. */
  ca: optional(parseString),
  /** The name to verify when it is not `host`. */
  serverName: optional(parseString),
  /** What the agent may answer with; anything else the server asks for ends the sign-in. */
  auth: listOf(oneOf(...UPSTREAM_AUTH_METHODS), 6),
});
export type PostgresTarget = ReturnType<typeof parsePostgresTarget>;

export const RECORDING_LEVELS = ['statements', 'results', 'full'] as const;
export type RecordingLevel = (typeof RECORDING_LEVELS)[number];

export const ISSUER_TOKENS = ['offline', 'always'] as const;

const parseBase = objectOf({
  id: parseString,
  projectId: parseString,
  name: parseString,
  kind: oneOf(...PROTOCOLS),
  labels: recordOf(parseString),
  postgres: optional(parsePostgresTarget),
  ssh: optional(parseSshTarget),
  http: optional(parseHttpTarget),
  kubernetes: optional(parseKubernetesTarget),
  mcp: optional(parseMcpTarget),
  credential: parseCredentialSource,
  recording: oneOf(...RECORDING_LEVELS),
  /** `strict`: fdatasync before forwarding. */
  durability: oneOf('standard', 'strict'),
  /** How a hold is answered: the statement waits, or is denied at once with a ticket. */
  approval: oneOf('wait', 'ticket'),
  /** What happens to a statement whose effects exceed the grant. */
  exceeded: oneOf('deny', 'hold'),
  holdInTransactionMsMax: parseInteger,
  /** A write that commits by itself, where a rule holds COMMITs, runs in a transaction of the gateway's; absent = it is refused. */
  wrapAutocommit: optional(parseBoolean),
  /** A session in which nothing runs and nothing is said ends after this long; absent = never. */
  idleMsMax: optional(parseInteger),
  /** A session ends at this age, whatever it does; absent = never. */
  sessionMsMax: optional(parseInteger),
  /** Whether a trusted issuer's own token signs in: while the link is down, or always. Absent = only our access tokens. */
  issuerTokens: optional(oneOf(...ISSUER_TOKENS)),
  /** Budgets while the control plane is away; 0 = closed at once. */
  offline: objectOf({ sessionsMs: parseInteger, newSessionsMs: parseInteger }),
});
export type Resource = ReturnType<typeof parseBase>;

/** @throws ParseError with the path of the wrong field */
export const parseResource: Parser<Resource> = (value, path) => {
  const resource = parseBase(value, path);
  if (resource.kind === 'postgres') {
    const target = resource.postgres;
    if (target === undefined) throw new ParseError(`${path}.postgres`, 'a postgres resource needs its target');
    if ((target.host === undefined) === (target.socket === undefined))
      throw new ParseError(`${path}.postgres`, 'give host and port, or socket');
  }
  if (resource.kind === 'ssh') {
    const problem = sshTargetProblem(resource.ssh);
    if (problem !== undefined) throw new ParseError(`${path}.ssh`, problem);
  }
  if (resource.kind === 'http' || resource.kind === 'kubernetes' || resource.kind === 'mcp') {
    const problem = httpTargetProblem(resource[resource.kind]);
    if (problem !== undefined) throw new ParseError(`${path}.${resource.kind}.${problem.field}`, problem.message);
  }
  return resource;
};

/** True when every wanted label is there with that value. No wanted labels match nothing: default deny. */
export function labelsMatch(wanted: Labels, labels: Labels): boolean {
  const entries = Object.entries(wanted);
  return entries.length > 0 && entries.every(([key, value]) => labels[key] === value);
}
