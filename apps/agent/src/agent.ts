/**
 * One agent process: boots in the order identity → last good bundle (or the first one over the link) → spool → listeners,
 * keeps its clock, and stops without losing a record. Works without the control plane once it has a bundle.
 * Refuses to know protocols, policy and formats: it starts and stops the parts that do (parts.ts, serving.ts).
 */
import { rmSync } from 'node:fs';
import path from 'node:path';
import { type Clock, GatewayError, LIMITS, type Logger } from '@sallyport/core';
import type { InForce } from './bundle/bundles.ts';
import type { AgentConfig } from './config.ts';
import { makePrivateDir } from './files.ts';
import { giveBack } from './flags.ts';
import { type HealthServer, openHealth } from './health.ts';
import { Dialogue } from './link/dialogue.ts';
import type { Identity } from './link/identity.ts';
import { ownIdentity } from './link/own-identity.ts';
import { type AgentGiven, type AgentParts, type AgentState, makeParts, startingState } from './parts.ts';
import type { AgentProtocols } from './protocols.ts';
import { openServing, writeReady } from './serving.ts';
import { VERSION } from './version.ts';
import { healthView, type Vitals } from './vitals.ts';

const TICK_MS = 1_000;
/** Nobody connected for so long: what sessions left is given back, compiled code with it, which takes seconds to come again. */
const QUIET_TICKS = 600;
const STOP_MS_MAX = 5_000;
const LAST_UPLOADS_MS_MAX = 1_000;
/** For giving credentials back; what takes longer is swept at the next start. */
const LENT_MS_MAX = 3_000;

export class Agent {
  readonly #given: AgentGiven;
  readonly #state: AgentState;
  readonly #parts: AgentParts;
  readonly #dialogue: Dialogue;
  readonly #timers: NodeJS.Timeout[] = [];
  /** Ends the process from inside: the trail is in doubt. */
  readonly failed = Promise.withResolvers<never>();
  #health: HealthServer | undefined;
  /** Ticks without a connection since the last one was here. */
  #quietTicks = QUIET_TICKS;

  private constructor(given: AgentGiven, identity: Identity) {
    this.#given = given;
    this.#state = startingState(identity);
    this.#parts = makeParts(given, this.#state, {
      bundles: {
        applied: (now) => this.#dialogue.bundleApplied(now),
        kept: (now) => this.#dialogue.bundleKept(now),
        unchanged: (now) => this.#dialogue.reportBundle(now),
        refused: (error, epoch, revision) => this.#dialogue.bundleRefused(error, epoch, revision),
      },
      link: {
        hello: () => this.#dialogue.hello(),
        opened: () => this.#dialogue.opened(),
        closed: () => this.#dialogue.closed(),
        refused: () => this.#dialogue.refused(),
        message: (message) => this.#dialogue.received(message),
      },
    });
    this.#dialogue = new Dialogue(given, this.#state, this.#parts);
  }

  /**
   * Starts and returns once clients can sign in; writes `ready.json`. Waits for the first bundle if there is none yet.
   * @throws GatewayError `config.invalid`, `enroll.failed`
   */
  static async start(config: AgentConfig, protocols: AgentProtocols, clock: Clock, log: Logger): Promise<Agent> {
    makePrivateDir(config.dataDir);
    rmSync(path.join(config.dataDir, 'ready.json'), { force: true });
    const identity = await ownIdentity(config, log);
    log.info('starting', { agent: identity.file.agentName, agentId: identity.agentId, version: VERSION });
    const agent = new Agent({ config, protocols, clock, log }, identity);
    const { bundles, link, renewal } = agent.#parts;
    agent.#health = await openHealth(config.health, healthView(agent.#vitals()));
    bundles.restore();
    link.start();
    renewal.start();
    await agent.#serve(bundles.current ?? (await agent.#state.first.promise));
    giveBack();
    return agent;
  }

  async #serve(inForce: InForce): Promise<void> {
    const { settings } = inForce.bundle;
    const { bundles, live, link } = this.#parts;
    const serving = await openServing(this.#given, this.#state, this.#parts, settings, () => {
      if (!this.#state.stopping) this.failed.reject(new GatewayError('trail.unavailable', { reason: 'in doubt' }));
    });
    this.#state.serving = serving;
    const now = bundles.current ?? inForce;
    this.#dialogue.recordApplied(now);
    live.apply(now);
    this.#timers.push(setInterval(() => this.#tick(), TICK_MS));
    const heartbeatMs = settings.heartbeatMs > 0 ? settings.heartbeatMs : LIMITS.heartbeatEveryMs;
    this.#timers.push(setInterval(() => this.#dialogue.heartbeat(), heartbeatMs));
    // What was said before, or is being said on a stream that is not up yet, had neither a chain nor listeners in it.
    link.redial();
    writeReady(this.#given, serving.listeners, `${this.#health?.host}:${this.#health?.port}`);
  }

  #giveBackWhenQuiet(): void {
    if (this.#parts.admission.all > 0) this.#quietTicks = 0;
    else if (this.#quietTicks < QUIET_TICKS && ++this.#quietTicks === QUIET_TICKS) giveBack();
  }

  #tick(): void {
    this.#giveBackWhenQuiet();
    this.#parts.live.tick();
    this.#parts.credentials.tick();
    this.#parts.sshHostKey?.tick();
    this.#parts.interception?.tick();
    this.#state.serving?.spool.tick();
    this.#state.serving?.uploads.more();
  }

  #vitals(): Vitals {
    const { config, protocols, clock } = this.#given;
    const { bundles, link, contact, live, admission, holds } = this.#parts;
    const state = this.#state;
    return {
      serving: () => state.serving !== undefined && !state.stopping,
      spool: () => state.serving?.spool,
      counts: () => state.serving?.trail.counts,
      bundle: () => bundles.current?.bundle,
      linked: () => link.connected,
      silentMs: () => contact.silentMs,
      sessions: () => live.count,
      connections: () => admission,
      holds: () => holds.count,
      refusedBundles: () => state.refusedBundles,
      clockSkewMs: () => state.clockSkewMs,
      sshNative: () => config.listenSsh === undefined || protocols.sshNative,
      restartNeeded: () => protocols.restartNeeded,
      certificateLeftMs: () => state.identity.expiresAtMs - clock.nowMs(),
    };
  }

  /** Tells sessions, records their ends, closes the epoch, sends what can be sent. Takes at most about `STOP_MS_MAX`. */
  async stop(): Promise<void> {
    const { config, protocols, log } = this.#given;
    const { live, renewal, admission, credentials, store, link } = this.#parts;
    if (this.#state.stopping) return;
    this.#state.stopping = true;
    log.info('stopping', { sessions: live.count });
    renewal.stop();
    const { serving } = this.#state;
    const closing = (serving?.listeners ?? []).map(({ listener }) => listener.close());
    for (const { listener } of serving?.listeners ?? []) listener.endAll('agent.stopping');
    await within(STOP_MS_MAX, () => admission.all === 0);
    serving?.opening.shared.closeIdle();
    await Promise.race([live.settled(), new Promise((done) => setTimeout(done, STOP_MS_MAX))]);
    for (const timer of this.#timers) clearInterval(timer);
    await credentials.stop(LENT_MS_MAX);
    await store.settled();
    if (serving !== undefined) {
      serving.trail.turn.endNow();
      await serving.spool.close('stopped');
      serving.uploads.more();
      this.#dialogue.heartbeat();
      // What the control plane does not get now it gets after the next start.
      if (link.connected) await within(LAST_UPLOADS_MS_MAX, () => serving.uploads.idle);
    }
    await Promise.race([Promise.all(closing), new Promise((done) => setTimeout(done, 500))]);
    await link.stop();
    await protocols.close();
    await this.#health?.close();
    rmSync(path.join(config.dataDir, 'ready.json'), { force: true });
    log.info('stopped', {});
  }
}

async function within(waitMs: number, done: () => boolean): Promise<void> {
  const until = performance.now() + waitMs;
  while (!done() && performance.now() < until) await new Promise((next) => setTimeout(next, 20));
}
