/**
 * Serving: the record, the listeners, and what sessions are opened with. It exists once a bundle says whom the trail is
 * sealed to. Refuses to know protocols and the link's words.
 */
import path from 'node:path';
import { GatewayError } from '@sallyport/core';
import type { MaskKey } from '@sallyport/mask';
import type { BundleSettings, Protocol } from '@sallyport/model';
import { type Listener, listen } from '@sallyport/relay';
import { keySigner } from '@sallyport/trail';
import type { InForce } from './bundle/bundles.ts';
import { writeWhole } from './files.ts';
import { Uploads } from './link/uploads.ts';
import type { AgentGiven, AgentParts, AgentState } from './parts.ts';
import { RecordingStore } from './recording/recording-store.ts';
import { closeSession, hostParts, type OpeningPorts } from './sessions/opening.ts';
import { SharedSessions } from './sessions/shared.ts';
import { openSpool, type Spool } from './spool/spool.ts';
import { Trail } from './trail.ts';
import { VERSION } from './version.ts';

export interface Serving {
  readonly spool: Spool;
  readonly trail: Trail;
  readonly uploads: Uploads;
  readonly opening: OpeningPorts;
  readonly listeners: readonly ProtocolListener[];
}

export interface ProtocolListener {
  readonly protocol: Protocol;
  readonly plaintext: boolean;
  readonly listener: Listener;
}

/** @param inDoubt the trail cannot be trusted any more: the process has to end @throws GatewayError `config.invalid` */
export async function openServing(
  given: AgentGiven,
  state: AgentState,
  parts: AgentParts,
  settings: BundleSettings,
  inDoubt: () => void,
): Promise<Serving> {
  const { config, log, clock } = given;
  const nowMs = (): number => clock.nowMs();
  const spool = openSpool({
    dir: path.join(config.dataDir, 'spool'),
    agentId: state.identity.agentId,
    instance: config.instance,
    version: VERSION,
    signer: keySigner(state.identity.identityKey),
    trailSealKey: Buffer.from(settings.trailSealKey, 'base64url'),
    nowMs,
    log,
  });
  const trail = new Trail(spool, log, inDoubt);
  const recordings = new RecordingStore(spool.dir, spool.budget, log);
  const uploads = new Uploads(spool, recordings, (message) => parts.link.send(message), nowMs, log);
  spool.onGrown = () => uploads.grown();
  spool.onAdopted = (dir) => recordings.adopt(dir);
  recordings.onGrown = () => uploads.more();
  const opening = openingPorts(given, state, parts, trail, recordings);
  return { spool, trail, uploads, opening, listeners: await openListeners(given, state, parts, opening) };
}

function openingPorts(
  { log, clock }: AgentGiven,
  state: AgentState,
  parts: AgentParts,
  trail: Trail,
  recordings: RecordingStore,
): OpeningPorts {
  const { bundles, contact, credentials, live } = parts;
  const maskKey = (): MaskKey => credentials.maskKey() ?? parts.maskKey;
  const nowMs = (): number => clock.nowMs();
  const ports: OpeningPorts = {
    live,
    shared: new SharedSessions((session, code) => closeSession(session, code, ports)),
    cancelKeys: parts.cancelKeys,
    linkSignIns: parts.linkSignIns,
    trail,
    recordings,
    log,
    stopping: () => state.stopping,
    returned: (sessionId) => credentials.returned(sessionId),
    signIn: {
      agentId: state.identity.agentId,
      inForce: () => bundles.current,
      revocations: () => live.revocations,
      newSessionsAllowed: (resource) => contact.newSessionsAllowed(resource),
      linked: () => contact.linked,
      nowMs,
      record: (event) => trail.record(event),
      log,
    },
    road: {
      engine: () => requireInForce(bundles.current).engine,
      resource: (id) => bundles.current?.resourcesById.get(id),
      fresh: (resource) => contact.sessionsAllowed(resource),
      credential: (resource, info) => credentials.forSession(resource, info),
      refused: (resource, info, lent) => credentials.refused(resource, info, lent),
      consumed: (id, sessionId) => parts.link.send({ body: 'consumed', consumed: { id, sessionId } }),
      hostKeyRemembered: (at, blob) => parts.knownHosts.isKnownOrNew(at, blob),
      holds: parts.holds,
      tickets: parts.tickets,
      shapes: parts.shapes,
      ledger: parts.ledger,
      approvalRevoked: (id) => live.revocations.hasApproval(id),
      get maskKey() {
        return maskKey();
      },
      nowMs,
    },
  };
  return ports;
}

function requireInForce(inForce: InForce | undefined): InForce {
  if (inForce === undefined) throw new GatewayError('policy.unavailable', { reason: 'no bundle' });
  return inForce;
}

async function openListeners(
  { config, protocols, log }: AgentGiven,
  state: AgentState,
  { sshHostKey: key, admission, interception }: AgentParts,
  opening: OpeningPorts,
): Promise<readonly ProtocolListener[]> {
  const { listenPostgres, listenPostgresPlaintext, listenSsh, listenHttps } = config;
  const wanted = [
    { protocol: 'postgres', at: listenPostgres, plaintext: false },
    { protocol: 'postgres', at: listenPostgresPlaintext, plaintext: true },
    { protocol: 'ssh', at: listenSsh, plaintext: false },
    { protocol: 'http', at: listenHttps, plaintext: false },
  ] as const;
  if (listenSsh !== undefined && !protocols.sshNative)
    log.error('the native addon of ssh2 is not there: SSH is three times slower than it could be', {});
  const ssh = key === undefined ? undefined : { hostKey: () => key.current };
  const listeners: ProtocolListener[] = [];
  for (const { protocol, at, plaintext } of wanted) {
    if (at === undefined) continue;
    const listener = await listen({
      ...at,
      adapter: () => protocols.load(protocol, ssh),
      plaintext,
      turn: opening.trail.turn,
      admission,
      log,
      tlsContext: () => state.tlsContext,
      innerTlsContext: (host) => interception?.contextFor(host),
      parts: (connection) => hostParts(connection, protocol, opening),
    });
    listeners.push({ protocol, plaintext, listener });
  }
  return listeners;
}

/** `ready.json`: for whoever started the agent, and waits. @param health host:port */
export function writeReady({ config, log }: AgentGiven, listeners: readonly ProtocolListener[], health: string): void {
  const at = (protocol: Protocol, plaintext: boolean): string | undefined => {
    const found = listeners.find((entry) => entry.protocol === protocol && entry.plaintext === plaintext);
    return found === undefined ? undefined : `${found.listener.host}:${found.listener.port}`;
  };
  const ready = {
    pid: process.pid,
    postgres: at('postgres', false),
    postgresPlaintext: at('postgres', true),
    ssh: at('ssh', false),
    https: at('http', false),
    health,
  };
  writeWhole(path.join(config.dataDir, 'ready.json'), `${JSON.stringify(ready)}\n`);
  log.info('ready', ready);
}
