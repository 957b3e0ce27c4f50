/**
 * A read of the gateway's own for one request of a client, before that is judged: what a cluster has stored, which tools a server
 * has. It is asked for as the client's own request would be, by the same session and credential, and only where the rules would
 * let the client ask for it at once. Refuses to be what a verdict waits for longer than its limits, and ever to fail a request.
 */
import { type ErrorCode, GatewayError, LIMITS } from '@sallyport/core';
import type { BodyFraming, Header, RequestHead, ResponseHead } from '@sallyport/http';
import type { MaskSet, Statement } from '@sallyport/model';
import { admitLook, type Permit } from '@sallyport/protocol-kit';
import type { ForwardedRequest, RequestBody } from './dialect.ts';
import type { MemberSession } from './member.ts';
import type { CallOwner, SentAs, UpstreamCall, UpstreamLine } from './upstream-call.ts';
import { RETRY } from './upstream-pool.ts';

export interface Look {
  /** As it would be judged, if the client asked. */
  readonly statement: Statement;
  forward(masks: MaskSet): ForwardedRequest;
  /** Called once. @returns what to look at next */
  seen(answer: LookAnswer): Look | undefined;
}

export type LookAnswer =
  | { readonly kind: 'answer'; readonly status: number; readonly headers: readonly Header[]; readonly body: Buffer }
  | { readonly kind: 'none'; readonly code: ErrorCode };

const none = (code: ErrorCode): LookAnswer => ({ kind: 'none', code });
const LATE = none('http.upstream_timeout');

/**
 * @param then once, when all that was to be looked at was, or could not be
 * @returns what ends it, when nobody waits for it any more; undefined when there is nothing to look at, and `then` is not called
 */
export function lookFirst(
  member: MemberSession,
  request: RequestHead,
  body: RequestBody | undefined,
  then: () => void,
): AbortController | undefined {
  let look: Look | undefined;
  try {
    look = member.dialect.look?.(request, body, member.session);
  } catch {
    // Classifying it says why it is refused.
    return undefined;
  }
  if (look === undefined) return undefined;
  const nobody = new AbortController();
  void lookOn(member, look, nobody.signal).then(then);
  return nobody;
}

/** Never rejects. */
async function lookOn(member: MemberSession, first: Look, signal: AbortSignal): Promise<void> {
  const late = AbortSignal.any([signal, AbortSignal.timeout(LIMITS.httpLookMsMax)]);
  let look: Look | undefined = first;
  for (let left = LIMITS.httpLooksMax; look !== undefined && left > 0; left--)
    look = look.seen(await ask(member, look, late));
}

async function ask(member: MemberSession, look: Look, signal: AbortSignal): Promise<LookAnswer> {
  try {
    const permit = admitLook(look.statement, member.road.gate);
    if (permit === undefined) return none('policy.denied');
    await member.credentialReady();
    const forwarded = look.forward(permit.masks);
    // The service closed a kept connection as we wrote: it is asked once more.
    return (
      (await askOver(member, permit, forwarded, signal)) ??
      (await askOver(member, permit, forwarded, signal, true)) ??
      LATE
    );
  } catch (error) {
    if (!(error instanceof GatewayError)) member.log(error);
    return none(error instanceof GatewayError ? error.code : 'internal');
  }
}

/** @returns undefined when the service cannot have seen it */
async function askOver(
  member: MemberSession,
  permit: Permit,
  forwarded: ForwardedRequest,
  signal: AbortSignal,
  fresh = false,
): Promise<LookAnswer | undefined> {
  const line = await lineOf(member, signal, fresh);
  if (line === undefined) return LATE;
  if (!signal.aborted) return await new OwnCall(signal).ask(member, line, permit, forwarded);
  member.pool.release(line);
  return LATE;
}

async function lineOf(member: MemberSession, signal: AbortSignal, fresh: boolean): Promise<UpstreamLine | undefined> {
  while (!signal.aborted && member.ended === undefined) {
    try {
      const line = await member.pool.acquire(member.credential, false, fresh);
      if (line.free) return line;
    } catch (error) {
      if (error !== RETRY) throw error;
    }
  }
  return undefined;
}

class OwnCall implements CallOwner {
  readonly #answer = Promise.withResolvers<LookAnswer | undefined>();
  readonly #signal: AbortSignal;
  #call: UpstreamCall | undefined;
  #head: ResponseHead | undefined;
  #chunks: Buffer[] = [];
  #bytes = 0;
  readonly #late = (): void => this.#stop('http.upstream_timeout');

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    signal.addEventListener('abort', this.#late);
  }

  ask(
    member: MemberSession,
    line: UpstreamLine,
    permit: Permit,
    asked: ForwardedRequest,
  ): Promise<LookAnswer | undefined> {
    const { body } = asked;
    const framing: BodyFraming = body === undefined ? { kind: 'none' } : { kind: 'length', bytes: body.length };
    const as: SentAs = { framing, emptyBody: false, upgrade: '' };
    this.#call = line.call(member.toService(asked, body ?? 'none', permit, as), this);
    if (body !== undefined) {
      this.#call.body(body);
      this.#call.end([]);
    }
    return this.#answer.promise;
  }

  informed(): void {
    // Only what it answers in the end is of interest.
  }

  answered(head: ResponseHead): void {
    if (head.status === 101) this.#stop('http.upgrade_refused');
    else this.#head = head;
  }

  data(bytes: Buffer): void {
    if (this.#call === undefined) return;
    this.#bytes += bytes.length;
    if (this.#bytes > LIMITS.httpLookBytesMax) return this.#stop('http.too_large');
    this.#chunks.push(Buffer.from(bytes));
  }

  flush(): void {
    // Nobody is told piece by piece.
  }

  ended(): void {
    const head = this.#head;
    if (head === undefined) return this.#over(LATE);
    this.#over({ kind: 'answer', status: head.status, headers: head.headers, body: Buffer.concat(this.#chunks) });
  }

  failed(error: GatewayError, untouched: boolean): void {
    this.#over(untouched ? undefined : none(error.code));
  }

  sendable(): void {
    // What is sent is small, and was given at once.
  }

  raw(): void {
    this.#stop('http.upgrade_refused');
  }

  rawClosed(): void {
    this.#stop('http.upgrade_refused');
  }

  #stop(code: ErrorCode): void {
    this.#call?.abort();
    this.#over(none(code));
  }

  #over(answer: LookAnswer | undefined): void {
    this.#call = undefined;
    this.#chunks = [];
    this.#signal.removeEventListener('abort', this.#late);
    this.#answer.resolve(answer);
  }
}
