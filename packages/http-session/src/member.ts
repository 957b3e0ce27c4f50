/**
 * One client connection's part in a session: the principal's road, its dialect, the credential, the connections to the
 * service. Refuses to know requests; those are exchanges.
 */
import type { ErrorCode, Logger } from '@sallyport/core';
import { type Header, MadeOf, maskHeaders, type RequestHead, recordedBody, SECRET_FIELDS } from '@sallyport/http';
import type { MaskSet, Resource, Statement } from '@sallyport/model';
import type {
  HeldNotice,
  JoinedSession,
  Permit,
  RecorderPort,
  SessionHost,
  SessionMember,
  SignedIn,
  UncredentialedRequest,
  UpstreamCredential,
} from '@sallyport/protocol-kit';
import type { DialectSession, ForwardedRequest, HttpDialect, RequestBody } from './dialect.ts';
import type { HeldRequest, HeldRequests, KeptRequest } from './held.ts';
import { atWayIn, withoutParameter } from './location.ts';
import { RecordedHeads } from './recorded-heads.ts';
import { Running } from './running.ts';
import { type Upstream, upstreamOf } from './upstream.ts';
import type { SentAs, UpstreamRequest } from './upstream-call.ts';
import { UpstreamPool } from './upstream-pool.ts';
import { behind, type WayIn, withoutToken } from './way-in.ts';

/** What exchanges of this member need of it in common. */
interface Ending {
  end(code: ErrorCode): void;
}

/** What a dialect remembers lives as long as the session, whatever connections come and go. */
const sessions = new WeakMap<SignedIn, DialectSession>();
/** Who waits for a recorder; one recorder serves all connections of a session. */
const lagging = new WeakMap<RecorderPort, Set<() => void>>();
const heldBy = new WeakMap<Statement, (held: HeldNotice) => void>();

function dialectSession(joined: JoinedSession, host: SessionHost): DialectSession {
  const { road, recorder } = joined;
  const known = sessions.get(road);
  if (known !== undefined) return known;
  const made: DialectSession = { road, resource: road.resource, recorder, state: new Map(), nowMs: () => host.nowMs() };
  // One road, many connections: whoever asked about a statement is found by the statement.
  road.onHeld = (held) => heldBy.get(held.statement)?.(held);
  sessions.set(road, made);
  return made;
}

export class MemberSession implements SessionMember {
  joined!: JoinedSession;
  road!: SignedIn;
  session!: DialectSession;
  resource!: Resource;
  dialect!: HttpDialect;
  upstream!: Upstream;
  pool!: UpstreamPool;
  credential!: UpstreamCredential;
  readonly exchanges = new Running<Ending>();
  ended: ErrorCode | undefined;
  readonly #left: (member: MemberSession) => void;
  readonly #held: HeldRequests;
  readonly #log: Logger;
  #hasCredential = false;
  #hidesCookies = false;
  /** The parameter that the credential is; '' where it is none. */
  #parameter = '';
  #tokenExpiresAtMs = 0;
  #recordedBytes: number | undefined;
  /** Of the fields read last: what is judged of them. */
  #read: readonly Header[] | undefined;
  #readBy = '';
  #judged = new MadeOf([]);
  /** The request that was judged last, where its dialect may be given it again. */
  #again: { readonly asked: RequestHead; readonly way: WayIn; readonly request: RequestHead } | undefined;
  /** The fields that were shown last, of which answer, and to which request. */
  #shown: readonly Header[] = [];
  #shownOf: readonly Header[] | undefined;
  #shownTo: RequestHead | undefined;
  #shownAt: WayIn | undefined;
  #heads!: RecordedHeads;

  /** @param left it has ended: whoever kept it asks anew */
  constructor(held: HeldRequests, log: Logger, left: (member: MemberSession) => void) {
    this.#held = held;
    this.#log = log;
    this.#left = left;
  }

  bind(joined: JoinedSession, dialect: HttpDialect, host: SessionHost, offersH2: boolean): void {
    this.joined = joined;
    this.road = joined.road;
    this.resource = joined.road.resource;
    this.dialect = dialect;
    this.session = dialectSession(joined, host);
    this.upstream = upstreamOf(this.resource);
    this.pool = new UpstreamPool(host, this.resource, this.upstream.secure, offersH2);
    const target = this.resource.http ?? this.resource.mcp ?? this.resource.kubernetes;
    this.#hidesCookies = target?.inject.as === 'cookie';
    this.#parameter = target?.inject.as === 'query' ? (target.inject.name ?? '') : '';
    this.#recordedBytes = target?.recordBodies;
    this.#heads = new RecordedHeads(joined.road, new Set([...SECRET_FIELDS, target?.tokenHeader ?? '']));
    this.#tokenExpiresAtMs = joined.tokenExpiresAtMs;
  }

  /** The token that opened it may open more. */
  isFresh(nowMs: number): boolean {
    return this.ended === undefined && nowMs < this.#tokenExpiresAtMs;
  }

  /** Undefined when it is at hand, nearly always. Rejects with `credential.unavailable`. */
  credentialReady(): Promise<void> | undefined {
    if (this.#hasCredential) return this.credential.http?.ready();
    return this.#fetchCredential();
  }

  async #fetchCredential(): Promise<void> {
    this.credential = await this.road.credential();
    await this.credential.http?.ready();
    this.#hasCredential = true;
  }

  /** As it is judged and sent on: behind its way in, without its token. @param by the field the token came in */
  judged(asked: RequestHead, way: WayIn, by: string): RequestHead {
    const again = this.#again;
    if (again !== undefined && asked === again.asked && way === again.way && by === this.#readBy) return again.request;
    if (asked.headers !== this.#read || by !== this.#readBy) {
      this.#judged = new MadeOf(withoutToken(asked.headers, this.resource, by));
      this.#read = asked.headers;
      this.#readBy = by;
    }
    const request = behind(asked, way, this.#judged);
    if (this.dialect.repeats === true) this.#again = { asked, way, request };
    return request;
  }

  /** The fields of an answer as its client can use them, at its way in. */
  shown(headers: readonly Header[], asked: RequestHead, way: WayIn | undefined): readonly Header[] {
    if (headers !== this.#shownOf || asked !== this.#shownTo || way !== this.#shownAt) {
      this.#shown = atWayIn(this.#answerHeaders(headers), this.upstream, asked, way);
      this.#shownOf = headers;
      this.#shownTo = asked;
      this.#shownAt = way;
    }
    return this.#shown;
  }

  /** The request as the service gets it, the credential in it. @param body what of it the credential may sign */
  toService(asked: ForwardedRequest, body: UncredentialedRequest['body'], permit: Permit, as: SentAs): UpstreamRequest {
    const { authority, base, secure } = this.upstream;
    const { method, headers } = asked;
    const target = base === '' ? asked.target : `${base}${asked.target}`;
    const sent = this.credential.http?.into({ method, authority, target, headers, body }) ?? { target, headers };
    return {
      permit,
      method,
      scheme: secure ? 'https' : 'http',
      authority,
      target: sent.target,
      headers: sent.headers,
      framing: as.framing,
      emptyBody: as.emptyBody,
      upgrade: as.upgrade,
    };
  }

  /** The service does not take it: said aloud, and later requests have another value, where there is one. */
  credentialRefused(): void {
    this.#otherCredential().catch((error: unknown) => {
      this.#log.warn('no other credential could be had', { session: this.road.info.id, error });
    });
  }

  async #otherCredential(): Promise<void> {
    const refused = this.credential;
    if (refused.secret === undefined) return;
    const other = await this.road.refused?.(refused);
    await other?.http?.ready();
    if (other !== undefined && this.credential === refused) this.credential = other;
  }

  /**
   * Cookies of a service that knows the credential by its cookie would be the credential; of one that knows it by a parameter,
   * an address that it was asked by and points to again.
   */
  #answerHeaders(headers: readonly Header[]): readonly Header[] {
    if (this.#hidesCookies) return headers.filter(([name]) => name !== 'set-cookie');
    if (this.#parameter === '') return headers;
    return headers.map(([name, value]) => [name, withoutParameter(value, this.#parameter)]);
  }

  /** Of an answer that switches (101): there is no plan for it that would mask its headers. */
  switchedHeaders(headers: readonly Header[], masks: MaskSet, upgrade: string): readonly Header[] {
    return [...this.#answerHeaders(maskHeaders(headers, masks, this.road.maskKey)), ['upgrade', upgrade]];
  }

  onHeld(statement: Statement, told: (held: HeldNotice) => void): void {
    heldBy.set(statement, told);
  }

  heldAnswered(statement: Statement): void {
    heldBy.delete(statement);
  }

  hold(notice: HeldNotice, kept: KeptRequest): HeldRequest | undefined {
    return this.#held.keep(notice, kept, this);
  }

  held(path: string): HeldRequest | undefined {
    return this.#held.find(path, this);
  }

  // What a replay shows: heads without credentials, and the body as it was judged or is shown.

  recordRequest(number: number, statement: Statement, request: RequestHead, body: RequestBody | undefined): void {
    const { recorder } = this.session;
    recorder.statement(number, statement.text);
    // What streams is not gone through by detectors: it is counted and digested, and not kept.
    const bytesMax = body?.read === false ? 0 : this.#recordedBytes;
    recorder.httpHead(number, 'request', this.#heads.request(request), bytesMax);
    if (body?.read === true && body.bytes.length > 0) {
      const { detect } = this.road.masks();
      const instead = this.dialect.recorded?.(request, body, this.session);
      const headers: readonly Header[] =
        instead === undefined ? request.headers : [['content-type', instead.contentType]];
      const bytes = instead?.bytes ?? body.bytes;
      recorder.httpBody(number, 'request', recordedBody(headers, bytes, detect, this.road.maskKey));
    }
  }

  recordAnswer(number: number, status: number, headers: readonly Header[]): void {
    // Of an upgraded connection both directions go on.
    if (status !== 101) this.session.recorder.httpEnd(number, 'request');
    this.session.recorder.httpHead(number, 'response', this.#heads.answer(status, headers), this.#recordedBytes);
  }

  recordBody(number: number, side: 'request' | 'response', bytes: Uint8Array): void {
    this.session.recorder.httpBody(number, side, bytes);
  }

  /** The recording must be whole: then an answer goes at the recorder's pace. */
  get waitsForRecorder(): boolean {
    return this.session.recorder.level === 'full';
  }

  /**
   * A recording that must be whole is behind: `go` is called once it has caught up.
   * @returns false when nothing has to wait
   */
  recorderBehind(go: () => void): boolean {
    const { recorder } = this.session;
    if (recorder.level !== 'full' || !recorder.saturated) return false;
    let waiting = lagging.get(recorder);
    if (waiting === undefined) {
      const all = new Set<() => void>();
      waiting = all;
      lagging.set(recorder, all);
      recorder.onDrained = () => {
        const now = [...all];
        all.clear();
        for (const one of now) one();
      };
    }
    waiting.add(go);
    return true;
  }

  recordEnd(number: number): void {
    this.session.recorder.httpEnd(number, 'request');
    this.session.recorder.httpEnd(number, 'response');
  }

  log(error: unknown): void {
    this.#log.error('a request broke and was refused', { session: this.road.info.id, error });
  }

  // The session.

  end(code: ErrorCode): void {
    if (this.ended !== undefined) return;
    this.ended = code;
    for (const exchange of this.exchanges.now()) exchange.end(code);
    this.leave();
  }

  bundleChanged(): void {
    // Each request is judged by the bundle in force; nothing derived from one is kept here.
  }

  leave(): void {
    this.ended ??= 'session.closed';
    this.#left(this);
    this.pool.close();
    this.joined.leave();
  }
}
