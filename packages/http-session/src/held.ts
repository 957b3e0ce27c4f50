/**
 * Requests that wait for a person while their clients do something else (RFC 7240 `respond-async`). What is kept is the
 * request, judged and recorded; it is sent when its answer is asked for, by the same principal, once.
 * Refuses to keep answers: what a service says goes to who asked, and nowhere to wait. Outlives the connection, within limits.
 */
import { type ErrorCode, GatewayError, LIMITS } from '@sallyport/core';
import { type Header, headerValues, type RequestHead } from '@sallyport/http';
import type { SessionInfo, Statement } from '@sallyport/model';
import { askedFor, type HeldNotice, type Permit } from '@sallyport/protocol-kit';
import type { DeniedAnswer, RequestBody } from './dialect.ts';
import type { MemberSession } from './member.ts';
import { oneLine } from './refusal.ts';

const HELD = '/.sallyport/held/';
const SPACE = '/.sallyport/';

/** Everything below it is the gateway's own. */
export const isHeldPath = (path: string): boolean => path.startsWith(SPACE);

export const wantsAsync = (headers: readonly Header[]): boolean =>
  headerValues(headers, 'prefer').some((value) =>
    value.split(',').some((item) => item.trim().toLowerCase() === 'respond-async'),
  );

export interface KeptRequest {
  readonly request: RequestHead;
  readonly body: RequestBody | undefined;
  readonly bytes: readonly Buffer[];
  readonly statement: Statement;
  readonly emptyBody: boolean;
  readonly trailers: readonly Header[];
}

export type HeldState =
  | { readonly kind: 'pending' }
  | { readonly kind: 'granted'; readonly permit: Permit }
  | { readonly kind: 'refused'; readonly error: unknown };

const PENDING: HeldState = { kind: 'pending' };

export class HeldRequest {
  readonly kept: KeptRequest;
  /** The session in which it was judged. */
  readonly judgedBy: MemberSession;
  readonly #notice: HeldNotice;
  readonly #gone: (held: HeldRequest) => void;
  readonly #release: () => void;
  #state: HeldState = PENDING;
  #ended: ErrorCode | undefined;
  #expiry: NodeJS.Timeout | undefined;

  constructor(notice: HeldNotice, kept: KeptRequest, judgedBy: MemberSession, gone: (held: HeldRequest) => void) {
    this.#notice = notice;
    this.kept = kept;
    this.judgedBy = judgedBy;
    this.#gone = gone;
    this.#release = judgedBy.joined.keep((code) => {
      this.#ended = code;
    });
  }

  answered(permit: Permit): void {
    this.#set({ kind: 'granted', permit });
  }

  refused(error: unknown): void {
    this.#set({ kind: 'refused', error });
  }

  #set(state: HeldState): void {
    this.#state = state;
    // It belongs to no connection any more, so no connection's timers can end it.
    this.#expiry = setTimeout(() => this.drop(), LIMITS.httpHeldAnswerMsMax);
    this.#expiry.unref();
  }

  /** What became of it. A granted one is given out once. */
  take(): HeldState {
    const state = this.#state;
    const code = this.#ended;
    if (state.kind === 'granted' && code !== undefined) {
      this.drop();
      return { kind: 'refused', error: new GatewayError(code) };
    }
    if (state.kind !== 'pending') this.drop();
    return state;
  }

  drop(): void {
    clearTimeout(this.#expiry);
    this.#gone(this);
    this.#release();
  }

  /** What its client reads while it waits. @param prefix by which its client comes in */
  pending(prefix: string): { readonly location: string; readonly body: string } {
    const { approvalId, verdict } = this.#notice;
    const location = `${prefix}${HELD}${approvalId}`;
    const body = {
      type: 'https://sallyport.dev/held',
      title: waitsFor(this.#notice, this.judgedBy.session.nowMs()),
      detail:
        'Go on asking for this location, with a token of the same principal. Once it is approved, the next time sends the request, and is answered with its answer, once.',
      status: 202,
      location,
      sallyport: { rule: verdict.rule, reason: 'approval.wait', requestId: approvalId, retry: 'at location' },
    };
    return { location, body: `${JSON.stringify(body)}\n` };
  }
}

/** Who is asked, how long, and why, as the other protocols say it. */
function waitsFor(held: HeldNotice, nowMs: number): string {
  const { approval, message = '' } = held.verdict;
  const { groups, later } = askedFor(held, nowMs);
  const who = approval.count === 1 ? 'somebody' : `${approval.count} people`;
  const from = groups.length === 0 ? '' : ` in ${groups.join(' or ')}`;
  const minutes = Math.max(0, Math.ceil((held.expiresAt - nowMs) / 60_000));
  const told = [`Waiting for ${who}${from} to approve this, at most ${minutes} min.`, oneLine(message), later];
  return told.filter((text) => text !== '').join(' ');
}

/** Same principal, for the same other, on the same resource: their tokens come and go. */
const ownerOf = ({ resourceId, principal, onBehalfOf }: SessionInfo): string =>
  `${resourceId} ${principal.id} ${onBehalfOf?.id ?? ''}`;

export class HeldRequests {
  readonly #all = new Map<string, HeldRequest>();

  /** Undefined when there is no room: then the client waits. */
  keep(notice: HeldNotice, kept: KeptRequest, by: MemberSession): HeldRequest | undefined {
    if (this.#all.size >= LIMITS.httpHeldAnswersMax) return undefined;
    const key = `${ownerOf(by.road.info)} ${notice.approvalId}`;
    const held = new HeldRequest(notice, kept, by, () => this.#all.delete(key));
    this.#all.set(key, held);
    return held;
  }

  find(path: string, by: MemberSession): HeldRequest | undefined {
    return path.startsWith(HELD) ? this.#all.get(`${ownerOf(by.road.info)} ${path.slice(HELD.length)}`) : undefined;
  }
}

/** Where to ask for it again. */
export const heldAnswer = ({ location, body }: { readonly location: string; readonly body: string }): DeniedAnswer => ({
  status: 202,
  headers: [
    ['content-type', 'application/json'],
    ['location', location],
    ['retry-after', '2'],
    ['preference-applied', 'respond-async'],
    ['cache-control', 'no-store'],
  ],
  body: Buffer.from(body),
});
