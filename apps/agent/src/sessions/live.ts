/**
 * The live table: every signed-in session of this process, to end one, to look at one, and to ask of each after a change
 * of bundle whether its right still stands. Refuses to know protocols: a session is ended through its connection.
 */
import type { AgentMessage } from '@sallyport/contract';
import { type ErrorCode, GatewayError, LIMITS, type Logger } from '@sallyport/core';
import type { Resource, SessionReport } from '@sallyport/model';
import type { SessionKey } from '@sallyport/trail';
import type { InForce } from '../bundle/bundles.ts';
import type { SessionRecorder } from '../recording/recorder.ts';
import { type IssuedProof, stillCounts } from '../signin/issuer-token.ts';
import { RevocationIndex } from '../signin/revocations.ts';
import { mustBeReadOnly, type SessionRoad } from './road.ts';
import type { WatchableRecorder } from './watch.ts';

/** What carries a session: its connection, or all that share it. */
export interface SessionCarrier {
  /** Ends it in its protocol's own words. May be called twice. */
  end(code: ErrorCode): void;
  bundleChanged(): void;
}

export interface LiveSession {
  readonly road: SessionRoad;
  readonly connection: SessionCarrier;
  readonly key: SessionKey;
  readonly recorder: SessionRecorder;
  readonly watchable: WatchableRecorder;
  /** When its token was issued, UTC ms. */
  readonly tokenIssuedAtMs: number;
  /** What another issuer's token proved when it opened. */
  readonly issued: IssuedProof | undefined;
  /** Counters last reported. */
  reported: number;
}

export interface LiveOptions {
  nowMs(): number;
  readonly log: Logger;
  send(message: AgentMessage): boolean;
  /** False when the control plane has been silent for longer than this session's resource allows. */
  fresh(session: LiveSession): boolean;
}

export class LiveSessions {
  readonly #options: LiveOptions;
  readonly #sessions = new Map<string, LiveSession>();
  /** Sessions whose sides are gone and whose last records are not written. */
  readonly #ending = new Set<Promise<void>>();
  #revocations = new RevocationIndex([]);
  #inForce: InForce | undefined;
  readonly #counting = new WeakMap<IssuedProof, { readonly inForce: InForce; readonly counts: boolean }>();

  constructor(options: LiveOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#sessions.size;
  }

  /** Made once per bundle; also what sign-in asks. */
  get revocations(): RevocationIndex {
    return this.#revocations;
  }

  /** @throws GatewayError `session.limit` */
  requireRoom(): void {
    if (this.#sessions.size >= LIMITS.sessionsMax) throw new GatewayError('session.limit');
  }

  add(session: LiveSession): void {
    this.#sessions.set(session.road.info.id, session);
    this.#report(session);
  }

  /**
   * Both its sides are gone. @param reason error code or '' @param record writes the session's last events, once its
   * recording is on the disk or given up
   */
  closed(session: LiveSession, reason: ErrorCode | '', record: () => void): void {
    this.#sessions.delete(session.road.info.id);
    session.road.cancelHeld();
    session.road.close();
    const ending = session.recorder
      .close()
      .catch((error: unknown) =>
        this.#options.log.error('a recording could not be closed', { session: session.road.info.id, error }),
      )
      .then(() => {
        record();
        this.#report(session, { reason });
      })
      .finally(() => this.#ending.delete(ending));
    this.#ending.add(ending);
  }

  /** Resolves when every session that has closed is on the record. */
  async settled(): Promise<void> {
    while (this.#ending.size > 0) await Promise.allSettled(this.#ending);
  }

  /** Ends one in its protocol's own words. @returns false when it is not here */
  end(sessionId: string, code: ErrorCode): boolean {
    const session = this.#sessions.get(sessionId);
    session?.connection.end(code);
    return session !== undefined;
  }

  watch(sessionId: string, on: boolean): void {
    const session = this.#sessions.get(sessionId);
    session?.watchable.watch(
      on ? (frame) => this.#options.send({ body: 'watch', watch: { sessionId, frame } }) : undefined,
    );
  }

  /** Nobody can be watching without a link. */
  unwatchAll(): void {
    for (const session of this.#sessions.values()) session.watchable.watch(undefined);
  }

  /** Another bundle is in force: sessions whose right is gone end, the others are told. */
  apply(inForce: InForce): void {
    this.#inForce = inForce;
    this.#revocations = new RevocationIndex(inForce.bundle.revocations);
    for (const session of this.#sessions.values()) {
      if (!this.#check(session)) session.connection.bundleChanged();
    }
  }

  /** Called every second: grants end by themselves, budgets run out, counters are reported. */
  tick(): void {
    for (const session of this.#sessions.values()) {
      this.#check(session);
      session.road.flushOutcomes();
      session.road.tick();
      session.recorder.tick();
      const { statements, rows } = session.road.usage;
      const counter = statements + rows;
      if (counter !== session.reported) {
        session.reported = counter;
        this.#report(session);
      }
    }
  }

  /** The link stands again: the control plane gets the whole table. */
  reportAll(): void {
    for (const session of this.#sessions.values()) this.#report(session);
  }

  /** @returns true when the session was ended */
  #check(session: LiveSession): boolean {
    const code = this.#endingCode(session);
    if (code === undefined) return false;
    session.connection.end(code);
    return true;
  }

  #endingCode(session: LiveSession): ErrorCode | undefined {
    const { info, askedRole } = session.road;
    const inForce = this.#inForce;
    if (inForce === undefined) return 'agent.stale';
    const principalIds = [info.principal.id, ...(info.onBehalfOf === undefined ? [] : [info.onBehalfOf.id])];
    const { tokenId, id: sessionId } = info;
    if (this.#revocations.ends({ sessionId, tokenId, principalIds, issuedAtMs: session.tokenIssuedAtMs }))
      return 'session.revoked';
    const resource = inForce.resourcesById.get(info.resourceId);
    if (resource?.name !== info.resourceName) return 'session.revoked';
    if (resource.ssh !== undefined && !resource.ssh.logins.includes(info.role)) return 'session.revoked';
    if (session.issued !== undefined && !this.#isStillIssued(session.issued, resource, inForce))
      return 'session.revoked';
    const nowMs = this.#options.nowMs();
    if (inForce.engine.effectsFor(info, nowMs).length === 0) return 'session.revoked';
    if (askedRole !== undefined && !inForce.engine.rolesFor(info, nowMs).includes(askedRole)) return 'session.revoked';
    // What is left is reading, and the server was not told so when the session opened.
    if (!session.road.readOnly && mustBeReadOnly(inForce.engine, resource, info, nowMs)) return 'session.revoked';
    return this.#options.fresh(session) ? undefined : 'agent.stale';
  }

  /** Asked anew with each bundle: in between the answer is the same. */
  #isStillIssued(proof: IssuedProof, resource: Resource, inForce: InForce): boolean {
    const known = this.#counting.get(proof);
    if (known?.inForce === inForce) return known.counts;
    const counts = resource.issuerTokens !== undefined && stillCounts(proof, inForce.bundle.issuers ?? []);
    this.#counting.set(proof, { inForce, counts });
    return counts;
  }

  #report(session: LiveSession, closed?: { readonly reason: string }): void {
    const { usage } = session.road;
    // How somebody signed in is the trail's to say; the report's reader is strict and knows no such field.
    const { auth: _, issuer: __, ...info } = session.road.info;
    const end = closed === undefined ? {} : { closedAt: this.#options.nowMs(), reason: closed.reason };
    const report: SessionReport = { ...info, usage, ...end };
    this.#options.send({ body: 'session', session: { session: Buffer.from(JSON.stringify(report)) } });
  }
}
