/**
 * The bundle each connected agent should have: its project's rows, catalog and views brought up to date per revision, signed,
 * and offered when that grows. ADR 0029.
 * Refuses to know connections: links ask, and are told through `onChange`. A state that cannot be compiled changes
 * nothing at the agents: the last good one stays in force and the failure is said aloud.
 */
import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import type { SealedCredentialMessage, SignedManifest } from '@sallyport/contract';
import { GatewayError, LIMITS } from '@sallyport/core';
import { MASK_KEY_BOX, type Resource } from '@sallyport/model';
import { Counter, Gauge } from 'prom-client';
import { Bus } from '../bus/bus.ts';
import { Config } from '../config.ts';
import { MaskKeys } from '../credentials/mask-keys.ts';
import { sealForAgent } from '../credentials/seal-for-agent.ts';
import { Project } from '../db/project.ts';
import { Metrics } from '../http/metrics.ts';
import { Log } from '../http/problem.filter.ts';
import { Envelope } from '../keys/envelope.ts';
import { Keys } from '../keys/keys.ts';
import { type BundleCounter, BundlesRepository } from './bundles.repository.ts';
import type { BundleSource } from './compile.ts';
import { ProjectBundles } from './project-bundles.ts';
import { type Edition, manifestFor } from './view.ts';

/** Notifications are the quick way; this finds what a lost one did not say. */
const POLL_MS = 5_000;
const COMPILED_MAX = 1_000;
/** From one look to the next where changes come that may wait for each other. A large bundle costs every agent a tenth of a second. */
const GATHER_MS = 1_000;

export interface BundleAgent {
  readonly id: string;
  readonly name: string;
  readonly projectId: string;
  /** Raw X25519 public key. */
  readonly sealKey: Uint8Array;
}

export interface AgentBundle {
  readonly epoch: number;
  readonly revision: number;
  readonly signed: SignedManifest;
  /** What the agent may ask for by digest. */
  readonly edition: Edition;
  /** Changes exactly when the boxes an agent needs do. */
  readonly credentialsVersion: string;
}

interface Compiled {
  readonly counter: BundleCounter;
  readonly bundle: Promise<AgentBundle>;
}

const NO_CHANGE_YET: BundleCounter = { epoch: 1, revision: 0 };
const isSame = (a: BundleCounter, b: BundleCounter): boolean => a.epoch === b.epoch && a.revision === b.revision;

@Injectable()
export class Bundles implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #listeners = new Set<(projectId: string) => void>();
  readonly #compiled = new Map<string, Compiled>();
  /** By project. */
  readonly #projects = new Map<string, ProjectBundles>();
  #counters: ReadonlyMap<string, BundleCounter> = new Map();
  #timer: NodeJS.Timeout | undefined;
  #refreshing: Promise<void> | undefined;
  #again = false;
  #gathering: NodeJS.Timeout | undefined;
  /** Monotonic ms: when the last look began. */
  #lookedAt = Number.NEGATIVE_INFINITY;
  readonly #revision: Gauge;
  readonly #failures: Counter;

  constructor(
    private readonly repository: BundlesRepository,
    private readonly keys: Keys,
    private readonly envelope: Envelope,
    private readonly maskKeys: MaskKeys,
    private readonly project: Project,
    private readonly config: Config,
    private readonly bus: Bus,
    private readonly log: Log,
    metrics: Metrics,
  ) {
    const registers = [metrics.registry];
    this.#revision = new Gauge({
      name: 'sallyport_bundle_revision',
      help: 'Revision of the default project as this replica knows it.',
      registers,
    });
    this.#failures = new Counter({
      name: 'sallyport_bundle_failures_total',
      help: 'Bundles that could not be compiled or signed.',
      registers,
    });
  }

  async onApplicationBootstrap(): Promise<void> {
    this.bus.subscribe('bundle', ({ later }) => (later === true ? this.#refreshLater() : this.refresh()));
    this.bus.onGap(() => this.refresh());
    this.#counters = await this.repository.counters();
    this.#timer = setInterval(() => this.refresh(), POLL_MS);
    this.#timer.unref();
  }

  onModuleDestroy(): void {
    clearInterval(this.#timer);
    clearTimeout(this.#gathering);
    this.#listeners.clear();
  }

  /** Called with the project's id after each change of its revision that this replica learns of. */
  onChange(listener: (projectId: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Looks at the counters and tells the listeners which grew. Calls that overlap become one more look. */
  refresh(): void {
    if (this.#refreshing !== undefined) {
      this.#again = true;
      return;
    }
    clearTimeout(this.#gathering);
    this.#gathering = undefined;
    this.#lookedAt = performance.now();
    this.#refreshing = this.#look()
      .catch((cause: unknown) => this.log.warn('the bundle state could not be read', { cause }))
      .finally(() => {
        this.#refreshing = undefined;
        if (!this.#again) return;
        this.#again = false;
        this.refresh();
      });
  }

  /**
   * At once after some quiet, and then every so often: a hundred people who sign in within a second are not a hundred bundles.
   * What takes a right away never waits here.
   */
  #refreshLater(): void {
    if (this.#gathering !== undefined) return;
    const wait = this.#lookedAt + GATHER_MS - performance.now();
    if (wait <= 0) this.refresh();
    else this.#gathering = setTimeout(() => this.refresh(), wait);
  }

  /**
   * @param pages the agent reads manifests of pages
   * @throws GatewayError `bundle.malformed` when the project's state cannot be compiled
   */
  async bundleFor(agent: BundleAgent, pages: boolean): Promise<AgentBundle> {
    const key = `${agent.id}${pages ? '' : ' flat'}`;
    const known = this.#compiled.get(key);
    const counter = this.#counterOf(agent.projectId);
    if (known !== undefined && isSame(known.counter, counter)) return await known.bundle;
    const bundle = this.#make(agent, pages, counter);
    this.#compiled.delete(key);
    if (this.#compiled.size >= COMPILED_MAX) this.#compiled.delete(this.#compiled.keys().next().value!);
    this.#compiled.set(key, { counter, bundle });
    try {
      return await bundle;
    } catch (cause) {
      this.#compiled.delete(key);
      this.#failures.inc();
      this.log.error('a bundle could not be compiled', { agent: agent.name, error: cause });
      throw cause;
    }
  }

  /** The resources that an agent guards, as its bundle has them. */
  async resourcesFor(agent: Pick<BundleAgent, 'name' | 'projectId'>): Promise<readonly Resource[]> {
    return (await this.#projectOf(agent.projectId).at(this.#counterOf(agent.projectId))).resourcesFor(agent.name);
  }

  /** Stored credentials of a bundle and the project's mask key, each sealed to the agent's own key. */
  async credentialsFor(agent: BundleAgent, bundle: AgentBundle): Promise<SealedCredentialMessage[]> {
    const { credentials } = await this.#projectOf(agent.projectId).at(this.#counterOf(agent.projectId));
    const stored = bundle.edition.credentialIds.flatMap((id) => {
      const boxes = credentials.get(id)?.boxes ?? [];
      return boxes.map(({ ending, sealed, notAfter }) => ({
        id: id + ending,
        box: sealForAgent(this.envelope, id, id + ending, sealed, agent.sealKey),
        ...(notAfter === undefined ? {} : { notAfter: String(notAfter) }),
      }));
    });
    return [await this.maskKeys.sealedFor(agent.projectId, agent.sealKey), ...stored];
  }

  async #look(): Promise<void> {
    const before = this.#counters;
    this.#counters = await this.repository.counters();
    const changed = [...this.#counters].filter(([id, counter]) => !isSame(counter, before.get(id) ?? NO_CHANGE_YET));
    this.#revision.set(this.#counterOf(this.project.id).revision);
    for (const [projectId] of changed) for (const listener of this.#listeners) listener(projectId);
  }

  #counterOf(projectId: string): BundleCounter {
    return this.#counters.get(projectId) ?? NO_CHANGE_YET;
  }

  async #make(agent: BundleAgent, pages: boolean, counter: BundleCounter): Promise<AgentBundle> {
    const state = await this.#projectOf(agent.projectId).at(counter);
    const edition = state.editionFor(agent.name);
    const manifest = manifestFor(edition, { id: agent.id, pages });
    const { signature, certificates } = await this.keys.sign('bundle', manifest);
    if (certificates.length === 0) throw new GatewayError('bundle.signature', { reason: 'no certificate' });
    const versions = edition.credentialIds.map((id) => `${id}/${state.credentials.get(id)?.version ?? 0}`);
    return {
      epoch: edition.epoch,
      revision: edition.revision,
      edition,
      signed: { manifest, signature, certificates: [...certificates] },
      credentialsVersion: [MASK_KEY_BOX, ...versions].join(' '),
    };
  }

  #projectOf(projectId: string): ProjectBundles {
    let project = this.#projects.get(projectId);
    if (project === undefined) {
      project = new ProjectBundles({
        read: (since) => this.repository.read(projectId, since),
        keysAndSettings: () => this.#keysAndSettings(),
      });
      this.#projects.set(projectId, project);
    }
    return project;
  }

  async #keysAndSettings(): Promise<Pick<BundleSource, 'keys' | 'settings'>> {
    // The change may be a key that another replica made: one left out here would be unknown to agents when it signs.
    this.keys.forget();
    const seals = await this.keys.trailSealKeys();
    const current = seals.find((key) => key.current);
    if (current === undefined) throw new GatewayError('internal', { reason: 'no trail seal key' });
    return {
      keys: await this.keys.verificationKeys(),
      settings: {
        trailSealKey: current.keys.publicKey.toString('base64url'),
        trailSealKeyId: current.id,
        issuer: this.keys.issuer,
        domain: this.config.domain,
        heartbeatMs: LIMITS.heartbeatEveryMs,
      },
    };
  }
}
