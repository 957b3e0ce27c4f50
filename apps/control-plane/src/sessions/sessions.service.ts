/**
 * Sessions, live and past: who may see which, the statements and recording of one, and its end. Viewing is an event that
 * is written before anything is shown. Refuses to show detected values in clear without the permission for that.
 */
import { Injectable } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import type { SessionInfo } from '@sallyport/model';
import { decodeFrames, type RecordingFrame } from '@sallyport/trail';
import { recordAct } from '../acts/acts.ts';
import { workOf } from '../approvals/approvals.dto.ts';
import { Database } from '../db/database.ts';
import type { Prisma, Session } from '../generated/prisma/client.ts';
import { type Caller, requirePermission } from '../http/caller.ts';
import { type Page, type PageRequest, toPage } from '../http/page.ts';
import type { Permission } from '../http/permissions.ts';
import { Revocations } from '../identity/revocations.ts';
import { hideDetected } from '../masking/detected.ts';
import { Outbox } from '../notify/outbox.ts';
import { Recordings } from '../recordings/recordings.service.ts';
import { SessionTrail } from '../trail/session-trail.ts';
import { Erasure } from './erasure.ts';
import { FrameLines } from './frame-lines.ts';
import { LiveSessions } from './live-sessions.ts';
import type { RecordingQuery, SessionFilter, SessionView, StatementsQuery, StatementView } from './sessions.dto.ts';
import { SessionsRepository } from './sessions.repository.ts';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
/** Protocols in which commands run. */
const FILMED: readonly string[] = ['ssh', 'kubernetes'];
const WATCH_LOOK_MS = 1_000;
/** Frames that wait for one viewer; one more is let in when none waits, however large. */
const WATCH_QUEUE_BYTES_MAX = 8 * 1024 * 1024;

@Injectable()
export class SessionsService {
  constructor(
    private readonly database: Database,
    private readonly repository: SessionsRepository,
    private readonly live: LiveSessions,
    private readonly trail: SessionTrail,
    private readonly recordings: Recordings,
    private readonly revocations: Revocations,
    private readonly outbox: Outbox,
    private readonly erasure: Erasure,
  ) {}

  async list(caller: Caller, filter: SessionFilter, page: PageRequest): Promise<Page<SessionView>> {
    const conditions = await this.#conditions(caller, filter, 'session:read');
    const rows = await this.repository.list({ AND: conditions }, page);
    const show = await this.#shower(rows);
    return toPage(rows, page, show);
  }

  /**
   * Sessions whose recordings the caller may view, of protocols in which commands run: newest first, `from` on.
   * @param from the instant and id of the first one that is wanted
   */
  async viewable(
    caller: Caller,
    filter: SessionFilter,
    from: { readonly openedAt: Date; readonly id: string } | undefined,
    limit: number,
  ): Promise<readonly SessionView[]> {
    const conditions = await this.#conditions(caller, filter, 'session:view');
    conditions.push({ protocol: { in: [...FILMED] } });
    if (from !== undefined) {
      const { openedAt, id } = from;
      conditions.push({ OR: [{ openedAt: { lt: openedAt } }, { openedAt, id: { lte: id } }] });
    }
    const rows = await this.repository.list({ AND: conditions }, { sort: '-openedAt', limit: limit - 1 });
    return rows.map(await this.#shower(rows));
  }

  /** @param any the permission that gives every session, without it one's own */
  async #conditions(caller: Caller, filter: SessionFilter, any: Permission): Promise<Prisma.SessionWhereInput[]> {
    const { principal, resource } = filter;
    const conditions: Prisma.SessionWhereInput[] = [{ projectId: caller.projectId }];
    if (!caller.permissions.has(any)) conditions.push(ownedBy(caller));
    if (filter.live !== undefined) conditions.push({ closedAt: filter.live ? null : { not: null } });
    if (principal !== undefined) {
      conditions.push(
        UUID.test(principal)
          ? { OR: [{ principalId: principal }, { onBehalfOfId: principal }] }
          : { OR: [{ principalName: principal }, { onBehalfOfName: principal }] },
      );
    }
    if (resource !== undefined)
      conditions.push(UUID.test(resource) ? { resourceId: resource } : { resourceName: resource });
    if (filter.agent !== undefined) {
      const ids = UUID.test(filter.agent)
        ? [filter.agent]
        : await this.repository.agentsNamed(caller.projectId, filter.agent);
      conditions.push({ agentId: { in: [...ids] } });
    }
    if (filter.since !== undefined) conditions.push({ openedAt: { gte: new Date(filter.since) } });
    if (filter.until !== undefined) conditions.push({ openedAt: { lt: new Date(filter.until) } });
    return conditions;
  }

  /** @throws GatewayError `request.not_found`, also for a session that the caller may not see */
  async get(caller: Caller, id: string): Promise<SessionView> {
    const row = await this.#require(caller, id, 'session:read');
    return (await this.#shower([row]))(row);
  }

  /** The recorded statements of a session, decoded from the trail. */
  async statements(caller: Caller, id: string, query: StatementsQuery) {
    const session = await this.view(caller, id, query.clear === true, 'statements.viewed', {});
    const show = query.clear === true ? (text: string) => text : hideDetected;
    const page = await this.trail.statements(session, Number(query.cursor ?? '0'), query.limit);
    const items = page.items.map(
      ({ atMs, event, outcome }): StatementView => ({
        number: event.number,
        at: new Date(atMs).toISOString(),
        verdict: event.verdict,
        rule: event.rule,
        code: event.code,
        digest: event.digest,
        effects: [...event.effects],
        text: show(event.text),
        parameters: event.parameters.map((parameter) => (parameter.text === undefined ? null : show(parameter.text))),
        approvalId: event.approvalId,
        untilCommit: event.untilCommit === true,
        work: workOf(event, show),
        shadow: [...event.shadow],
        outcome:
          outcome === undefined
            ? null
            : {
                rows: outcome.rows,
                bytes: outcome.bytes,
                error: outcome.error,
                durationUs: outcome.durationUs,
                masked: outcome.masked,
              },
      }),
    );
    return { items, nextCursor: page.next === undefined ? null : String(page.next), sealed: page.sealed };
  }

  /** Lines of JSON of the recording. @throws GatewayError `recording.unavailable` */
  async recording(caller: Caller, id: string, query: RecordingQuery): Promise<AsyncGenerator<string>> {
    const session = await this.view(caller, id, query.clear === true, 'recording.viewed', { fromMs: query.from });
    return linesOf(await this.recordings.replay(session.id, query.from), new FrameLines(query.clear === true));
  }

  /** Lines of JSON as the session goes on, until it closes or `left` says that the viewer is gone. */
  async watch(caller: Caller, id: string, left: AbortSignal): Promise<AsyncGenerator<string>> {
    const session = await this.#require(caller, id, 'session:watch', 'session:watch');
    if (session.closedAt !== null) throw new GatewayError('session.closed', { session: id });
    await this.#recordView(caller, session, 'session.watched', {});
    return this.#watched(session, AbortSignal.any([left, this.live.closing]));
  }

  /** Ends both sides within a second, wherever the agent is connected; and when it is not, as soon as it is. */
  async kill(caller: Caller, id: string, given: string): Promise<SessionView> {
    // Told to notifiers, and read by many later.
    const reason = hideDetected(given);
    const session = await this.#require(caller, id, 'session:kill', 'session:kill');
    if (session.closedAt !== null) throw new GatewayError('session.closed', { session: id });
    await this.database.transaction(async (tx) => {
      await recordAct(tx, {
        ...actorOf(caller),
        action: 'session.killed',
        target: `session/${session.id}`,
        detail: { reason },
        sessionId: session.id,
      });
      await this.revocations.revoke(tx, caller.projectId, 'session', session.id);
      await this.outbox.add(tx, caller.projectId, 'session.killed', {
        id: session.id,
        principal: session.principalName,
        resource: session.resourceName,
        by: caller.principal.name,
        reason,
      });
      this.database.afterCommit(tx, () => this.live.end(session.agentId, session.id, 'session.killed'));
    });
    return await this.get(caller, id);
  }

  /**
   * Destroys a closed session's key, for good; asking again changes nothing. What is left says who used what, when and
   * how much, and the chain still verifies.
   * @throws GatewayError `session.open`
   */
  async erase(caller: Caller, id: string, given: string): Promise<SessionView> {
    // It outlives what it is about.
    const reason = hideDetected(given);
    const session = await this.#require(caller, id, 'session:read', 'session:erase');
    if (session.closedAt === null) throw new GatewayError('session.open', { session: id });
    if (session.erasedAt !== null) {
      // Chunks that came later, or that the first time did not reach.
      await this.recordings.remove(session.id);
      return await this.get(caller, id);
    }
    await this.database.transaction((tx) => this.erasure.erase(tx, actorOf(caller), session, reason));
    await this.recordings.remove(session.id);
    return await this.get(caller, id);
  }

  async *#watched(session: Session, left: AbortSignal): AsyncGenerator<string> {
    let lines = new FrameLines(false);
    let queue: Buffer[] = [];
    let queuedBytes = 0;
    let missed = false as boolean;
    let wake: () => void = () => undefined;
    left.addEventListener('abort', () => wake(), { once: true });
    const stop = await this.live.watch(session.agentId, session.id, (frame) => {
      // A viewer that cannot keep up loses frames; the recording has them.
      if (queue.length > 0 && queuedBytes + frame.length > WATCH_QUEUE_BYTES_MAX) {
        missed = true;
        return;
      }
      queuedBytes += frame.length;
      queue.push(frame);
      wake();
    });
    try {
      // The first line goes at once, so that the viewer knows that it works while the session is silent.
      yield noticeLine('watching');
      while (!left.aborted) {
        const frames = queue;
        let gap: boolean = missed;
        [queue, queuedBytes, missed] = [[], 0, false];
        for (const frame of frames) {
          const shown = shownOf(frame, lines);
          if (shown !== undefined) {
            yield* shown;
            continue;
          }
          lines = new FrameLines(false);
          gap = true;
        }
        if (gap) {
          lines = new FrameLines(false);
          yield noticeLine('some of it cannot be shown here; the recording has it');
        }
        if (queue.length > 0) continue;
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, WATCH_LOOK_MS);
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
        if (queue.length > 0) continue;
        yield lines.rest(WATCH_LOOK_MS);
        const now = await this.repository.find(session.projectId, session.id);
        if (now === null || now.closedAt !== null) return;
      }
    } finally {
      stop();
    }
  }

  /**
   * Who may view what was said in a session; the view is on the record before anything is shown.
   * @throws GatewayError `recording.erased`
   */
  async view(
    caller: Caller,
    id: string,
    clear: boolean,
    action: string,
    detail: Prisma.InputJsonObject,
  ): Promise<Session> {
    if (clear) requirePermission(caller, 'session:view-clear');
    const session = await this.#require(caller, id, 'session:view');
    if (session.erasedAt !== null) throw new GatewayError('recording.erased', { session: id });
    await this.#recordView(caller, session, action, { ...detail, clear });
    return session;
  }

  async #recordView(caller: Caller, session: Session, action: string, detail: Prisma.InputJsonObject): Promise<void> {
    await this.database.transaction((tx) =>
      recordAct(tx, {
        ...actorOf(caller),
        action,
        target: `session/${session.id}`,
        detail: { ...detail, principal: session.principalName },
        sessionId: session.id,
      }),
    );
  }

  /** @param always needed even for one's own session; @param any gives every session, without it one's own */
  async #require(caller: Caller, id: string, any: Permission, always?: Permission): Promise<Session> {
    if (always !== undefined) requirePermission(caller, always);
    const session = UUID.test(id) ? await this.repository.find(caller.projectId, id) : null;
    const own =
      session !== null && (session.principalId === caller.principal.id || session.onBehalfOfId === caller.principal.id);
    if (session === null || !(own || caller.permissions.has(any)))
      throw new GatewayError('request.not_found', { session: id });
    return session;
  }

  async #shower(rows: readonly Session[]): Promise<(row: Session) => SessionView> {
    const held = await this.repository.heldFor(rows.filter((row) => row.closedAt === null).map((row) => row.id));
    const agents = await this.repository.agentNames(rows.map((row) => row.agentId));
    return (row) => ({
      id: row.id,
      live: row.closedAt === null,
      resource: { id: row.resourceId, name: row.resourceName },
      protocol: row.protocol,
      principal: { id: row.principalId, name: row.principalName, kind: row.principalKind },
      onBehalfOf: row.onBehalfOfId === null ? null : { id: row.onBehalfOfId, name: row.onBehalfOfName ?? '' },
      agent: { id: row.agentId, name: agents.get(row.agentId) ?? '' },
      clientAddress: row.clientAddress,
      database: row.database,
      role: row.role,
      application: row.application,
      openedAt: row.openedAt.toISOString(),
      closedAt: row.closedAt?.toISOString() ?? null,
      closeReason: row.closeReason,
      statements: row.statements,
      rows: Number(row.rows),
      bytes: Number(row.bytes),
      heldFor: held.get(row.id) ?? null,
      erasedAt: row.erasedAt?.toISOString() ?? null,
      ...shownProof(row.proof as Proof | null),
    });
  }
}

/** As the ingest of the trail keeps it. */
type Proof = Pick<SessionInfo, 'auth' | 'issuer'>;

function shownProof(proof: Proof | null): Pick<SessionView, 'auth' | 'issuer'> {
  const { auth, issuer } = proof ?? {};
  const at = auth?.authTimeMs;
  return {
    auth:
      auth === undefined
        ? null
        : {
            provider: auth.provider,
            amr: [...auth.amr],
            acr: auth.acr,
            at: at === undefined ? null : new Date(at).toISOString(),
          },
    issuer: issuer === undefined ? null : { rule: issuer.rule, issuer: issuer.issuer, subject: issuer.subject },
  };
}

const ownedBy = (caller: Caller): Prisma.SessionWhereInput => ({
  OR: [{ principalId: caller.principal.id }, { onBehalfOfId: caller.principal.id }],
});

const actorOf = (caller: Caller) => ({
  projectId: caller.projectId,
  principal: caller.principal,
  requestId: caller.requestId,
});

const noticeLine = (text: string): string => `${JSON.stringify({ atMs: 0, kind: 'notice', number: 0, text })}\n`;

/** @returns undefined for a frame that cannot be read: who begins to watch in the middle of a row sees a part of it */
function shownOf(bytes: Buffer, lines: FrameLines): readonly string[] | undefined {
  try {
    return [...decodeFrames(bytes, 0)].map((frame) => lines.line(frame));
  } catch (error) {
    if (!(error instanceof GatewayError) || error.code !== 'trail.broken') throw error;
    return undefined;
  }
}

async function* linesOf(frames: AsyncGenerator<RecordingFrame>, lines: FrameLines): AsyncGenerator<string> {
  for await (const frame of frames) yield lines.line(frame);
  yield lines.rest();
}
