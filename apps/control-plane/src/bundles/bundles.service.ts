/**
 * The bundle each connected agent should have: compiled once per revision, signed, and offered when the revision grows.
 * Refuses to know connections: links ask, and are told through `onChange`. A state that cannot be compiled changes
 * nothing at the agents: the last good one stays in force and the failure is said aloud.
 */
import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import type { SignedManifest } from '@sallyport/contract';
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

@Injectable()
export class Bundles implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #listeners = new Set<() => void>();
  readonly #compiled = new Map<string, Compiled>();
  #snapshot: Promise<{ readonly source: BundleSource; readonly state: ProjectSnapshot }> | undefined;
  #counter: BundleCounter = { epoch: 0, revision: 0 };
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
      help: 'Revision of the project as this replica knows it.',
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
    this.#counter = await this.repository.counter(this.project.id);
    this.#timer = setInterval(() => this.refresh(), POLL_MS);
    this.#timer.unref();
  }

  onModuleDestroy(): void {
    clearInterval(this.#timer);
    this.#listeners.clear();
  }

  /** Called after each change of revision that this replica learns of. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Looks at the counter and tells the listeners when it grew. Calls that overlap become one more look. */
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
    if (
      known !== undefined &&
      known.counter.epoch === this.#counter.epoch &&
      known.counter.revision === this.#counter.revision
    )
      return await known.bundle;
    const bundle = this.#make(agent);
    this.#compiled.delete(agent.id);
    if (this.#compiled.size >= COMPILED_MAX) this.#compiled.delete(this.#compiled.keys().next().value!);
    this.#compiled.set(agent.id, { counter: this.#counter, bundle });
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
  async credentialsFor(agent: BundleAgent, bundle: AgentBundle): Promise<{ id: string; box: Uint8Array }[]> {
    const { state } = await this.#read();
    return bundle.credentialIds.flatMap((id) => {
      const stored = state.credentials.get(id);
      if (stored === undefined) return [];
      return [{ id, box: sealForAgent(this.envelope, id, stored.sealed, agent.sealKey) }];
    });
  }

  async #look(): Promise<void> {
    const counter = await this.repository.counter(this.project.id);
    if (counter.epoch === this.#counter.epoch && counter.revision === this.#counter.revision) return;
    this.#counter = counter;
    this.#snapshot = undefined;
    this.#revision.set(counter.revision);
    for (const listener of this.#listeners) listener();
  }

  async #make(agent: BundleAgent): Promise<AgentBundle> {
    const { source, state } = await this.#read();
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

  #read(): Promise<{ readonly source: BundleSource; readonly state: ProjectSnapshot }> {
    this.#snapshot ??= this.#readNow().catch((cause: unknown) => {
      this.#snapshot = undefined;
      throw cause;
    });
    return this.#snapshot;
  }

  async #readNow(): Promise<{ readonly source: BundleSource; readonly state: ProjectSnapshot }> {
    const state = await this.repository.snapshot(this.project.id);
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
