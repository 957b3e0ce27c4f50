/**
 * What agent and control plane say to each other over the link: who we are and how far we are, bundles and what became of
 * them, and who gets each word that comes. Refuses to know the stream, and to act on what it does not know.
 */
import type { AgentMessage, ControlMessage } from '@sallyport/contract';
import { type GatewayError, isErrorCode } from '@sallyport/core';
import { CAPABILITIES, interceptedHosts, type TrailEvent } from '@sallyport/model';
import type { InForce } from '../bundle/bundles.ts';
import type { AgentGiven, AgentParts, AgentState } from '../parts.ts';
import { VERSION } from '../version.ts';

const DIGESTS_PER_ASK_MAX = 20_000;

export class Dialogue {
  readonly #given: AgentGiven;
  readonly #state: AgentState;
  readonly #parts: AgentParts;

  constructor(given: AgentGiven, state: AgentState, parts: AgentParts) {
    this.#given = given;
    this.#state = state;
    this.#parts = parts;
  }

  /** The first words of a stream. */
  hello(): AgentMessage {
    const { bundles } = this.#parts;
    const { config } = this.#given;
    const inForce = bundles.current?.bundle;
    const endpoints = (this.#state.serving?.listeners ?? []).map(({ protocol, plaintext, listener }) => ({
      protocol,
      address: `${plaintext ? '127.0.0.1' : config.advertise}:${listener.port}`,
      plaintext,
    }));
    return {
      body: 'hello',
      hello: {
        version: VERSION,
        capabilities: [...CAPABILITIES],
        instance: config.instance,
        chainEpoch: this.#state.serving?.spool.identity.epoch ?? 0,
        bundleEpoch: inForce?.epoch ?? 0,
        bundleRevision: inForce?.revision ?? 0,
        endpoints,
      },
    };
  }

  opened(): void {
    const { contact, bundles, holds, ledger, live, credentials, sshHostKey, interception } = this.#parts;
    contact.linked = true;
    if (bundles.current !== undefined) this.reportBundle(bundles.current);
    holds.announceAll();
    ledger.linkOpened();
    live.reportAll();
    credentials.reportAll();
    sshHostKey?.linkOpened();
    interception?.linkOpened();
    this.heartbeat();
    this.#state.serving?.uploads.restart();
  }

  closed(): void {
    const { contact, live, ledger, linkSignIns } = this.#parts;
    contact.linked = false;
    live.unwatchAll();
    ledger.linkClosed();
    linkSignIns.linkClosed();
  }

  /** This agent was revoked. */
  refused(): void {
    this.#given.log.error('the control plane has revoked this agent: its sessions end', {});
    this.#parts.contact.refuse();
    this.#parts.live.tick();
  }

  received(message: ControlMessage): void {
    this.#parts.contact.heard();
    try {
      this.#dispatch(message);
    } catch (error) {
      this.#given.log.error('a message of the control plane could not be used', { kind: message.body ?? '', error });
    }
  }

  heartbeat(): void {
    const { serving } = this.#state;
    if (serving === undefined) return;
    const { instance, epoch, sequence, head } = serving.spool.heartbeat();
    const inForce = this.#parts.bundles.current?.bundle;
    this.#parts.link.send({
      body: 'heartbeat',
      heartbeat: {
        instance,
        epoch,
        sequence: String(sequence),
        head: Buffer.from(head, 'hex'),
        sessions: this.#parts.live.count,
        bundleEpoch: inForce?.epoch ?? 0,
        bundleRevision: inForce?.revision ?? 0,
        now: String(this.#given.clock.nowMs()),
      },
    });
  }

  bundleApplied(now: InForce): void {
    const { epoch, revision, settings } = now.bundle;
    this.#given.log.info('a bundle is in force', { epoch, revision });
    const { serving } = this.#state;
    if (serving !== undefined) {
      serving.spool.trailSealKey = Buffer.from(settings.trailSealKey, 'base64url');
      this.recordApplied(now);
    }
    this.#state.interceptedHosts = interceptedHosts(now.bundle.resources);
    this.#parts.interception?.tick();
    this.#parts.live.apply(now);
  }

  /** A restart begins with it. */
  bundleKept(now: InForce): void {
    this.#state.first.resolve(now);
    this.reportBundle(now);
  }

  bundleRefused(error: GatewayError, epoch: number, revision: number): void {
    this.#state.refusedBundles++;
    this.#record({ kind: 'bundle.refused', epoch, revision, code: error.code });
    const reason = Object.entries(error.detail)
      .map(([name, value]) => `${name}=${value}`)
      .join(' ');
    this.#parts.link.send({
      body: 'bundle',
      bundle: { epoch, revision, accepted: false, code: error.code, reason },
    });
  }

  reportBundle({ bundle: { epoch, revision } }: InForce): void {
    this.#parts.link.send({ body: 'bundle', bundle: { epoch, revision, accepted: true } });
  }

  recordApplied({ bundle, digest }: InForce): void {
    this.#record({ kind: 'bundle.applied', epoch: bundle.epoch, revision: bundle.revision, digest });
  }

  #record(event: TrailEvent): void {
    const { serving, stopping } = this.#state;
    // The chain of a process that ends is closed before its link is; the next one begins with the bundle in force.
    if (stopping && serving?.spool.isOpen === false) return;
    serving?.trail.recordOutcome(event);
  }

  /** Asks for chunks, in messages below the link's limit. @param digests hex */
  #want(digests: readonly string[]): void {
    for (let from = 0; from < digests.length; from += DIGESTS_PER_ASK_MAX) {
      const some = digests.slice(from, from + DIGESTS_PER_ASK_MAX);
      this.#parts.link.send({ body: 'want', want: { digests: some.map((digest) => Buffer.from(digest, 'hex')) } });
    }
  }

  #dispatch(message: ControlMessage): void {
    switch (message.body) {
      case 'manifest':
        return this.#want(this.#parts.bundles.offer(message.manifest));
      case 'chunk':
        return this.#want(this.#parts.bundles.chunk(message.chunk));
      case 'credentials':
        return this.#parts.credentials.replace(message.credentials);
      case 'answer':
        return this.#parts.holds.answered(message.answer.id ?? '', message.answer.signed ?? '');
      case 'trailAck':
        return this.#state.serving?.uploads.trailAck(message.trailAck);
      case 'recordingAck':
        return this.#state.serving?.uploads.recordingAck(message.recordingAck);
      case 'end': {
        const code = message.end.code ?? '';
        this.#parts.live.end(message.end.sessionId ?? '', isErrorCode(code) ? code : 'session.killed');
        return;
      }
      case 'endLease':
        return this.#parts.credentials.revokeLease(message.endLease.id ?? '');
      case 'errand':
        return this.#parts.credentials.errand(message.errand.errand ?? new Uint8Array());
      case 'watch':
        return this.#parts.live.watch(message.watch.sessionId ?? '', message.watch.on ?? false);
      case 'sshHostCertificate':
        return this.#parts.sshHostKey?.certified(message.sshHostCertificate.certificate ?? new Uint8Array());
      case 'interceptionCertificate':
        return this.#parts.interception?.certified(message.interceptionCertificate);
      case 'signInOffer':
        return this.#parts.linkSignIns.offered(message.signInOffer);
      case 'signInDone':
        return this.#parts.linkSignIns.done(message.signInDone);
      case 'budgetLease':
        return this.#parts.ledger.leased(message.budgetLease);
      case 'welcome': {
        const nowMs = this.#given.clock.nowMs();
        this.#state.clockSkewMs = nowMs - Number(message.welcome.now ?? nowMs);
        return;
      }
      case undefined:
        // A younger control plane says something this agent does not know: restrictions never travel this way.
        return;
      default:
        message satisfies never;
    }
  }
}
