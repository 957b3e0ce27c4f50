/**
 * What the relay is given for each accepted connection: sign-in, cancel keys, a recorder, clocks; and what happens when a
 * session has signed in. The place where the agent's parts meet one connection.
 * Refuses to know bytes and sockets.
 */
import { hash, randomBytes, randomUUID } from 'node:crypto';
import { type ErrorCode, GatewayError, type Logger } from '@sallyport/core';
import { NO_MASKS, type Protocol, type Statement } from '@sallyport/model';
import type { SignedIn, SignInPort, SignInRequest } from '@sallyport/protocol-kit';
import type { Connection, HostParts } from '@sallyport/relay';
import { SessionKey } from '@sallyport/trail';
import { SessionRecorder } from '../recording/recorder.ts';
import type { RecordingStore } from '../recording/recording-store.ts';
import type { LinkSignIns } from '../signin/link-sign-ins.ts';
import {
  type Admitted,
  admitSignIn,
  recordRefused,
  resourceOfServerName,
  type SignInPorts,
} from '../signin/sign-in.ts';
import type { Trail } from '../trail.ts';
import type { CancelKeys } from './cancel-keys.ts';
import type { LiveSession, LiveSessions } from './live.ts';
import { type RoadPorts, SessionRoad } from './road.ts';
import { WatchableRecorder } from './watch.ts';

export interface OpeningPorts {
  readonly live: LiveSessions;
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
): LiveSession & { readonly road: SignedIn } {
  if (ports.stopping()) throw new GatewayError('agent.stopping');
  const admitted: Admitted = admitSignIn(
    request,
    {
      address: connection.address,
      protocol,
      certificateSha256: connection.clientCertificateSha256,
      certificate: connection.clientCertificate,
    },
    ports.signIn,
  );
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
  connection.established();
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

function closeSession(session: LiveSession, code: ErrorCode | '', ports: OpeningPorts): void {
  const { road, key } = session;
  ports.live.closed(session, code, () => {
    road.flushOutcomes();
    const { statements, rows, bytes } = road.usage;
    ports.trail.recordOutcome({ kind: 'session.closed', reason: code, statements, rows, bytes }, key);
  });
  ports.returned(road.info.id);
}
