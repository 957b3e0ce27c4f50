/**
 * What the relay is given for each accepted connection: sign-in, cancel keys, a recorder, clocks; and what happens when a
 * session has signed in. The place where the agent's parts meet one connection.
 * Refuses to know bytes and sockets.
 */
import { hash, randomBytes, randomUUID } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { type ErrorCode, GatewayError, type Logger } from '@sallyport/core';
import { isProxiedAt, NO_MASKS, type Protocol, type SessionInfo, type Statement } from '@sallyport/model';
import type { JoinedSession, SessionMember, SignInPort, SignInRequest } from '@sallyport/protocol-kit';
import type { Connection, HostParts } from '@sallyport/relay';
import { SessionKey } from '@sallyport/trail';
import { SessionRecorder } from '../recording/recorder.ts';
import type { RecordingStore } from '../recording/recording-store.ts';
import type { LinkSignIns } from '../signin/link-sign-ins.ts';
import { sharedKey } from '../signin/shared-key.ts';
import {
  type Admitted,
  admitSignIn,
  audienceOf,
  type ClientFacts,
  meantBy,
  recordRefused,
  requireAnySignIn,
  resourceOfServerName,
  type SignInPorts,
} from '../signin/sign-in.ts';
import type { Trail } from '../trail.ts';
import type { CancelKeys } from './cancel-keys.ts';
import type { LiveSession, LiveSessions, SessionCarrier } from './live.ts';
import { type RoadPorts, SessionRoad } from './road.ts';
import type { SharedSessions } from './shared.ts';
import { WatchableRecorder } from './watch.ts';

export interface OpeningPorts {
  readonly live: LiveSessions;
  readonly shared: SharedSessions;
  readonly cancelKeys: CancelKeys;
  readonly trail: Trail;
  readonly recordings: RecordingStore;
  readonly signIn: SignInPorts;
  readonly linkSignIns: LinkSignIns;
  readonly road: Omit<RoadPorts, 'record' | 'recordOutcome'>;
  /** A session is over: what was lent to it comes back. */
  returned(sessionId: string): void;
  readonly log: Logger;
  stopping(): boolean;
}

/** For `ListenOptions.parts`. */
export function hostParts(connection: Connection, protocol: Protocol, ports: OpeningPorts): HostParts {
  if (protocol === 'http') return webParts(connection, ports);
  const nowMs = (): number => ports.signIn.nowMs();
  const cancel = ports.cancelKeys.open();
  const recorder = new WatchableRecorder(nowMs);
  let session: LiveSession | undefined;
  return {
    cancel,
    recorder,
    log: ports.log,
    nowMs,
    monotonicUs: () => performance.now() * 1000,
    randomBytes: (size) => randomBytes(size),
    signIn: {
      ...(protocol === 'ssh' ? sshSignIn(connection, ports) : {}),
      resourceOf: (serverName) => resourceOfServerName(serverName, ports.signIn.inForce()),
      signIn: async (request) => {
        // A second sign-in on one connection would leave the first session without an end.
        if (session !== undefined) throw new GatewayError('auth.failed', { why: 'signed in already' });
        session = openSession(request, connection, protocol, recorder, ports);
        return session.road;
      },
    },
    closed: (code) => {
      cancel.close();
      if (session !== undefined) closeSession(session, code, ports);
    },
  };
}

/** Of the HTTPS listener: its sessions span connections, and three kinds of resource are behind it. */
const WEB_KINDS: readonly Protocol[] = ['http', 'mcp', 'kubernetes'];

function webParts(connection: Connection, ports: OpeningPorts): HostParts {
  const nowMs = (): number => ports.signIn.nowMs();
  const cancel = ports.cancelKeys.open();
  const joined = new Set<JoinedSession>();
  const { signIn } = ports;
  return {
    cancel,
    recorder: new WatchableRecorder(nowMs),
    log: ports.log,
    nowMs,
    monotonicUs: () => performance.now() * 1000,
    randomBytes: (size) => randomBytes(size),
    signIn: {
      resourceOf: (serverName) => resourceOfServerName(serverName, signIn.inForce()),
      domain: () => signIn.inForce()?.domain ?? '',
      find: (name) => {
        const resource = signIn.inForce()?.resourcesByName.get(name);
        return resource !== undefined && WEB_KINDS.includes(resource.kind) ? resource : undefined;
      },
      resourceOfToken: (token) => signIn.inForce()?.resourcesById.get(audienceOf(token) ?? '')?.name,
      proxied: (host, port, token) => {
        const all = signIn.inForce()?.bundle.resources.filter((resource) => isProxiedAt(resource, host, port)) ?? [];
        const meant = all.length > 1 ? meantBy(token) : '';
        return (all.find(({ id }) => id === meant) ?? all[0])?.name;
      },
      unproxied: (token, host, port) => {
        const facts = clientFacts(connection, WEB_KINDS);
        requireAnySignIn(token, facts, ports.signIn);
        recordRefused(
          { clientAddress: facts.address, resource: `${host}:${port}`, why: 'no host of a resource' },
          ports.signIn,
        );
      },
      signIn: () => Promise.reject(new GatewayError('internal', { reason: 'sessions of this listener are joined' })),
      join: async (request, member) => {
        const session = joinSession(request, connection, member, ports);
        connection.established();
        const mine: JoinedSession = {
          ...session,
          leave: () => {
            joined.delete(mine);
            session.leave();
          },
        };
        joined.add(mine);
        return mine;
      },
    },
    closed: () => {
      cancel.close();
      for (const session of joined) session.leave();
    },
  };
}

/** @throws GatewayError as `SignInPort.join` */
function joinSession(
  request: SignInRequest,
  connection: Connection,
  member: SessionMember,
  ports: OpeningPorts,
): JoinedSession {
  if (ports.stopping()) throw new GatewayError('agent.stopping');
  // The token is good, now: that the same one opened the session a while ago says nothing of that.
  const known = (resourceId: string): SessionInfo | undefined =>
    ports.shared.find(sharedKey(request, resourceId))?.session.road.info;
  const admitted = admitSignIn(request, clientFacts(connection, WEB_KINDS), ports.signIn, known);
  const key = sharedKey(request, admitted.resource.id);
  const { tokenExpiresAtMs } = admitted;
  const shared = ports.shared.find(key) ?? ports.shared.add(key, (carrier) => openAdmitted(admitted, carrier, ports));
  return { ...shared.join(member), tokenExpiresAtMs };
}

const clientFacts = (connection: Connection, protocols: readonly Protocol[]): ClientFacts => ({
  address: connection.address,
  protocols,
  certificateSha256: connection.clientCertificateSha256,
  certificate: connection.clientCertificate,
});

/** What signing in over SSH needs besides. */
function sshSignIn(
  connection: Connection,
  ports: OpeningPorts,
): Pick<SignInPort, 'isResource' | 'userCas' | 'refused' | 'askByLink'> {
  const { signIn } = ports;
  return {
    isResource: (name) => signIn.inForce()?.resourcesByName.get(name)?.kind === 'ssh',
    userCas: () => {
      const inForce = signIn.inForce();
      const nowMs = signIn.nowMs();
      return (inForce?.bundle.keys ?? []).flatMap(({ use, kid, notBefore, notAfter }) => {
        const key =
          use === 'ssh_user' && notBefore <= nowMs && nowMs <= notAfter
            ? inForce?.keys.get(`${use}/${kid}`)
            : undefined;
        return key === undefined ? [] : [key];
      });
    },
    refused: (resource, why) => recordRefused({ clientAddress: connection.address, resource, why }, signIn),
    askByLink: (name) => {
      // Of a resource that is not here a link is offered alike, and nobody can confirm it.
      const resource = signIn.inForce()?.resourcesByName.get(name);
      return ports.linkSignIns.ask(resource?.kind === 'ssh' ? resource.id : randomUUID(), connection.address);
    },
  };
}

/** @throws GatewayError as `SignInPort.signIn` */
function openSession(
  request: SignInRequest,
  connection: Connection,
  protocol: Protocol,
  watchable: WatchableRecorder,
  ports: OpeningPorts,
): LiveSession {
  if (ports.stopping()) throw new GatewayError('agent.stopping');
  const admitted = admitSignIn(request, clientFacts(connection, [protocol]), ports.signIn);
  const session = openAdmitted(admitted, connection, ports, watchable);
  connection.established();
  return session;
}

/** Opens the session of who was admitted. @throws GatewayError `session.limit`, `trail.unavailable` */
function openAdmitted(
  admitted: Admitted,
  connection: SessionCarrier,
  ports: OpeningPorts,
  watchable = new WatchableRecorder(() => ports.signIn.nowMs()),
): LiveSession {
  ports.live.requireRoom();
  const { info, resource, role, tokenIssuedAtMs, issued, reason } = admitted;
  const { trail } = ports;
  const key = new SessionKey(info.id);
  trail.record({ kind: 'session.opened', session: info }, key);
  const recorder = new SessionRecorder({
    sessionId: info.id,
    key,
    level: resource.recording,
    openedAtMs: info.openedAt,
    nowMs: () => ports.signIn.nowMs(),
    store: ports.recordings,
    log: ports.log,
    recordChunk: (event) => trail.recordOutcome(event, key),
  });
  watchable.bind(recorder, info.openedAt);
  const road = new SessionRoad(info, resource, role, {
    ...ports.road,
    record: (event) => trail.record(event, key),
    recordOutcome: (event) => trail.recordOutcome(event, key),
  });
  if (reason !== '') sayWhy(road, reason);
  const session: LiveSession = { road, connection, key, recorder, watchable, tokenIssuedAtMs, issued, reported: 0 };
  ports.live.add(session);
  return session;
}

/** The token says why: on the record as if the client had said it in the session. */
function sayWhy(road: SessionRoad, reason: string): void {
  const text = `SET sallyport.reason = '${reason.replaceAll("'", "''")}'`;
  const statement: Statement = {
    protocol: road.info.protocol,
    digest: hash('sha256', text, 'hex'),
    text,
    parameters: [],
    effects: [],
    understood: true,
    facts: {},
    inTransaction: false,
    wroteInTransaction: false,
    preparation: true,
  };
  road.because(reason);
  road.record(statement, { kind: 'allow', rule: 'gateway/reason', masks: NO_MASKS });
}

export function closeSession(session: LiveSession, code: ErrorCode | '', ports: OpeningPorts): void {
  const { road, key } = session;
  ports.live.closed(session, code, () => {
    road.flushOutcomes();
    const { statements, rows, bytes } = road.usage;
    ports.trail.recordOutcome({ kind: 'session.closed', reason: code, statements, rows, bytes }, key);
  });
  ports.returned(road.info.id);
}
