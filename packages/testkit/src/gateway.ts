/**
 * A protocol on real sockets without an agent: the real relay, and a road whose verdicts a test decides. Keeps everything
 * that was judged, came back and was recorded. Dev-only; refuses to stand in for sign-in, policy or the trail.
 */
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import type tls from 'node:tls';
import { createLogger, type ErrorCode, GatewayError, Secret } from '@sallyport/core';
import { maskDetected } from '@sallyport/mask';
import {
  type Approval,
  type HttpTarget,
  type MaskSet,
  NO_MASKS,
  type Resource,
  type SessionInfo,
  type SshTarget,
  type Statement,
  type StatementOutcome,
  type Verdict,
} from '@sallyport/model';
import type {
  HoldVerdict,
  JoinedSession,
  ProtocolAdapter,
  RecordedFile,
  RecorderPort,
  SessionMember,
  SignedIn,
  UpstreamCredential,
} from '@sallyport/protocol-kit';
import { Admission, type Connection, type HostParts, type Listener, listen, Turn } from '@sallyport/relay';
import { isTestToken } from './login.ts';

/** What a protocol told the recorder of a stream. */
export type RecordedStream =
  | { readonly kind: 'resize'; readonly number: number; readonly columns: number; readonly rows: number }
  | {
      readonly kind: 'output';
      readonly number: number;
      readonly stream: 'stdout' | 'stderr' | 'pty';
      readonly bytes: Buffer;
    }
  | { readonly kind: 'input'; readonly number: number; readonly bytes: Buffer }
  | { readonly kind: 'exit'; readonly number: number; readonly code?: number; readonly signal?: string }
  | ({ readonly kind: 'file'; readonly number: number } & RecordedFile);

export interface Judged {
  readonly statement: Statement;
  readonly verdict: Verdict;
}

export interface OpenHold {
  readonly statement: Statement;
  readonly verdict: HoldVerdict;
  approve(): void;
  deny(): void;
}

export interface GatewayOptions {
  readonly adapter: ProtocolAdapter;
  readonly resource: Resource;
  readonly credential: UpstreamCredential;
  /** Default: allow with no masks. */
  decide?(statement: Statement, approval: Approval | undefined, session: SessionInfo): Verdict;
  /** Keep account of transactions for COMMITs that are held. */
  readonly holdsCommits?: boolean;
  readonly role?: string;
  readonly readOnly?: boolean;
  /** Fails every record from now on while true. */
  spoolFull?(): boolean;
  readonly tlsContext?: () => tls.SecureContext;
  readonly recording?: RecorderPort['level'];
  /** Of what clients load, how much a recording takes; default all. */
  readonly recordedInputBytesMax?: number;
  /** A recording whose writer is behind, until `recorderDrained`. */
  saturated?(): boolean;
  resourceOf?(serverName: string): string | undefined;
  /** Under which resources have names of their own. */
  readonly domain?: string;
}

export interface Recorded {
  readonly statements: string[];
  readonly notes: string[];
  /** Frames of streams, in order. */
  readonly streams: RecordedStream[];
  /** Protocol bytes of rows as the client got them. */
  rows: Buffer;
  /** What clients loaded by COPY, masked. */
  input: Buffer;
  readonly inputCuts: { readonly lines: number; readonly bytes: number; readonly digest: string }[];
  /** Requests and answers, in order of their heads. */
  readonly http: RecordedHttp[];
}

export interface RecordedHttp {
  readonly number: number;
  readonly side: 'request' | 'response';
  readonly text: string;
  /** Joined when it is asked for: bodies may be long. */
  readonly body: Buffer;
  readonly pieces: Buffer[];
  ended: boolean;
}

export interface Gateway {
  readonly port: number;
  readonly judged: Judged[];
  readonly outcomes: StatementOutcome[];
  readonly holds: OpenHold[];
  readonly recorded: Recorded;
  readonly closed: (ErrorCode | '')[];
  /** Ends every session with this code. */
  end(code: ErrorCode): void;
  bundleChanged(): void;
  /** Recorders have caught up. */
  recorderDrained(): void;
  close(): Promise<void>;
}

export const allow = (masks: MaskSet = NO_MASKS): Verdict => ({ kind: 'allow', rule: 'test/allow', masks });
export const deny = (message?: string): Verdict =>
  message === undefined
    ? { kind: 'deny', rule: 'test/deny', code: 'policy.denied' }
    : { kind: 'deny', rule: 'test/deny', code: 'policy.denied', message };
export const hold = (message?: string): Verdict => ({
  kind: 'hold',
  rule: 'test/hold',
  approval: { groups: ['dba'], count: 1, expiresMs: 60_000 },
  ...(message === undefined ? {} : { message }),
});

/** A PostgreSQL resource with defaults for tests. */
export function testResource(
  postgres: Partial<NonNullable<Resource['postgres']>>,
  extra: Partial<Resource> = {},
): Resource {
  return {
    id: randomUUID(),
    projectId: 'default',
    name: 'payments-db',
    kind: 'postgres',
    labels: {},
    postgres: { host: '127.0.0.1', port: 5432, databases: [], tls: 'disable', auth: ['scram-sha-256'], ...postgres },
    credential: { kind: 'none', username: 'postgres' },
    recording: 'full',
    durability: 'standard',
    approval: 'wait',
    exceeded: 'deny',
    holdInTransactionMsMax: 500,
    offline: { sessionsMs: 0, newSessionsMs: 0 },
    ...extra,
  };
}

/** An SSH resource with defaults for tests: reached and trusted as `ssh` says. */
export function testSshResource(
  ssh: Partial<SshTarget> & Pick<SshTarget, 'port' | 'logins'>,
  extra: Partial<Resource> = {},
): Resource {
  const { postgres: _, ...base } = testResource({});
  return {
    ...base,
    name: 'web-1',
    kind: 'ssh',
    ssh: {
      host: '127.0.0.1',
      hostKeys: [],
      hostCas: [],
      acceptNewHostKey: false,
      shell: 'recorded',
      inputRecorded: false,
      env: ['LC_*'],
      opaque: [],
      maskStreams: false,
      ...ssh,
    },
    ...extra,
  };
}

/** An HTTP resource with defaults for tests: reached as `http` says, nothing put in. */
export function testHttpResource(
  http: Partial<HttpTarget> & Pick<HttpTarget, 'url'>,
  extra: Partial<Resource> = {},
): Resource {
  const { postgres: _, ...base } = testResource({});
  return { ...base, name: 'payments-api', kind: 'http', http: { inject: { as: 'none' }, ...http }, ...extra };
}

export const passwordCredential = (username: string, password: string): UpstreamCredential => ({
  username,
  secret: new Secret(password),
  certificate: false,
});

/** Starts a listener on a free loopback port. */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const judged: Judged[] = [];
  const outcomes: StatementOutcome[] = [];
  const holds: OpenHold[] = [];
  const recorded: Recorded = {
    statements: [],
    notes: [],
    streams: [],
    rows: Buffer.alloc(0),
    input: Buffer.alloc(0),
    inputCuts: [],
    http: [],
  };
  const closed: (ErrorCode | '')[] = [];
  const connections = new Set<Connection>();
  const keys = new Map<string, () => void>();
  const members = new Set<SessionMember>();
  let shared: Pick<JoinedSession, 'road' | 'recorder'> | undefined;
  const log = createLogger('test', {
    level: process.env['TEST_LOG'] === undefined ? 'error' : 'debug',
    write: (line) => void process.stderr.write(line),
    nowMs: () => Date.now(),
  });
  const turn = new Turn({ flush: () => undefined, flushStrict: () => Promise.resolve() });

  const recorders: RecorderPort[] = [];
  const recorder = (): RecorderPort => ({
    level: options.recording ?? 'full',
    get saturated() {
      return options.saturated?.() ?? false;
    },
    onDrained: undefined,
    statement: (_number, text) => void recorded.statements.push(text),
    columns: () => undefined,
    rows: (_number, bytes, _rowCount, _isPiece, from, to) => {
      recorded.rows = Buffer.concat([recorded.rows, bytes.subarray(from, to)]);
    },
    input: (_number, bytes) => {
      if (recorded.input.length + bytes.length > (options.recordedInputBytesMax ?? Number.MAX_SAFE_INTEGER))
        return false;
      recorded.input = Buffer.concat([recorded.input, bytes]);
      return true;
    },
    inputCut: (_number, lines, bytes, digest) => void recorded.inputCuts.push({ lines, bytes, digest }),
    note: (_number, kind, text) => void recorded.notes.push(`${kind}: ${text}`),
    resize: (number, columns, rows) => void recorded.streams.push({ kind: 'resize', number, columns, rows }),
    streamOutput: (number, stream, bytes) => {
      recorded.streams.push({ kind: 'output', number, stream, bytes: Buffer.from(bytes) });
      return false;
    },
    settle: () => undefined,
    streamInput: (number, bytes) => void recorded.streams.push({ kind: 'input', number, bytes: Buffer.from(bytes) }),
    exit: (number, end) => void recorded.streams.push({ kind: 'exit', number, ...end }),
    file: (number, file) => void recorded.streams.push({ kind: 'file', number, ...file }),
    httpHead: (number, side, text) =>
      void recorded.http.push({
        number,
        side,
        text: Buffer.from(text).toString(),
        pieces: [],
        get body() {
          return Buffer.concat(this.pieces);
        },
        ended: false,
      }),
    httpBody: (number, side, bytes) => {
      const one = recorded.http.find((exchange) => exchange.number === number && exchange.side === side);
      one?.pieces.push(Buffer.from(bytes));
    },
    httpEnd: (number, side) => {
      const one = recorded.http.find((exchange) => exchange.number === number && exchange.side === side);
      if (one === undefined) return undefined;
      one.ended = true;
      const { body } = one;
      return { bytes: body.length, cut: 0, digest: createHash('sha256').update(body).digest('binary') };
    },
  });

  const parts = (connection: Connection): HostParts => {
    connections.add(connection);
    let key = '';
    const cancel = {
      onCancel: undefined as (() => void) | undefined,
      issue: (size: 4 | 32) => {
        const issued = { processId: randomBytes(4).readInt32BE(), secret: randomBytes(size) };
        key = `${issued.processId}/${issued.secret.toString('hex')}`;
        keys.set(key, () => cancel.onCancel?.());
        return issued;
      },
      request: (processId: number, secret: Uint8Array) =>
        keys.get(`${processId}/${Buffer.from(secret).toString('hex')}`)?.(),
    };
    const port = recorder();
    recorders.push(port);
    return {
      signIn: {
        isResource: (name) => name === options.resource.name,
        ...(options.resourceOf === undefined ? {} : { resourceOf: (name: string) => options.resourceOf?.(name) }),
        signIn: async (request) => {
          if (!isTestToken(request.token) || request.resource !== options.resource.name)
            throw new GatewayError('auth.failed');
          connection.established();
          return road(options, request, { judged, outcomes, holds });
        },
        find: (name) => (name === options.resource.name ? options.resource : undefined),
        resourceOfToken: () => options.resource.name,
        domain: () => options.domain ?? '',
        join: async (request, member) => {
          if (!isTestToken(request.token) || request.resource !== options.resource.name)
            throw new GatewayError('auth.failed');
          connection.established();
          members.add(member);
          if (shared === undefined) {
            const own = recorder();
            recorders.push(own);
            shared = { road: road(options, request, { judged, outcomes, holds }), recorder: own };
          }
          return {
            ...shared,
            tokenExpiresAtMs: Number.POSITIVE_INFINITY,
            leave: () => void members.delete(member),
            keep: () => () => undefined,
          };
        },
      },
      cancel,
      recorder: port,
      log,
      nowMs: () => Date.now(),
      monotonicUs: () => performance.now() * 1000,
      randomBytes,
      closed: (code) => {
        closed.push(code);
        connections.delete(connection);
        keys.delete(key);
      },
    };
  };

  const listener: Listener = await listen({
    adapter: options.adapter,
    host: '127.0.0.1',
    port: 0,
    plaintext: options.tlsContext === undefined,
    tlsContext: options.tlsContext,
    turn,
    admission: new Admission(),
    log,
    parts,
  });
  return {
    port: listener.port,
    judged,
    outcomes,
    holds,
    recorded,
    closed,
    end: (code) => {
      for (const member of members) member.end(code);
      for (const connection of connections) connection.end(code);
    },
    bundleChanged: () => {
      for (const connection of connections) connection.bundleChanged();
    },
    recorderDrained: () => {
      for (const each of recorders) each.onDrained?.();
    },
    close: async () => {
      for (const connection of connections) connection.destroy('agent.stopping');
      await listener.close();
    },
  };
}

function road(
  options: GatewayOptions,
  request: { readonly database: string; readonly application: string },
  kept: Pick<Gateway, 'judged' | 'outcomes' | 'holds'>,
): SignedIn {
  const principal = { id: randomUUID(), name: 'tester', kind: 'person' as const };
  const info = {
    id: randomUUID(),
    projectId: 'default',
    agentId: 'test',
    resourceId: options.resource.id,
    resourceName: options.resource.name,
    protocol: options.resource.kind,
    principal,
    onBehalfOf: undefined,
    tokenId: 't',
    grantIds: ['*'],
    clientAddress: '127.0.0.1:1',
    database: request.database,
    role: options.role ?? options.resource.ssh?.logins[0] ?? '',
    application: request.application,
    openedAt: Date.now(),
  };
  let number = 0;
  const held = new Map<Statement, number>();
  const numbers = new WeakMap<Statement, number>();
  const cancels = new Map<Statement, (code: ErrorCode) => void>();
  const signed: SignedIn = {
    info,
    resource: options.resource,
    role: options.role,
    readOnly: options.readOnly ?? false,
    usage: { statements: 0, writes: 0, rows: 0, bytes: 0 },
    gate: {
      decide: (statement, approval) =>
        statement.understood
          ? (options.decide?.(statement, approval, info) ?? allow())
          : { kind: 'deny', rule: 'none', code: 'statement.unknown' },
      record: (statement, verdict) => {
        if (options.spoolFull?.() === true) throw new GatewayError('trail.unavailable');
        const own = held.get(statement) ?? ++number;
        // As the agent's road has it.
        const isAskedAtOnce = statement.protocol === 'postgres' || statement.protocol === 'http';
        if (!isAskedAtOnce || verdict.kind === 'hold') numbers.set(statement, own);
        if (verdict.kind === 'hold') held.set(statement, number);
        else held.delete(statement);
        kept.judged.push({ statement, verdict });
      },
      awaitApproval: (statement, verdict) =>
        new Promise<Approval>((resolve, reject) => {
          const expiresAt = Date.now() + verdict.approval.expiresMs;
          cancels.set(statement, (code) => reject(new GatewayError(code)));
          const answer = (granted: boolean): Approval => ({
            id: 'apr-test',
            digest: statement.digest,
            scope: 'once',
            agentId: 'test',
            resourceId: options.resource.id,
            principalId: principal.id,
            granted,
            by: [{ id: randomUUID(), name: 'ana', kind: 'person' }],
            answeredAt: Date.now(),
            expiresAt,
          });
          kept.holds.push({
            statement,
            verdict,
            approve: () => resolve(answer(true)),
            deny: () => reject(new GatewayError('approval.denied')),
          });
          signed.onHeld?.({ approvalId: 'apr-test', statement, verdict, requestedAt: Date.now(), expiresAt });
        }),
    },
    masks: () => {
      const verdict = options.decide?.(PROBE, undefined, info) ?? allow();
      return verdict.kind === 'allow' ? verdict.masks : NO_MASKS;
    },
    credential: () => Promise.resolve(options.credential),
    onHeld: undefined,
    cancelHeld: (code = 'approval.cancelled', statement) => {
      if (statement !== undefined) cancels.get(statement)?.(code);
      else for (const cancel of cancels.values()) cancel(code);
    },
    holdsCommits: () => options.holdsCommits ?? false,
    finished: (outcome) => void kept.outcomes.push(outcome),
    statementNumber: (statement) => (statement === undefined ? undefined : numbers.get(statement)) ?? number,
    hide: (text) => maskDetected(text, signed.masks().detect).text,
  };
  return signed;
}

/** Asked for the masks of the session whatever the statement. */
const PROBE: Statement = {
  protocol: 'postgres',
  digest: '',
  text: 'select 1',
  parameters: [],
  effects: ['read'],
  understood: true,
  facts: { sql: { statements: [], literalFree: true } },
  inTransaction: false,
  wroteInTransaction: false,
};
