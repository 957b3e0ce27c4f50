/**
 * The bundle each connected agent should have: compiled once per revision of its project, signed, and offered when that
 * grows.
 * Refuses to know connections: links ask, and are told through `onChange`. A state that cannot be compiled changes
 * nothing at the agents: the last good one stays in force and the failure is said aloud.
 */
import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import type { SealedCredentialMessage, SignedManifest } from '@sallyport/contract';
import { GatewayError, LIMITS } from '@sallyport/core';
import { Counter, Gauge } from 'prom-client';
import { Bus } from '../bus/bus.ts';
import { Config } from '../config.ts';
import { sealForAgent } from '../credentials/seal-for-agent.ts';
import { Project } from '../db/project.ts';
import { Metrics } from '../http/metrics.ts';
import { Log } from '../http/problem.filter.ts';
import { Envelope } from '../keys/envelope.ts';
import { Keys } from '../keys/keys.ts';
import { type BundleCounter, BundlesRepository, type ProjectSnapshot } from './bundles.repository.ts';
import { type BundleSource, type CompiledBundle, compileBundle } from './compile.ts';

/** Notifications are the quick way; this finds what a lost one did not say. */
const POLL_MS = 5_000;
const COMPILED_MAX = 1_000;

export interface BundleAgent {
  readonly id: string;
  readonly name: string;
  readonly projectId: string;
  /** Raw X25519 public key. */
  readonly sealKey: Uint8Array;
}

export interface AgentBundle extends CompiledBundle {
  readonly signed: SignedManifest;
  /** Changes exactly when the boxes an agent needs do. */
  readonly credentialsVersion: string;
}

interface Compiled {
  readonly counter: BundleCounter;
  readonly bundle: Promise<AgentBundle>;
}

type Read = Promise<{ readonly source: BundleSource; readonly state: ProjectSnapshot }>;

const NO_CHANGE_YET: BundleCounter = { epoch: 1, revision: 0 };
const isSame = (a: BundleCounter, b: BundleCounter): boolean => a.epoch === b.epoch && a.revision === b.revision;

@Injectable()
export class Bundles implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #listeners = new Set<(projectId: string) => void>();
  readonly #compiled = new Map<string, Compiled>();
  /** By project. */
  readonly #snapshots = new Map<string, Read>();
  #counters: ReadonlyMap<string, BundleCounter> = new Map();
  #timer: NodeJS.Timeout | undefined;
  #refreshing: Promise<void> | undefined;
  #again = false;
  readonly #revision: Gauge;
  readonly #failures: Counter;

  constructor(
    private readonly repository: BundlesRepository,
    private readonly keys: Keys,
    private readonly envelope: Envelope,
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
    this.bus.subscribe('bundle', () => this.refresh());
    this.bus.onGap(() => this.refresh());
    this.#counters = await this.repository.counters();
    this.#timer = setInterval(() => this.refresh(), POLL_MS);
    this.#timer.unref();
  }

  onModuleDestroy(): void {
    clearInterval(this.#timer);
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
    this.#refreshing = this.#look()
      .catch((cause: unknown) => this.log.warn('the bundle state could not be read', { cause }))
      .finally(() => {
        this.#refreshing = undefined;
        if (!this.#again) return;
        this.#again = false;
        this.refresh();
      });
  }

  /** @throws GatewayError `bundle.malformed` when the project's state cannot be compiled */
  async bundleFor(agent: BundleAgent): Promise<AgentBundle> {
    const known = this.#compiled.get(agent.id);
    const counter = this.#counterOf(agent.projectId);
    if (known !== undefined && isSame(known.counter, counter)) return await known.bundle;
    const bundle = this.#make(agent);
    this.#compiled.delete(agent.id);
    if (this.#compiled.size >= COMPILED_MAX) this.#compiled.delete(this.#compiled.keys().next().value!);
    this.#compiled.set(agent.id, { counter, bundle });
    try {
      return await bundle;
    } catch (cause) {
      this.#compiled.delete(agent.id);
      this.#failures.inc();
      this.log.error('a bundle could not be compiled', { agent: agent.name, error: cause });
      throw cause;
    }
  }

  /** Stored credentials of a bundle, each sealed to the agent's own key. */
  async credentialsFor(agent: BundleAgent, bundle: AgentBundle): Promise<SealedCredentialMessage[]> {
    const { state } = await this.#read(agent.projectId);
    return bundle.credentialIds.flatMap((id) => {
      const boxes = state.credentials.get(id)?.boxes ?? [];
      return boxes.map(({ ending, sealed, notAfter }) => ({
        id: id + ending,
        box: sealForAgent(this.envelope, id, id + ending, sealed, agent.sealKey),
        ...(notAfter === undefined ? {} : { notAfter: String(notAfter) }),
      }));
    });
  }

  async #look(): Promise<void> {
    const before = this.#counters;
    this.#counters = await this.repository.counters();
    const changed = [...this.#counters].filter(([id, counter]) => !isSame(counter, before.get(id) ?? NO_CHANGE_YET));
    for (const [projectId] of changed) this.#snapshots.delete(projectId);
    this.#revision.set(this.#counterOf(this.project.id).revision);
    for (const [projectId] of changed) for (const listener of this.#listeners) listener(projectId);
  }

  #counterOf(projectId: string): BundleCounter {
    return this.#counters.get(projectId) ?? NO_CHANGE_YET;
  }

  async #make(agent: BundleAgent): Promise<AgentBundle> {
    const { source, state } = await this.#read(agent.projectId);
    const compiled = compileBundle(source, agent);
    const { signature, certificates } = await this.keys.sign('bundle', compiled.manifest);
    if (certificates.length === 0) throw new GatewayError('bundle.signature', { reason: 'no certificate' });
    const versions = compiled.credentialIds.map((id) => `${id}/${state.credentials.get(id)?.version ?? 0}`);
    return {
      ...compiled,
      signed: { manifest: compiled.manifest, signature, certificates: [...certificates] },
      credentialsVersion: versions.join(' '),
    };
  }

  #read(projectId: string): Read {
    const known = this.#snapshots.get(projectId);
    if (known !== undefined) return known;
    const reading = this.#readNow(projectId).catch((cause: unknown) => {
      this.#snapshots.delete(projectId);
      throw cause;
    });
    this.#snapshots.set(projectId, reading);
    return reading;
  }

  async #readNow(projectId: string): Read {
    const state = await this.repository.snapshot(projectId);
    // The change may be a key that another replica made: one left out here would be unknown to agents when it signs.
    this.keys.forget();
    const seals = await this.keys.trailSealKeys();
    const current = seals.find((key) => key.current);
    if (current === undefined) throw new GatewayError('internal', { reason: 'no trail seal key' });
    const { credentials: _, ...rest } = state;
    const source: BundleSource = {
      ...rest,
      keys: await this.keys.verificationKeys(),
      settings: {
        trailSealKey: current.keys.publicKey.toString('base64url'),
        trailSealKeyId: current.id,
        issuer: this.keys.issuer,
        domain: this.config.domain,
        heartbeatMs: LIMITS.heartbeatEveryMs,
      },
    };
    return { source, state };
  }
}
