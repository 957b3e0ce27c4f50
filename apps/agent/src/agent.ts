/**
 * One agent process: boots in the order identity → last good bundle (or the first one over the link) → spool → listeners,
 * dispatches what the control plane says, and stops without losing a record. Works without the control plane once it has a
 * bundle. Refuses to know protocols, policy and formats: it joins the parts that do, all of them in one view, which is why
 * it is longer than other files.
 */
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import path from 'node:path';
import tls from 'node:tls';
import type { AgentMessage, ControlMessage } from '@sallyport/contract';
import { type Clock, GatewayError, isErrorCode, LIMITS, type Logger } from '@sallyport/core';
import type { MaskKey } from '@sallyport/mask';
import { CAPABILITIES, interceptedHosts, type Protocol } from '@sallyport/model';
import { Admission, type Listener, listen } from '@sallyport/relay';
import { keySigner } from '@sallyport/trail';
import { readAnswer } from './approvals/answer.ts';
import { Holds } from './approvals/holds.ts';
import { Shapes } from './approvals/shapes.ts';
import { Tickets } from './approvals/tickets.ts';
import { Ledger } from './budgets/ledger.ts';
import { Bundles, type InForce } from './bundle/bundles.ts';
import { Contact } from './bundle/contact.ts';
import { BundleStore } from './bundle/store.ts';
import type { AgentConfig } from './config.ts';
import { Credentials } from './credentials/credentials.ts';
import { readJoinToken } from './credentials/join-token.ts';
import { loadMaskKey } from './credentials/mask-key.ts';
import { makePrivateDir, writeWhole } from './files.ts';
import { giveBack } from './flags.ts';
import { type HealthServer, openHealth } from './health.ts';
import { InterceptionIssuer } from './interception/issuer.ts';
import { enroll } from './link/enroll.ts';
import { type Identity, loadIdentity, newAgentKeys, storeIdentity } from './link/identity.ts';
import { Link } from './link/link.ts';
import { Renewal } from './link/renewal.ts';
import { Uploads } from './link/uploads.ts';
import type { AgentProtocols } from './protocols.ts';
import { RecordingStore } from './recording/recording-store.ts';
import { CancelKeys } from './sessions/cancel-keys.ts';
import { LiveSessions } from './sessions/live.ts';
import { closeSession, hostParts, type OpeningPorts } from './sessions/opening.ts';
import { SharedSessions } from './sessions/shared.ts';
import { LinkSignIns } from './signin/link-sign-ins.ts';
import { openSpool, type Spool } from './spool/spool.ts';
import { SshHostKey } from './ssh/host-key.ts';
import { KnownHosts } from './ssh/known-hosts.ts';
import { Trail } from './trail.ts';
import { VERSION } from './version.ts';
import { healthView, type Vitals } from './vitals.ts';

const TICK_MS = 1_000;
/** Nobody connected for so long: what sessions left is given back. */
const QUIET_TICKS = 30;
const DIGESTS_PER_ASK_MAX = 20_000;
const STOP_MS_MAX = 5_000;
const LAST_UPLOADS_MS_MAX = 1_000;
/** For giving credentials back; what takes longer is swept at the next start. */
const LENT_MS_MAX = 3_000;

/** The part that exists once a bundle says whom the trail is sealed to. */
interface Serving {
  readonly spool: Spool;
  readonly trail: Trail;
  readonly uploads: Uploads;
  readonly opening: OpeningPorts;
  readonly listeners: readonly ProtocolListener[];
}

interface ProtocolListener {
  readonly protocol: Protocol;
  readonly plaintext: boolean;
  readonly listener: Listener;
}

export class Agent {
  readonly #config: AgentConfig;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #protocols: AgentProtocols;
  readonly #store: BundleStore;
  readonly #credentials: Credentials;
  readonly #bundles: Bundles;
  readonly #contact: Contact;
  readonly #link: Link;
  readonly #renewal: Renewal;
  readonly #tickets: Tickets;
  readonly #shapes: Shapes;
  readonly #ledger: Ledger;
  readonly #holds: Holds;
  readonly #live: LiveSessions;
  readonly #admission = new Admission();
  readonly #cancelKeys: CancelKeys;
  /** Where the control plane gives none. */
  readonly #maskKey: MaskKey;
  readonly #linkSignIns: LinkSignIns;
  readonly #knownHosts: KnownHosts;
  /** Undefined where SSH is not listened for. */
  readonly #sshHostKey: SshHostKey | undefined;
  /** Undefined where the forward proxy ends no TLS. */
  readonly #interception: InterceptionIssuer | undefined;
  /** Of the bundle in force; made once a bundle. */
  #interceptedHosts: readonly string[] = [];
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #first = Promise.withResolvers<InForce>();
  /** Ends the process from inside: the trail is in doubt. */
  readonly failed = Promise.withResolvers<never>();
  #identity: Identity;
  #tlsContext: tls.SecureContext;
  #serving: Serving | undefined;
  #health: HealthServer | undefined;
  #stopping = false;
  #refusedBundles = 0;
  #clockSkewMs = 0;
  /** Ticks without a connection since the last one was here. */
  #quietTicks = QUIET_TICKS;

  private constructor(config: AgentConfig, identity: Identity, protocols: AgentProtocols, clock: Clock, log: Logger) {
    this.#config = config;
    this.#identity = identity;
    this.#protocols = protocols;
    this.#clock = clock;
    this.#log = log;
    const nowMs = (): number => clock.nowMs();
    const send = (message: AgentMessage): boolean => this.#link.send(message);
    this.#tlsContext = listenerContext(identity);
    this.#store = new BundleStore(config.dataDir);
    this.#contact = new Contact(this.#store, nowMs);
    this.#tickets = new Tickets(config.dataDir);
    this.#shapes = new Shapes(config.dataDir);
    this.#ledger = new Ledger({ nowMs, send, log });
    this.#cancelKeys = new CancelKeys(config.instance);
    this.#maskKey = loadMaskKey(config.dataDir);
    this.#linkSignIns = new LinkSignIns(send);
    this.#knownHosts = new KnownHosts(config.dataDir, log);
    const { dataDir } = config;
    this.#sshHostKey = config.listenSsh === undefined ? undefined : new SshHostKey({ dataDir, send, nowMs, log });
    this.#interception = config.interception
      ? new InterceptionIssuer({ dataDir, send, nowMs, log, hosts: () => this.#interceptedHosts })
      : undefined;
    const { agentId, projectId, root } = identity;
    this.#credentials = new Credentials({
      agentId,
      instance: config.instance,
      dataDir: config.dataDir,
      sdkDir: config.sdkDir,
      store: this.#store,
      keys: identity.sealKeys,
      log,
      nowMs,
      send,
      resource: (id) => this.#bundles.current?.resourcesById.get(id),
      resources: () => this.#bundles.current?.bundle.resources ?? [],
      endSession: (id, code) => this.#live.end(id, code),
    });
    this.#bundles = new Bundles({
      store: this.#store,
      root,
      agentId,
      projectId,
      nowMs,
      log,
      applied: (now) => this.#applied(now),
      kept: (now) => this.#kept(now),
      unchanged: (now) => this.#reportBundle(now),
      refused: (error, epoch, revision) => this.#refused(error, epoch, revision),
    });
    const key = (kid: string) => this.#bundles.current?.keys.get(`approval/${kid}`);
    this.#holds = new Holds({
      agentId,
      tickets: this.#tickets,
      shapes: this.#shapes,
      log,
      nowMs,
      send,
      read: (signed) => readAnswer(signed, key),
    });
    const fresh = (resource: Parameters<Contact['sessionsAllowed']>[0]): boolean =>
      this.#contact.sessionsAllowed(resource);
    this.#live = new LiveSessions({ nowMs, log, send, fresh: (session) => fresh(session.road.resource) });
    this.#link = new Link({
      identity: () => this.#identity,
      log,
      random: Math.random,
      hello: () => this.#hello(),
      opened: () => this.#linkOpened(),
      closed: () => this.#linkClosed(),
      refused: () => this.#linkRefused(),
      message: (message) => this.#received(message),
    });
    this.#renewal = new Renewal(config.dataDir, identity, this.#link, nowMs, log, (renewed) => {
      this.#identity = renewed;
      this.#tlsContext = listenerContext(renewed);
    });
  }

  /**
   * Starts and returns once clients can sign in; writes `ready.json`. Waits for the first bundle if there is none yet.
   * @throws GatewayError `config.invalid`, `enroll.failed`
   */
  static async start(config: AgentConfig, protocols: AgentProtocols, clock: Clock, log: Logger): Promise<Agent> {
    makePrivateDir(config.dataDir);
    rmSync(path.join(config.dataDir, 'ready.json'), { force: true });
    const identity = located(config, loadIdentity(config.dataDir) ?? (await enrolled(config, log)));
    log.info('starting', { agent: identity.file.agentName, agentId: identity.agentId, version: VERSION });
    const agent = new Agent(config, identity, protocols, clock, log);
    agent.#health = await openHealth(config.health, healthView(agent.#vitals()));
    agent.#bundles.restore();
    agent.#link.start();
    agent.#renewal.start();
    await agent.#serve(agent.#bundles.current ?? (await agent.#first.promise));
    giveBack();
    return agent;
  }

  async #serve(inForce: InForce): Promise<void> {
    const { settings } = inForce.bundle;
    const log = this.#log;
    const nowMs = (): number => this.#clock.nowMs();
    const spool = openSpool({
      dir: path.join(this.#config.dataDir, 'spool'),
      agentId: this.#identity.agentId,
      instance: this.#config.instance,
      version: VERSION,
      signer: keySigner(this.#identity.identityKey),
      trailSealKey: Buffer.from(settings.trailSealKey, 'base64url'),
      nowMs,
      log,
    });
    const trail = new Trail(spool, log, () => {
      if (!this.#stopping) this.failed.reject(new GatewayError('trail.unavailable', { reason: 'in doubt' }));
    });
    const recordings = new RecordingStore(spool.dir, spool.budget, log);
    const uploads = new Uploads(spool, recordings, (message) => this.#link.send(message), nowMs, log);
    spool.onGrown = () => uploads.more();
    spool.onAdopted = (dir) => recordings.adopt(dir);
    recordings.onGrown = () => uploads.more();
    const opening = this.#openingPorts(trail, recordings);
    const listeners = await this.#listen(opening);
    this.#serving = { spool, trail, uploads, opening, listeners };
    const now = this.#bundles.current ?? inForce;
    this.#recordApplied(now);
    this.#live.apply(now);
    this.#timers.push(setInterval(() => this.#tick(), TICK_MS));
    this.#timers.push(
      setInterval(() => this.#heartbeat(), settings.heartbeatMs > 0 ? settings.heartbeatMs : LIMITS.heartbeatEveryMs),
    );
    // What was said before, or is being said on a stream that is not up yet, had neither a chain nor listeners in it.
    this.#link.redial();
    this.#writeReady(listeners);
  }

  #openingPorts(trail: Trail, recordings: RecordingStore): OpeningPorts {
    const maskKey = (): MaskKey => this.#credentials.maskKey() ?? this.#maskKey;
    const nowMs = (): number => this.#clock.nowMs();
    const log = this.#log;
    const ports: OpeningPorts = {
      live: this.#live,
      shared: new SharedSessions((session, code) => closeSession(session, code, ports)),
      cancelKeys: this.#cancelKeys,
      linkSignIns: this.#linkSignIns,
      trail,
      recordings,
      log,
      stopping: () => this.#stopping,
      returned: (sessionId) => this.#credentials.returned(sessionId),
      signIn: {
        agentId: this.#identity.agentId,
        inForce: () => this.#bundles.current,
        revocations: () => this.#live.revocations,
        newSessionsAllowed: (resource) => this.#contact.newSessionsAllowed(resource),
        linked: () => this.#contact.linked,
        nowMs,
        record: (event) => trail.record(event),
        log,
      },
      road: {
        engine: () => this.#requireInForce().engine,
        resource: (id) => this.#bundles.current?.resourcesById.get(id),
        fresh: (resource) => this.#contact.sessionsAllowed(resource),
        credential: (resource, info) => this.#credentials.forSession(resource, info),
        refused: (resource, info, given) => this.#credentials.refused(resource, info, given),
        consumed: (id, sessionId) => this.#link.send({ body: 'consumed', consumed: { id, sessionId } }),
        hostKeyRemembered: (at, blob) => this.#knownHosts.isKnownOrNew(at, blob),
        holds: this.#holds,
        tickets: this.#tickets,
        shapes: this.#shapes,
        ledger: this.#ledger,
        approvalRevoked: (id) => this.#live.revocations.hasApproval(id),
        get maskKey() {
          return maskKey();
        },
        nowMs,
      },
    };
    return ports;
  }

  #requireInForce(): InForce {
    const inForce = this.#bundles.current;
    if (inForce === undefined) throw new GatewayError('policy.unavailable', { reason: 'no bundle' });
    return inForce;
  }

  async #listen(opening: OpeningPorts): Promise<readonly ProtocolListener[]> {
    const { listenPostgres, listenPostgresPlaintext, listenSsh, listenHttps } = this.#config;
    const wanted = [
      { protocol: 'postgres', at: listenPostgres, plaintext: false },
      { protocol: 'postgres', at: listenPostgresPlaintext, plaintext: true },
      { protocol: 'ssh', at: listenSsh, plaintext: false },
      { protocol: 'http', at: listenHttps, plaintext: false },
    ] as const;
    if (listenSsh !== undefined && !this.#protocols.sshNative)
      this.#log.error('the native addon of ssh2 is not there: SSH is three times slower than it could be', {});
    const key = this.#sshHostKey;
    const ssh = key === undefined ? undefined : { hostKey: () => key.current };
    const listeners: ProtocolListener[] = [];
    for (const { protocol, at, plaintext } of wanted) {
      if (at === undefined) continue;
      const listener = await listen({
        ...at,
        adapter: () => this.#protocols.load(protocol, ssh),
        plaintext,
        turn: opening.trail.turn,
        admission: this.#admission,
        log: this.#log,
        tlsContext: () => this.#tlsContext,
        innerTlsContext: (host) => this.#interception?.contextFor(host),
        parts: (connection) => hostParts(connection, protocol, opening),
      });
      listeners.push({ protocol, plaintext, listener });
    }
    return listeners;
  }

  #writeReady(listeners: readonly ProtocolListener[]): void {
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
      health: `${this.#health?.host}:${this.#health?.port}`,
    };
    writeWhole(path.join(this.#config.dataDir, 'ready.json'), `${JSON.stringify(ready)}\n`);
    this.#log.info('ready', ready);
  }

  // Bundles.

  #applied(now: InForce): void {
    const { epoch, revision, settings } = now.bundle;
    this.#log.info('a bundle is in force', { epoch, revision });
    const serving = this.#serving;
    if (serving !== undefined) {
      serving.spool.trailSealKey = Buffer.from(settings.trailSealKey, 'base64url');
      this.#recordApplied(now);
    }
    this.#interceptedHosts = interceptedHosts(now.bundle.resources);
    this.#interception?.tick();
    this.#live.apply(now);
  }

  /** A restart begins with it. */
  #kept(now: InForce): void {
    this.#first.resolve(now);
    this.#reportBundle(now);
  }

  /** Asks for chunks, in messages below the link's limit. @param digests hex */
  #want(digests: readonly string[]): void {
    for (let from = 0; from < digests.length; from += DIGESTS_PER_ASK_MAX) {
      const some = digests.slice(from, from + DIGESTS_PER_ASK_MAX);
      this.#link.send({ body: 'want', want: { digests: some.map((digest) => Buffer.from(digest, 'hex')) } });
    }
  }

  #reportBundle({ bundle: { epoch, revision } }: InForce): void {
    this.#link.send({ body: 'bundle', bundle: { epoch, revision, accepted: true } });
  }

  #recordApplied({ bundle, digest }: InForce): void {
    this.#serving?.trail.recordOutcome({
      kind: 'bundle.applied',
      epoch: bundle.epoch,
      revision: bundle.revision,
      digest,
    });
  }

  #refused(error: GatewayError, epoch: number, revision: number): void {
    this.#refusedBundles++;
    this.#serving?.trail.recordOutcome({ kind: 'bundle.refused', epoch, revision, code: error.code });
    const reason = Object.entries(error.detail)
      .map(([name, value]) => `${name}=${value}`)
      .join(' ');
    this.#link.send({ body: 'bundle', bundle: { epoch, revision, accepted: false, code: error.code, reason } });
  }

  // The link.

  #hello(): AgentMessage {
    const inForce = this.#bundles.current?.bundle;
    const endpoints = (this.#serving?.listeners ?? []).map(({ protocol, plaintext, listener }) => ({
      protocol,
      address: `${plaintext ? '127.0.0.1' : this.#config.advertise}:${listener.port}`,
      plaintext,
    }));
    return {
      body: 'hello',
      hello: {
        version: VERSION,
        capabilities: [...CAPABILITIES],
        instance: this.#config.instance,
        chainEpoch: this.#serving?.spool.identity.epoch ?? 0,
        bundleEpoch: inForce?.epoch ?? 0,
        bundleRevision: inForce?.revision ?? 0,
        endpoints,
      },
    };
  }

  #linkOpened(): void {
    this.#contact.linked = true;
    const { current } = this.#bundles;
    if (current !== undefined) this.#reportBundle(current);
    this.#holds.announceAll();
    this.#ledger.linkOpened();
    this.#live.reportAll();
    this.#credentials.reportAll();
    this.#sshHostKey?.linkOpened();
    this.#interception?.linkOpened();
    this.#heartbeat();
    this.#serving?.uploads.restart();
  }

  #linkClosed(): void {
    this.#contact.linked = false;
    this.#live.unwatchAll();
    this.#ledger.linkClosed();
    this.#linkSignIns.linkClosed();
  }

  #linkRefused(): void {
    this.#log.error('the control plane has revoked this agent: its sessions end', {});
    this.#contact.refuse();
    this.#live.tick();
  }

  #received(message: ControlMessage): void {
    this.#contact.heard();
    try {
      this.#dispatch(message);
    } catch (error) {
      this.#log.error('a message of the control plane could not be used', { kind: message.body ?? '', error });
    }
  }

  #dispatch(message: ControlMessage): void {
    switch (message.body) {
      case 'manifest':
        return this.#want(this.#bundles.offer(message.manifest));
      case 'chunk':
        return this.#want(this.#bundles.chunk(message.chunk));
      case 'credentials':
        return this.#credentials.replace(message.credentials);
      case 'answer':
        return this.#holds.answered(message.answer.id ?? '', message.answer.signed ?? '');
      case 'trailAck':
        return this.#serving?.uploads.trailAck(message.trailAck);
      case 'recordingAck':
        return this.#serving?.uploads.recordingAck(message.recordingAck);
      case 'end': {
        const code = message.end.code ?? '';
        this.#live.end(message.end.sessionId ?? '', isErrorCode(code) ? code : 'session.killed');
        return;
      }
      case 'endLease':
        return this.#credentials.revokeLease(message.endLease.id ?? '');
      case 'errand':
        return this.#credentials.errand(message.errand.errand ?? new Uint8Array());
      case 'watch':
        return this.#live.watch(message.watch.sessionId ?? '', message.watch.on ?? false);
      case 'sshHostCertificate':
        return this.#sshHostKey?.certified(message.sshHostCertificate.certificate ?? new Uint8Array());
      case 'interceptionCertificate':
        return this.#interception?.certified(message.interceptionCertificate);
      case 'signInOffer':
        return this.#linkSignIns.offered(message.signInOffer);
      case 'signInDone':
        return this.#linkSignIns.done(message.signInDone);
      case 'budgetLease':
        return this.#ledger.leased(message.budgetLease);
      case 'welcome':
        this.#clockSkewMs = this.#clock.nowMs() - Number(message.welcome.now ?? this.#clock.nowMs());
        return;
      case undefined:
        // A younger control plane says something this agent does not know: restrictions never travel this way.
        return;
      default:
        message satisfies never;
    }
  }

  #heartbeat(): void {
    const serving = this.#serving;
    if (serving === undefined) return;
    const { instance, epoch, sequence, head } = serving.spool.heartbeat();
    const inForce = this.#bundles.current?.bundle;
    this.#link.send({
      body: 'heartbeat',
      heartbeat: {
        instance,
        epoch,
        sequence: String(sequence),
        head: Buffer.from(head, 'hex'),
        sessions: this.#live.count,
        bundleEpoch: inForce?.epoch ?? 0,
        bundleRevision: inForce?.revision ?? 0,
        now: String(this.#clock.nowMs()),
      },
    });
  }

  #giveBackWhenQuiet(): void {
    if (this.#admission.all > 0) this.#quietTicks = 0;
    else if (this.#quietTicks < QUIET_TICKS && ++this.#quietTicks === QUIET_TICKS) giveBack();
  }

  #tick(): void {
    this.#giveBackWhenQuiet();
    this.#live.tick();
    this.#credentials.tick();
    this.#sshHostKey?.tick();
    this.#interception?.tick();
    this.#serving?.spool.tick();
    this.#serving?.uploads.more();
  }

  #vitals(): Vitals {
    return {
      serving: () => this.#serving !== undefined && !this.#stopping,
      spool: () => this.#serving?.spool,
      counts: () => this.#serving?.trail.counts,
      bundle: () => this.#bundles.current?.bundle,
      linked: () => this.#link.connected,
      silentMs: () => this.#contact.silentMs,
      sessions: () => this.#live.count,
      connections: () => this.#admission,
      holds: () => this.#holds.count,
      refusedBundles: () => this.#refusedBundles,
      clockSkewMs: () => this.#clockSkewMs,
      sshNative: () => this.#config.listenSsh === undefined || this.#protocols.sshNative,
      certificateLeftMs: () => this.#identity.expiresAtMs - this.#clock.nowMs(),
    };
  }

  /** Tells sessions, records their ends, closes the epoch, sends what can be sent. Takes at most about `STOP_MS_MAX`. */
  async stop(): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#log.info('stopping', { sessions: this.#live.count });
    this.#renewal.stop();
    const serving = this.#serving;
    const closing = (serving?.listeners ?? []).map(({ listener }) => listener.close());
    for (const { listener } of serving?.listeners ?? []) listener.endAll('agent.stopping');
    await within(STOP_MS_MAX, () => this.#admission.all === 0);
    serving?.opening.shared.closeIdle();
    await Promise.race([this.#live.settled(), new Promise((done) => setTimeout(done, STOP_MS_MAX))]);
    for (const timer of this.#timers) clearInterval(timer);
    await this.#credentials.stop(LENT_MS_MAX);
    await this.#store.settled();
    if (serving !== undefined) {
      serving.trail.turn.endNow();
      await serving.spool.close('stopped');
      serving.uploads.more();
      this.#heartbeat();
      // What the control plane does not get now it gets after the next start.
      if (this.#link.connected) await within(LAST_UPLOADS_MS_MAX, () => serving.uploads.idle);
    }
    await Promise.race([Promise.all(closing), new Promise((done) => setTimeout(done, 500))]);
    await this.#link.stop();
    await this.#protocols.close();
    await this.#health?.close();
    rmSync(path.join(this.#config.dataDir, 'ready.json'), { force: true });
    this.#log.info('stopped', {});
  }
}

const listenerContext = ({ file }: Identity): tls.SecureContext =>
  tls.createSecureContext({
    cert: file.listenerChain,
    key: file.listenerKey,
    minVersion: 'TLSv1.2',
    sessionIdContext: randomBytes(16).toString('hex'),
  });

async function enrolled(config: AgentConfig, log: Logger): Promise<Identity> {
  if (config.joinToken === undefined) {
    throw new GatewayError('config.invalid', {
      setting: 'SALLYPORT_JOIN_TOKEN',
      reason: 'an agent that has not enrolled needs one',
    });
  }
  return storeIdentity(config.dataDir, await enroll(readJoinToken(config.joinToken), newAgentKeys(), VERSION, log));
}

/** The control plane has moved when the settings say so; what is kept is from the enrolment or the last renewal. */
function located(config: AgentConfig, identity: Identity): Identity {
  const { linkEndpoints, enrollEndpoints } = config;
  if (linkEndpoints.length === 0 && enrollEndpoints.length === 0) return identity;
  return storeIdentity(config.dataDir, {
    ...identity.file,
    ...(linkEndpoints.length === 0 ? {} : { endpoints: linkEndpoints }),
    ...(enrollEndpoints.length === 0 ? {} : { enrollEndpoints }),
  });
}

async function within(waitMs: number, done: () => boolean): Promise<void> {
  const until = performance.now() + waitMs;
  while (!done() && performance.now() < until) await new Promise((next) => setTimeout(next, 20));
}
