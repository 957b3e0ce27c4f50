/**
 * The gRPC server of the link, over mutual TLS: any replica serves any agent. Wires each link to the features and the
 * bus to the links. Refuses revoked agents at once, and ends a link when its certificate does.
 */

import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from '@grpc/grpc-js';
import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { type EnrollResponse, linkService, type RenewRequest } from '@sallyport/contract';
import { GatewayError, LIMITS, type Parser } from '@sallyport/core';
import { parseCredentialReport, parseLeaseReport } from '@sallyport/model';
import { Approvals } from '../approvals/approvals.service.ts';
import { Budgets } from '../budgets/budgets.service.ts';
import { Bundles } from '../bundles/bundles.service.ts';
import { Bus } from '../bus/bus.ts';
import { Config } from '../config.ts';
import { Errands } from '../credentials/errands.service.ts';
import { Leases } from '../credentials/leases/leases.service.ts';
import type { Agent } from '../generated/prisma/client.ts';
import { Log } from '../http/problem.filter.ts';
import { CertificateAuthority } from '../keys/ca.ts';
import { Listening } from '../listening.ts';
import { Recordings } from '../recordings/recordings.service.ts';
import { LiveSessions } from '../sessions/live-sessions.ts';
import { AgentSignIns } from '../ssh/agent-sign-ins.ts';
import { SshCertificates } from '../ssh/ssh-certificates.service.ts';
import { SystemClock } from '../time.ts';
import { TrailIngest } from '../trail/ingest.service.ts';
import { AgentStates } from './agent-states.ts';
import { AgentsRepository } from './agents.repository.ts';
import { Enrollment } from './enrollment.service.ts';
import { bindServer, stopServer } from './grpc.ts';
import { Interception } from './interception.service.ts';
import { type AgentCall, Link, type LinkFeatures } from './link.ts';
import { Links } from './links.ts';
import { peerOf } from './peer.ts';
import { toStatus } from './status.ts';

const TIMER_MS_MAX = 2 ** 31 - 1;
const TEXT_MAX = 100;

@Injectable()
export class LinkServer implements OnApplicationBootstrap, OnModuleDestroy {
  #server: Server | undefined;
  #ends: (() => void)[] = [];
  constructor(
    private readonly config: Config,
    private readonly authority: CertificateAuthority,
    private readonly enrollment: Enrollment,
    private readonly agents: AgentsRepository,
    private readonly states: AgentStates,
    private readonly links: Links,
    private readonly bundles: Bundles,
    private readonly approvals: Approvals,
    private readonly budgets: Budgets,
    private readonly ingest: TrailIngest,
    private readonly recordings: Recordings,
    private readonly sessions: LiveSessions,
    private readonly leases: Leases,
    private readonly errands: Errands,
    private readonly ssh: SshCertificates,
    private readonly signIns: AgentSignIns,
    private readonly interception: Interception,
    private readonly bus: Bus,
    private readonly listening: Listening,
    private readonly clock: SystemClock,
    private readonly log: Log,
  ) {}

  async onApplicationBootstrap(): Promise<void> {
    this.#wireBus();
    const { chain, key, root } = await this.authority.serverCertificate();
    const credentials = ServerCredentials.createSsl(
      Buffer.from(root),
      [{ private_key: Buffer.from(key), cert_chain: Buffer.from(chain) }],
      true,
    );
    const server = new Server({
      'grpc.max_receive_message_length': LIMITS.grpcMessageBytesMax,
      'grpc.keepalive_time_ms': 10_000,
      'grpc.keepalive_timeout_ms': 5_000,
    });
    server.addService(linkService, {
      connect: (call: AgentCall) => void this.#connect(call),
      renew: (call: ServerUnaryCall<RenewRequest, EnrollResponse>, done: sendUnaryData<EnrollResponse>) =>
        this.#renew(call, done),
    });
    this.#server = server;
    this.listening.report('link', await bindServer(server, this.config.link, credentials));
  }

  async onModuleDestroy(): Promise<void> {
    for (const end of this.#ends) end();
    const links = this.links.all();
    for (const link of links) link.end(new GatewayError('agent.stopping'));
    await Promise.all(links.map((link) => link.settled()));
    await stopServer(this.#server);
  }

  #wireBus(): void {
    const offerAll = (projectId: string): void => {
      for (const link of this.links.all()) if (link.agent.projectId === projectId) link.offer();
    };
    this.#ends = [
      this.bundles.onChange(offerAll),
      this.bus.onGap(() => void this.#afterGap()),
      this.bus.subscribe('agent', ({ agentId }) => this.links.cut(agentId)),
      this.bus.subscribe('end', ({ agentId, sessionId, code }) =>
        this.links.send(agentId, { end: { sessionId, code } }),
      ),
      this.bus.subscribe('lease', ({ agentId, leaseId }) => this.links.send(agentId, { endLease: { id: leaseId } })),
      this.bus.subscribe('watch', ({ agentId, sessionId, on }) =>
        this.links.send(agentId, { watch: { sessionId, on } }),
      ),
      this.bus.subscribe('approval', ({ agentId, requestId }) => {
        if (this.links.has(agentId)) this.#answer(agentId, requestId);
      }),
    ];
  }

  /** The bus was down: read what it would have said. */
  async #afterGap(): Promise<void> {
    for (const link of this.links.all()) {
      const agent = await this.agents.byId(link.agent.id);
      if (agent === null || agent.revokedAt !== null) this.links.cut(link.agent.id);
      else for (const id of link.waiting()) this.#answer(link.agent.id, id);
    }
  }

  #answer(agentId: string, requestId: string): void {
    this.approvals.signedAnswer(requestId).then(
      (signed) => {
        if (signed !== undefined) this.links.answer(agentId, requestId, signed);
      },
      (cause: unknown) => this.log.error('an approval could not be answered', { requestId, cause }),
    );
  }

  /**
   * Tickets that were approved while the agent was away, and the way for those that are not answered yet: a process that was
   * started anew does not announce what one before it asked. Open holds are announced again and answered then.
   */
  async #sendTickets(link: Link): Promise<void> {
    for (const id of await this.approvals.askedTickets(link.agent.id)) link.announced(id);
    for (const { id, signed } of await this.approvals.ticketsFor(link.agent.id)) {
      if (link.announced(id)) link.answer(id, signed);
    }
  }

  async #agentOf(
    certificate: Parameters<typeof peerOf>[0],
  ): Promise<{ readonly agent: Agent; readonly notAfterMs: number }> {
    const peer = peerOf(certificate);
    const agent = await this.agents.byId(peer.agentId);
    if (agent === null || agent.revokedAt !== null || agent.projectId !== peer.projectId)
      throw new GatewayError('auth.failed', { reason: 'agent', agent: peer.agentId });
    return { agent, notAfterMs: peer.notAfterMs };
  }

  async #connect(call: AgentCall): Promise<void> {
    // Nothing is read before it is known who speaks.
    call.pause();
    let over = false;
    call.on('cancelled', () => {
      over = true;
    });
    call.on('error', () => undefined);
    try {
      const { agent, notAfterMs } = await this.#agentOf(call.getAuthContext()?.sslPeerCertificate);
      if (over) return;
      const link = new Link(
        { id: agent.id, name: agent.name, projectId: agent.projectId, sealKey: agent.sealKey },
        call,
        this.#features,
        this.log,
      );
      this.links.add(link);
      this.log.info('an agent connected', { agent: agent.name });
      const expiry = setTimeout(
        () => link.end(new GatewayError('auth.failed', { reason: 'expired' })),
        Math.min(TIMER_MS_MAX, Math.max(0, notAfterMs - this.clock.nowMs())),
      );
      const closed = (): void => {
        clearTimeout(expiry);
        link.closed();
        if (!this.links.all().includes(link)) return;
        this.links.remove(link);
        this.signIns.withdrawAll(agent.id);
        this.log.info('an agent is gone', { agent: agent.name });
      };
      call.on('end', () => {
        link.end();
        closed();
      });
      call.on('cancelled', closed);
      call.on('close', closed);
      call.on('error', closed);
      // Revoked between the look-up and here: the bus message found no link to cut.
      const again = await this.agents.byId(agent.id);
      if (again === null || again.revokedAt !== null) link.end(new GatewayError('auth.failed', { reason: 'revoked' }));
      else call.resume();
    } catch (cause) {
      if (!(cause instanceof GatewayError)) this.log.error('a link could not be opened', { cause });
      call.emit('error', toStatus(cause));
    }
  }

  #renew(call: ServerUnaryCall<RenewRequest, EnrollResponse>, done: sendUnaryData<EnrollResponse>): void {
    this.#agentOf(call.getAuthContext()?.sslPeerCertificate)
      .then(({ agent }) => this.enrollment.renew(agent.id, call.request))
      .then(
        (response) => done(null, response),
        (cause: unknown) => {
          if (!(cause instanceof GatewayError)) this.log.error('a renewal failed', { cause });
          done(toStatus(cause));
        },
      );
  }

  /**
   * A message that cannot be used changes nothing and is said aloud. It does not end the link: it would come again
   * after each reconnect, and take everything else of that agent down with it.
   */
  async #orSkip(link: Link, what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (cause) {
      if (!(cause instanceof GatewayError)) throw cause;
      this.log.error('a message of an agent was not used', { agent: link.agent.name, what, error: cause });
    }
  }

  readonly #features: LinkFeatures = {
    bundleFor: async (agent, pages) => {
      try {
        return await this.bundles.bundleFor(agent, pages);
      } catch (cause) {
        // Where an admin looks for it: what is in force stays, and does not follow the changes made since.
        if (cause instanceof GatewayError && cause.code === 'bundle.malformed')
          await this.states.note(agent.id, { bundleError: notCompiled(cause) });
        throw cause;
      }
    },
    credentialsFor: (agent, bundle) => this.bundles.credentialsFor(agent, bundle),
    hello: async (link, hello) => {
      const endpoints = (hello.endpoints ?? []).slice(0, 20).map(({ protocol, address, plaintext }) => ({
        protocol: String(protocol).slice(0, TEXT_MAX),
        address: String(address).slice(0, 300),
        plaintext: plaintext === true,
      }));
      await this.agents.update(link.agent.id, {
        version: (hello.version ?? '').slice(0, TEXT_MAX),
        capabilities: (hello.capabilities ?? []).slice(0, TEXT_MAX),
        instance: (hello.instance ?? '').slice(0, 63),
        bundleEpoch: hello.bundleEpoch ?? 0,
        bundleRevision: hello.bundleRevision ?? 0,
        endpoints,
        lastSeenAt: this.clock.now(),
      });
      await link.greet(this.clock.nowMs(), hello);
      await this.approvals.started(link.source);
      await this.#sendTickets(link);
      for (const sessionId of this.sessions.watchedOf(link.agent.id)) link.send({ watch: { sessionId, on: true } });
    },
    heartbeat: async (link, beat) => {
      await this.states.note(link.agent.id, {
        lastSeenAt: this.clock.now(),
        bundleEpoch: beat.bundleEpoch ?? 0,
        bundleRevision: beat.bundleRevision ?? 0,
      });
      const source = link.source;
      const sequence = Number(beat.sequence ?? '0');
      const head = Buffer.from(beat.head ?? new Uint8Array());
      if (!Number.isSafeInteger(sequence) || head.length !== 32 || (beat.epoch ?? 0) === 0) return;
      await this.ingest.hear(source, { instance: beat.instance ?? '', epoch: beat.epoch ?? 0, sequence, head });
    },
    bundleReport: async (link, report) => {
      const accepted = report.accepted === true;
      const error = accepted
        ? null
        : `${report.code ?? ''}: ${(report.reason ?? '').slice(0, 500)} (${report.epoch ?? 0}/${report.revision ?? 0})`;
      if (!accepted) this.log.error('an agent refused its bundle', { agent: link.agent.name, error });
      await this.states.note(link.agent.id, {
        bundleError: error,
        ...(accepted ? { bundleEpoch: report.epoch ?? 0, bundleRevision: report.revision ?? 0 } : {}),
      });
    },
    approval: (link, ask) =>
      this.#orSkip(link, 'approval', async () => {
        const opened = await this.approvals.open(link.source, ask.request ?? new Uint8Array(), (id) =>
          link.announced(id),
        );
        if (opened.signed !== undefined) link.answer(opened.id, opened.signed);
      }),
    withdrawn: (link, { id, reason }) => this.approvals.withdraw(link.agent.id, id ?? '', reason ?? ''),
    consumed: (link, { id, sessionId }) => this.approvals.consume(link.agent.id, id ?? '', sessionId ?? ''),
    budgetAsk: async (link, ask) => {
      const lease = await this.budgets.lease(link.agent, ask);
      if (lease === undefined || link.send({ budgetLease: lease }) || lease.code) return;
      // Whoever asked is gone: what nobody got is there for others.
      const { granted: back, window } = lease;
      await this.budgets.lease(link.agent, { ...ask, owed: undefined, window, back, ends: true });
    },
    session: (link, report) =>
      this.#orSkip(link, 'session', () => this.sessions.report(link.source, report.session ?? new Uint8Array())),
    trail: async (link, batch) => {
      const { instance = '', epoch = 0, cursor = '' } = batch as { instance?: string; epoch?: number; cursor?: string };
      const source = link.source;
      const uploaded = {
        instance,
        epoch,
        records: Buffer.from(batch.records ?? []),
        segmentHeader: Buffer.from(batch.segmentHeader ?? []),
      };
      try {
        await this.ingest.accept(source, uploaded);
        link.send({ trailAck: { instance, epoch, cursor } });
      } catch (cause) {
        if (!(cause instanceof GatewayError) || cause.code !== 'trail.broken') throw cause;
        link.send({ trailAck: { instance, epoch, cursor, code: cause.code } });
      }
    },
    recording: (link, piece) =>
      this.#orSkip(link, 'recording', async () => {
        const done = await this.recordings.accept(link.source, piece);
        if (done !== undefined) link.send({ recordingAck: done });
      }),
    lease: (link, { lease, live }) =>
      this.#orSkip(link, 'lease', async () => {
        if (lease != null && lease.length > 0) await this.leases.reported(link.source, read(parseLeaseReport, lease));
        else await this.leases.settled(link.agent.id, live ?? []);
      }),
    credential: (link, { report }) =>
      this.#orSkip(link, 'credential', () =>
        this.errands.reported(link.source, read(parseCredentialReport, report ?? new Uint8Array())),
      ),
    sshHostKey: (link, { publicKey }) =>
      this.#orSkip(link, 'ssh host key', async () => {
        const agent = await this.agents.byId(link.agent.id);
        if (agent === null) return;
        const { certificate, notAfter } = await this.ssh.certifyHost(agent, publicKey ?? new Uint8Array());
        link.send({ sshHostCertificate: { certificate, notAfter: String(notAfter.getTime()) } });
      }),
    interceptionKey: (link, { csr }) =>
      this.#orSkip(link, 'interception key', async () => {
        const interceptionCertificate = await this.interception.certify(link.agent, csr ?? new Uint8Array());
        link.send({ interceptionCertificate });
      }),
    signInAsk: (link, ask) =>
      this.#orSkip(link, 'sign-in', () => this.signIns.ask(link.agent, ask, (message) => link.send(message))),
    signInWithdrawn: async (link, { id }) => this.signIns.withdraw(link.agent.id, id ?? ''),
    watch: async (link, { sessionId, frame }) =>
      this.sessions.frame(link.agent.id, sessionId ?? '', Buffer.from(frame ?? [])),
  };
}

const notCompiled = ({ code, detail }: GatewayError): string =>
  `${code}: not compiled, ${Object.entries(detail)
    .map(([name, value]) => `${name}=${String(value)}`)
    .join(' ')}`.slice(0, TEXT_MAX * 5);

function read<T>(parser: Parser<T>, bytes: Uint8Array): T {
  try {
    return parser(JSON.parse(Buffer.from(bytes).toString('utf8')), '');
  } catch (cause) {
    throw new GatewayError('protocol.malformed', { what: 'document' }, { cause });
  }
}
