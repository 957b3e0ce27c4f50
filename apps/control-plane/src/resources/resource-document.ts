/**
 * A resource as people write it, in REST and in YAML alike, and its way to and from a row.
 * Pure: refuses to know the database. What agents get is the model's Resource, made from the row by bundles/.
 */
import { LIMITS } from '@sallyport/core';
import {
  ISSUER_TOKENS,
  PROTOCOLS,
  type Protocol,
  RECORDING_LEVELS,
  TLS_MODES,
  UPSTREAM_AUTH_METHODS,
} from '@sallyport/model';
import { z } from 'zod';
import type { Resource as ResourceRow } from '../generated/prisma/client.ts';
import { Duration, showDuration } from '../http/duration.ts';
import { Labels, Name, open, Prose, sensitive } from '../http/schema.ts';
import { HttpTarget, KubernetesTarget, McpTarget } from './http-target-document.ts';
import { SshTarget } from './ssh-target-document.ts';

const HOUR_MS = 3_600_000;
/** An attacker who cuts the link keeps revoked rights this long at most. */
const OFFLINE_MS_MAX = 7 * 24 * HOUR_MS;
const HOLD_IN_TRANSACTION_MS_MAX = HOUR_MS;
const SESSION_MS_MIN = 1_000;
/** What a timer can wait for is less than 25 days. */
const SESSION_MS_MAX = 24 * 24 * HOUR_MS;
const SessionLength = Duration(SESSION_MS_MAX).refine((ms) => ms >= SESSION_MS_MIN, 'at least 1s');

const DatabaseName = z.string().min(1).max(63);
export const PostgresTarget = z
  .strictObject({
    host: z.string().min(1).max(253).optional(),
    port: z.number().int().min(1).max(65_535).optional(),
    socket: z
      .string()
      .startsWith('/')
      .max(200)
      .optional()
      .describe('Directory of the unix socket, instead of host and port.'),
    databases: z.array(DatabaseName).max(1_000).default([]).describe('Empty = any.'),
    tls: z.enum(TLS_MODES).default('verify-full'),
    ca: z.string().max(200_000).includes('BEGIN CERTIFICATE').optional().describe('PEM; the system’s when left out.'),
    serverName: z.string().max(253).optional(),
    auth: z
      .array(z.enum(UPSTREAM_AUTH_METHODS))
      .min(1)
      .max(UPSTREAM_AUTH_METHODS.length)
      .default(['scram-sha-256', 'scram-sha-256-plus']),
  })
  .refine((target) => (target.host === undefined) !== (target.socket === undefined), {
    message: 'give host, or socket',
    path: ['host'],
  })
  .transform((target) => (target.host === undefined ? target : { ...target, port: target.port ?? 5432 }));

export const ResourceDocument = z
  .strictObject({
    name: open(Name),
    type: open(z.enum(PROTOCOLS)),
    description: open(Prose(500)).default(''),
    labels: open(Labels).default({}),
    postgres: sensitive(PostgresTarget.optional()).describe('Of a resource of type postgres.'),
    ssh: sensitive(SshTarget.optional()).describe('Of a resource of type ssh.'),
    http: sensitive(HttpTarget.optional()).describe('Of a resource of type http.'),
    kubernetes: sensitive(KubernetesTarget.optional()).describe('Of a resource of type kubernetes.'),
    mcp: sensitive(McpTarget.optional()).describe('Of a resource of type mcp.'),
    credential: open(Name.nullish()).describe('Name of the credential; none = the server asks for nothing.'),
    recording: open(z.enum(RECORDING_LEVELS)).default('results'),
    durability: open(z.enum(['standard', 'strict'])).default('standard'),
    approval: open(z.enum(['wait', 'ticket'])).default('wait'),
    exceeded: open(z.enum(['deny', 'hold'])).default('deny'),
    holdInTransactionMsMax: open(Duration(HOLD_IN_TRANSACTION_MS_MAX)).default(LIMITS.holdInTransactionMsDefault),
    wrapAutocommit: open(z.boolean())
      .default(false)
      .describe('A write that commits by itself, where a rule holds COMMITs, runs in a transaction of the gateway’s.'),
    idleMsMax: open(SessionLength.nullish()).describe(
      'A session in which nothing happens ends after this; none = never.',
    ),
    sessionMsMax: open(SessionLength.nullish()).describe('A session ends at this age; none = never.'),
    offline: open(
      z.strictObject({
        sessions: Duration(OFFLINE_MS_MAX).default(24 * HOUR_MS),
        newSessions: Duration(OFFLINE_MS_MAX).default(24 * HOUR_MS),
      }),
    ).default({ sessions: 24 * HOUR_MS, newSessions: 24 * HOUR_MS }),
    issuerTokens: open(z.enum(['never', ...ISSUER_TOKENS]))
      .default('never')
      .describe(
        'Whether tokens of trusted issuers open sessions themselves: while the link is down, always, or never.',
      ),
    agents: open(z.array(Name).max(1_000)).default([]).describe('Which agents guard it; empty = every one.'),
  })
  .superRefine((document, context) => {
    for (const protocol of PROTOCOLS) {
      if ((document[protocol] !== undefined) === (protocol === document.type)) continue;
      const message = protocol === document.type ? 'is needed' : `a resource of type ${document.type} has none`;
      context.addIssue({ code: 'custom', path: [protocol], message });
    }
  })
  .meta({ id: 'ResourceDocument' });
export type ResourceDocument = z.infer<typeof ResourceDocument>;

/** Where it is, by its type: one of them. */
export interface ResourceTargets {
  readonly postgres?: z.infer<typeof PostgresTarget>;
  readonly ssh?: z.infer<typeof SshTarget>;
  readonly http?: z.infer<typeof HttpTarget>;
  readonly kubernetes?: z.infer<typeof KubernetesTarget>;
  readonly mcp?: z.infer<typeof McpTarget>;
}

/** The part of a row that holds the model's fields. */
export interface ResourceSpec extends ResourceTargets {
  readonly recording: ResourceDocument['recording'];
  readonly durability: ResourceDocument['durability'];
  readonly approval: ResourceDocument['approval'];
  readonly exceeded: ResourceDocument['exceeded'];
  readonly holdInTransactionMsMax: number;
  readonly wrapAutocommit?: true;
  readonly idleMsMax?: number;
  readonly sessionMsMax?: number;
  readonly issuerTokens?: (typeof ISSUER_TOKENS)[number];
  readonly offline: { readonly sessionsMs: number; readonly newSessionsMs: number };
}

/** Those that are given, and nothing else. */
const targetsOf = (of: { readonly [P in keyof ResourceTargets]?: ResourceTargets[P] | undefined }): ResourceTargets =>
  Object.fromEntries(PROTOCOLS.flatMap((protocol) => (of[protocol] === undefined ? [] : [[protocol, of[protocol]]])));

export const specOf = (document: ResourceDocument): ResourceSpec => ({
  ...targetsOf(document),
  recording: document.recording,
  durability: document.durability,
  approval: document.approval,
  exceeded: document.exceeded,
  holdInTransactionMsMax: document.holdInTransactionMsMax,
  ...(document.wrapAutocommit ? { wrapAutocommit: true as const } : {}),
  // Left out where there is none: an agent that knows no such limit then takes the resource as it always did.
  ...(document.idleMsMax == null ? {} : { idleMsMax: document.idleMsMax }),
  ...(document.sessionMsMax == null ? {} : { sessionMsMax: document.sessionMsMax }),
  ...(document.issuerTokens === 'never' ? {} : { issuerTokens: document.issuerTokens }),
  offline: { sessionsMs: document.offline.sessions, newSessionsMs: document.offline.newSessions },
});

/** The document a row stands for, durations as text: what a diff compares and REST shows. */
export function documentOf(row: ResourceRow & { readonly credential: { readonly name: string } | null }) {
  const spec = row.spec as unknown as ResourceSpec;
  return {
    name: row.name,
    type: row.kind as Protocol,
    description: row.description,
    labels: row.labels as Record<string, string>,
    ...targetsOf(spec),
    credential: row.credential?.name ?? null,
    recording: spec.recording,
    durability: spec.durability,
    approval: spec.approval,
    exceeded: spec.exceeded,
    holdInTransactionMsMax: showDuration(spec.holdInTransactionMsMax),
    wrapAutocommit: spec.wrapAutocommit ?? false,
    idleMsMax: spec.idleMsMax === undefined ? null : showDuration(spec.idleMsMax),
    sessionMsMax: spec.sessionMsMax === undefined ? null : showDuration(spec.sessionMsMax),
    offline: { sessions: showDuration(spec.offline.sessionsMs), newSessions: showDuration(spec.offline.newSessionsMs) },
    issuerTokens: spec.issuerTokens ?? 'never',
    agents: row.agents,
  };
}
