/**
 * One agent's link: what it says goes to the features, what they have for it goes out. Trail, recordings and the rest are
 * three ordered lanes, so that a large upload does not delay an approval. Back-pressure stops reading, never drops.
 * Refuses to believe a message about who speaks: that is the certificate's (peer.ts).
 */
import type { ServerDuplexStream } from '@grpc/grpc-js';
import type { AgentMessage, ControlMessage, Hello, SealedCredentialMessage } from '@sallyport/contract';
import { GatewayError, LIMITS, type Logger } from '@sallyport/core';
import type { AgentBundle, BundleAgent } from '../bundles/bundles.service.ts';
import { OrderedWork } from './ordered-work.ts';
import { toStatus } from './status.ts';

export type AgentCall = ServerDuplexStream<AgentMessage, ControlMessage>;

const WAITING_MAX = 64;
const ANNOUNCED_MAX = 4 * LIMITS.openApprovalsMax;
/** Piece of a chunk in one message. */
const PIECE_BYTES = LIMITS.bundleChunkBytesMax;

/** What the features do with an agent's messages; link.server.ts wires them. */
export interface LinkFeatures {
  /** @param pages the agent reads manifests of pages */
  bundleFor(agent: BundleAgent, pages: boolean): Promise<AgentBundle>;
  credentialsFor(agent: BundleAgent, bundle: AgentBundle): Promise<SealedCredentialMessage[]>;
  hello(link: Link, hello: Hello): Promise<void>;
  heartbeat(link: Link, message: NonNullable<AgentMessage['heartbeat']>): Promise<void>;
  bundleReport(link: Link, message: NonNullable<AgentMessage['bundle']>): Promise<void>;
  approval(link: Link, message: NonNullable<AgentMessage['approval']>): Promise<void>;
  withdrawn(link: Link, message: NonNullable<AgentMessage['withdrawn']>): Promise<void>;
  consumed(link: Link, message: NonNullable<AgentMessage['consumed']>): Promise<void>;
  budgetAsk(link: Link, message: NonNullable<AgentMessage['budgetAsk']>): Promise<void>;
  session(link: Link, message: NonNullable<AgentMessage['session']>): Promise<void>;
  trail(link: Link, message: NonNullable<AgentMessage['trail']>): Promise<void>;
  recording(link: Link, message: NonNullable<AgentMessage['recording']>): Promise<void>;
  watch(link: Link, message: NonNullable<AgentMessage['watch']>): Promise<void>;
  lease(link: Link, message: NonNullable<AgentMessage['lease']>): Promise<void>;
  credential(link: Link, message: NonNullable<AgentMessage['credential']>): Promise<void>;
  sshHostKey(link: Link, message: NonNullable<AgentMessage['sshHostKey']>): Promise<void>;
  signInAsk(link: Link, message: NonNullable<AgentMessage['signInAsk']>): Promise<void>;
  signInWithdrawn(link: Link, message: NonNullable<AgentMessage['signInWithdrawn']>): Promise<void>;
  interceptionKey(link: Link, message: NonNullable<AgentMessage['interceptionKey']>): Promise<void>;
}

export class Link {
  readonly agent: BundleAgent;
  readonly #call: AgentCall;
  readonly #features: LinkFeatures;
  readonly #log: Logger;
  readonly #trail: OrderedWork;
  readonly #recording: OrderedWork;
  readonly #rest: OrderedWork;
  /** Sessions wait for these: not behind anything else. */
  readonly #budgets: OrderedWork;
  readonly #offers: OrderedWork;
  #pressed = 0;
  #open = true;
  #greeted = false;
  /** What this link was offered or says it has. */
  #has = { epoch: 0, revision: 0, credentials: '' };
  #chain = { instance: '', chainEpoch: 0 };
  /** Requests announced on this link; an answer goes only to the process that holds the statement, and once. */
  readonly #announced = new Map<string, 'open' | 'answered'>();
  /** The last two bundles offered: what may still be asked for. */
  #offered: readonly AgentBundle[] = [];
  #readsPages = false;

  constructor(agent: BundleAgent, call: AgentCall, features: LinkFeatures, log: Logger) {
    this.agent = agent;
    this.#call = call;
    this.#features = features;
    this.#log = log;
    const lane = (): OrderedWork =>
      new OrderedWork(
        WAITING_MAX,
        (cause) => this.#fail(cause),
        (pressed) => this.#press(pressed),
      );
    this.#trail = lane();
    this.#recording = lane();
    this.#rest = lane();
    this.#budgets = lane();
    this.#offers = lane();
    call.on('data', (message: AgentMessage) => this.#receive(message));
  }

  /** Queues one message; false when the link is closed. */
  send(message: ControlMessage): boolean {
    if (!this.#open) return false;
    this.#call.write(message);
    return true;
  }

  /** Who speaks, and which chain its process writes. */
  get source(): {
    readonly agentId: string;
    readonly projectId: string;
    readonly instance: string;
    readonly chainEpoch: number;
  } {
    return { agentId: this.agent.id, projectId: this.agent.projectId, ...this.#chain };
  }

  /** A request was announced on this link. @returns false when too many are open */
  announced(requestId: string): boolean {
    if (this.#announced.size >= ANNOUNCED_MAX) {
      for (const [id, state] of this.#announced) if (state === 'answered') this.#announced.delete(id);
    }
    if (this.#announced.size >= ANNOUNCED_MAX) return false;
    if (!this.#announced.has(requestId)) this.#announced.set(requestId, 'open');
    return true;
  }

  /** Sends an answer to a request that was announced here and not answered yet: a second copy could be taken for a ticket. */
  answer(requestId: string, signed: string): void {
    if (this.#announced.get(requestId) !== 'open') return;
    if (this.send({ answer: { id: requestId, signed } })) this.#announced.set(requestId, 'answered');
  }

  /** Announced here and not answered. */
  waiting(): readonly string[] {
    return [...this.#announced].filter(([, state]) => state === 'open').map(([id]) => id);
  }

  /** Sends what changed since the last offer, if anything did. Calls that overlap run one after the other. */
  offer(): void {
    if (this.#greeted && this.#open) this.#offers.push(() => this.#offerNow());
  }

  /** Ends the link; the agent sees the status and comes back if it may. */
  end(error?: GatewayError): void {
    if (!this.#open) return;
    this.#open = false;
    if (error === undefined) this.#call.end();
    else this.#call.emit('error', toStatus(error));
  }

  /** Called when the other side is gone: nothing is sent any more. */
  closed(): void {
    this.#open = false;
  }

  async settled(): Promise<void> {
    await Promise.all([
      this.#trail.settled(),
      this.#recording.settled(),
      this.#rest.settled(),
      this.#budgets.settled(),
      this.#offers.settled(),
    ]);
  }

  /** The greeting: welcome, the manifest if it is news, credentials. Called once, from the handling of hello. */
  async greet(nowMs: number, hello: Hello): Promise<void> {
    this.#has = { ...this.#has, epoch: hello.bundleEpoch ?? 0, revision: hello.bundleRevision ?? 0 };
    this.#chain = { instance: hello.instance ?? '', chainEpoch: hello.chainEpoch ?? 0 };
    this.#readsPages = (hello.capabilities ?? []).includes('bundle.pages.1');
    this.send({ welcome: { now: String(nowMs) } });
    this.#greeted = true;
    this.#offers.push(() => this.#offerNow());
    await this.#offers.settled();
  }

  async #offerNow(): Promise<void> {
    const bundle = await this.#features.bundleFor(this.agent, this.#readsPages).catch((cause: unknown) => {
      // Said aloud by the compiler; what is in force at the agent stays.
      this.#log.debug('no bundle to offer', { cause });
      return undefined;
    });
    if (bundle === undefined) return;
    this.#offered = [bundle, ...this.#offered.filter((one) => one !== bundle).slice(0, 1)];
    const newer =
      bundle.epoch > this.#has.epoch || (bundle.epoch === this.#has.epoch && bundle.revision > this.#has.revision);
    const older =
      bundle.epoch < this.#has.epoch || (bundle.epoch === this.#has.epoch && bundle.revision < this.#has.revision);
    if (older)
      this.#log.error(
        'the agent has a newer bundle than the database knows: was it restored? see /v1/bundles/recover',
        { agent: this.agent.name },
      );
    if (newer) this.send({ manifest: bundle.signed });
    if (bundle.credentialsVersion !== this.#has.credentials) {
      this.send({ credentials: { credentials: await this.#features.credentialsFor(this.agent, bundle) } });
    }
    this.#has = {
      epoch: newer ? bundle.epoch : this.#has.epoch,
      revision: newer ? bundle.revision : this.#has.revision,
      credentials: bundle.credentialsVersion,
    };
  }

  async #sendChunks(digests: readonly Uint8Array[]): Promise<void> {
    for (const digest of digests) {
      const hex = Buffer.from(digest).toString('hex');
      const body = this.#bodyOf(hex);
      if (body === undefined) {
        this.#log.warn('an agent wants a chunk that it was not offered', { agent: this.agent.name, digest: hex });
        continue;
      }
      for (let offset = 0; offset === 0 || offset < body.length; offset += PIECE_BYTES) {
        const part = body.subarray(offset, offset + PIECE_BYTES);
        await this.#written({ chunk: { digest, offset, part, last: offset + part.length >= body.length } });
      }
    }
  }

  #bodyOf(hex: string): Buffer | undefined {
    for (const { edition } of this.#offered) {
      const body = edition.body(hex);
      if (body !== undefined) return body;
    }
    return undefined;
  }

  /** Writes and waits while the other side is slow. */
  async #written(message: ControlMessage): Promise<void> {
    if (!this.#open || this.#call.write(message)) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.#call.off('drain', done).off('close', done).off('cancelled', done);
        resolve();
      };
      this.#call.on('drain', done).on('close', done).on('cancelled', done);
    });
  }

  #receive(message: AgentMessage): void {
    const {
      trail,
      recording,
      hello,
      heartbeat,
      want,
      bundle,
      approval,
      withdrawn,
      session,
      watch,
      consumed,
      budgetAsk,
    } = message;
    const { lease, credential } = message;
    const features = this.#features;
    if (hello != null) return this.#rest.push(() => features.hello(this, hello));
    if (trail != null) return this.#trail.push(() => features.trail(this, trail));
    if (recording != null) return this.#recording.push(() => features.recording(this, recording));
    if (heartbeat != null) return this.#rest.push(() => features.heartbeat(this, heartbeat));
    if (want != null) return this.#offers.push(() => this.#sendChunks(want.digests ?? []));
    if (bundle != null) return this.#rest.push(() => features.bundleReport(this, bundle));
    if (approval != null) return this.#rest.push(() => features.approval(this, approval));
    if (withdrawn != null) return this.#rest.push(() => features.withdrawn(this, withdrawn));
    if (session != null) return this.#rest.push(() => features.session(this, session));
    if (watch != null) return this.#rest.push(() => features.watch(this, watch));
    if (budgetAsk != null) return this.#budgets.push(() => features.budgetAsk(this, budgetAsk));
    if (consumed != null) return this.#rest.push(() => features.consumed(this, consumed));
    if (lease != null) return this.#rest.push(() => features.lease(this, lease));
    if (credential != null) return this.#rest.push(() => features.credential(this, credential));
    const { sshHostKey, signInAsk, signInWithdrawn, interceptionKey } = message;
    if (sshHostKey != null) return this.#rest.push(() => features.sshHostKey(this, sshHostKey));
    if (signInAsk != null) return this.#rest.push(() => features.signInAsk(this, signInAsk));
    if (signInWithdrawn != null) return this.#rest.push(() => features.signInWithdrawn(this, signInWithdrawn));
    if (interceptionKey != null) return this.#rest.push(() => features.interceptionKey(this, interceptionKey));
    // A message of a later version: the contract only adds, so what is not known is left alone.
    this.#log.debug('a message that this version does not know', { agent: this.agent.name });
  }

  #press(pressed: boolean): void {
    this.#pressed += pressed ? 1 : -1;
    if (this.#pressed === 0) this.#call.resume();
    else this.#call.pause();
  }

  #fail(cause: unknown): void {
    if (this.#open) this.#log.warn('a link ends: a message could not be handled', { agent: this.agent.name, cause });
    this.end(cause instanceof GatewayError ? cause : new GatewayError('internal', {}, { cause }));
  }
}
