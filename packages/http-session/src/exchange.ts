/**
 * One request from its head to the end of its answer: way in, sign-in, gathering, judging, sending on, answering. The order
 * is the gate's; what a kind of resource means by it is its dialect's. Refuses to know versions of HTTP, and never awaits on
 * the usual path: what is at hand is used at once. One long file: its phases share what is known of the request, and a
 * request so costs one object, and one for what is not on record yet.
 */
import { type ErrorCode, GatewayError, LIMITS } from '@sallyport/core';
import {
  type BodyFraming,
  type BodyMasker,
  type Header,
  isSafeMethod,
  madeOf,
  passedTrailers,
  type RequestHead,
  type ResponseHead,
} from '@sallyport/http';
import type { Statement } from '@sallyport/model';
import { admit, type HeldNotice, type Permit, Refusal, refuse } from '@sallyport/protocol-kit';
import type { ClientStream, RequestSink } from './client-stream.ts';
import type { Patience } from './deadlines.ts';
import type { AnswerPlan, DeniedAnswer, ForwardedRequest, HttpDialect, RequestBody } from './dialect.ts';
import { HeldRequest, heldAnswer, isHeldPath, wantsAsync } from './held.ts';
import { atWayIn } from './location.ts';
import { lookFirst } from './look.ts';
import { MemberSession } from './member.ts';
import { refusalOf, wordsOf } from './refusal.ts';
import { framingOf, signedBody } from './sent-body.ts';
import { Switched } from './switched.ts';
import { asToProxy, byProxy, challenged, type ProxyHome } from './tunnel.ts';
import { grpcTrailers, unread } from './unread.ts';
import { Unrecorded } from './unrecorded.ts';
import type { CallOwner, SentAs, UpstreamCall, UpstreamLine } from './upstream-call.ts';
import { RETRY } from './upstream-pool.ts';
import { requireOwnHost, requireOwnPage, type Shown, type WayIn } from './way-in.ts';

/** What an exchange asks of its connection. */
export interface ExchangeHome extends ProxyHome, Patience {
  readonly version: '1' | '2';
  /** Says how a refusal sounds where no resource is known, or none may be: by what the client says of itself alone. */
  strangers(headers: readonly Header[]): HttpDialect;
  /** The token of a request; a resource that is named may have a field of its own for it. */
  shown(headers: readonly Header[], resource: string | undefined): Shown;
  /** Where a request names no resource: the cluster its token is for. */
  wayOf(token: string): WayIn | undefined;
  member(resource: string, token: string): MemberSession | Promise<MemberSession>;
  monotonicUs(): number;
  /** Runs `fire` once after so long, for the one exchange whose connection was switched. */
  wake(ms: number, fire: () => void): void;
  /** The exchange is over. */
  over(exchange: Exchange): void;
}

const NO_BYTES = new Uint8Array(0);
const LINE_FEED = 0x0a;
const NO_HEADERS: readonly Header[] = [];
/** What is queued of a body before its client is told to stop. */
const QUEUED_BYTES_MAX = 64 * 1024;

type Phase = 'signing' | 'gathering' | 'judging' | 'sending' | 'answering' | 'over';

export class Exchange implements RequestSink, CallOwner {
  readonly #home: ExchangeHome;
  readonly #client: ClientStream;
  #phase: Phase = 'signing';
  #request!: RequestHead;
  #asked!: RequestHead;
  #way: WayIn | undefined;
  #member: MemberSession | undefined;
  /** In whose session the request was judged: its own nearly always. */
  #judgedBy: MemberSession | undefined;
  #statement: Statement | undefined;
  #permit: Permit | undefined;
  /** Of the statement, from its permit on. */
  #number = 0;
  #call: UpstreamCall | undefined;
  #held: HeldRequest | undefined;
  #emptyBody = false;
  // The request's body.
  #queue: Buffer[] = [];
  #queued = 0;
  #bodyDone = false;
  #trailers: readonly Header[] = NO_HEADERS;
  #bodyPaused = false;
  #bodyBytes = 0;
  #gathered: RequestBody | undefined;
  #replaced: Uint8Array | undefined;
  #continued = false;
  // The answer.
  #masker: BodyMasker | undefined;
  #plan: AnswerPlan | undefined;
  #status = 0;
  #bytes = 0;
  readonly #unrecorded = new Unrecorded();
  #isWhole = false;
  /** Of what the client was shown. */
  #betweenLines = true;
  #startedUs = 0;
  #retried = false;
  #callPaused = false;
  #goneClient = false;
  /** Milliseconds at which nothing has moved for too long, and what is said then. */
  #deadline = 0;
  #late: ErrorCode = 'http.slow';

  constructor(home: ExchangeHome, client: ClientStream) {
    this.#home = home;
    this.#client = client;
  }

  get isOver(): boolean {
    return this.#phase === 'over';
  }

  /** The request's body came to its end: its connection may be used for another. */
  get bodyDone(): boolean {
    return this.#bodyDone;
  }

  get member(): MemberSession | undefined {
    return this.#member;
  }

  // From the client.

  begin(head: RequestHead, emptyBody: boolean): void {
    this.#asked = head;
    this.#request = head;
    this.#emptyBody = emptyBody;
    this.#bodyDone = head.framing.kind === 'none';
    try {
      this.#signIn();
    } catch (error) {
      this.#refuse(error);
    }
    if (this.#phase === 'signing' || this.#phase === 'gathering') this.#wait(this.#home.deadlines.bodyMs, 'http.slow');
  }

  #signIn(): void {
    const head = this.#asked;
    if (head.method === 'TRACE') throw new GatewayError('http.method_refused');
    const proxied = byProxy(head, this.#client, this.#home);
    if (proxied !== undefined)
      return this.#with(proxied.member, (member) => {
        this.#way = proxied.enter(member);
        if (this.#way === undefined) this.#close();
        else this.#signedIn(member, proxied.shown);
      });
    requireOwnHost(head, this.#home.serverName);
    const named = this.#home.wayIn(head);
    const shown = this.#home.shown(head.headers, named?.resource);
    const way = named ?? this.#home.wayOf(shown.token);
    this.#way = way;
    requireOwnPage(head, shown, named);
    // One that names nothing is refused as one that names what is not there: by what nobody can sign in to.
    const member = this.#home.member(way?.resource ?? '', shown.token);
    if (member instanceof MemberSession) this.#signedIn(member, shown);
    else this.#with(member, (joined) => this.#signedIn(joined, shown));
  }

  #with(member: MemberSession | Promise<MemberSession>, go: (member: MemberSession) => void): void {
    if (!(member instanceof Promise)) return go(member);
    member.then(
      (joined) => this.#try(() => go(joined)),
      (error: unknown) => this.#refuse(error),
    );
  }

  #signedIn(member: MemberSession, shown: Shown): void {
    if (this.#phase !== 'signing') return;
    if (member.ended !== undefined) throw new GatewayError(member.ended);
    this.#member = member;
    this.#judgedBy = member;
    member.exchanges.add(this);
    const { resource } = member;
    const asked = this.#asked;
    const request = member.judged(asked, this.#way as WayIn, shown.by);
    this.#request = request;
    if (isHeldPath(request.path)) return this.#fetchHeld(member, request.path);
    const { framing } = this.#request;
    const longest = resource.http?.maxBodyBytes;
    const said = framing.kind === 'length' ? framing.bytes : this.#bodyBytes;
    if (longest !== undefined && Math.max(said, this.#bodyBytes) > longest) throw new GatewayError('http.too_large');
    if (framing.kind === 'none') return this.#judge(undefined);
    const judged = LIMITS.httpBodyJudgedBytesMax;
    if ((framing.kind === 'length' && framing.bytes > judged) || !member.dialect.gathers(this.#request, member.session))
      return this.#judge({ read: false, bytes: NO_BYTES, size: framing.kind === 'length' ? framing.bytes : -1 });
    this.#phase = 'gathering';
    if (this.#request.expectContinue) this.#continue();
    this.#gather();
  }

  #gather(): void {
    if (this.#phase !== 'gathering') return;
    if (this.#queued > LIMITS.httpBodyJudgedBytesMax) return this.#judge({ read: false, bytes: NO_BYTES, size: -1 });
    if (this.#bodyDone) {
      const bytes = this.#queue.length === 1 ? (this.#queue[0] as Buffer) : Buffer.concat(this.#queue);
      this.#queue = bytes.length === 0 ? [] : [bytes];
      this.#judge({ read: true, bytes, size: bytes.length });
    } else this.#pauseBody(false);
  }

  #continue(): void {
    if (this.#continued) return;
    this.#continued = true;
    this.#client.inform(100, NO_HEADERS);
  }

  bodyBytes(bytes: Buffer): void {
    this.#bodyBytes += bytes.length;
    if (this.#phase === 'over') return;
    const longest = this.#member?.resource.http?.maxBodyBytes;
    if (longest !== undefined && this.#bodyBytes > longest) return this.#refuse(new GatewayError('http.too_large'));
    const call = this.#call;
    if (call !== undefined && this.#replaced === undefined) {
      this.#moved();
      this.#recordSent(bytes);
      if (!call.body(bytes)) this.#pauseBody(true);
      return;
    }
    if (this.#replaced !== undefined) return;
    this.#queue.push(Buffer.from(bytes));
    this.#queued += bytes.length;
    if (this.#phase === 'gathering') this.#try(() => this.#gather());
    else if (this.#queued > QUEUED_BYTES_MAX) this.#pauseBody(true);
  }

  bodyEnd(trailers: readonly Header[]): void {
    // What comes next is another request, or the connection's end: both are to be seen.
    this.#pauseBody(false);
    this.#bodyDone = true;
    this.#trailers = passedTrailers(trailers);
    if (this.#phase === 'over') return this.#home.over(this);
    if (this.#call !== undefined && this.#replaced === undefined) this.#call.end(this.#trailers);
    else if (this.#phase === 'gathering') this.#try(() => this.#gather());
  }

  #pauseBody(paused: boolean): void {
    if (paused === this.#bodyPaused || this.#bodyDone) return;
    this.#bodyPaused = paused;
    this.#client.pauseBody(paused);
  }

  gone(): void {
    this.#goneClient = true;
    if (this.#phase === 'over') return;
    // Held and to be polled for: it waits on without its client.
    const statement = this.#statement;
    if (this.#switched !== undefined) return this.#switched.closed('client');
    if (this.#phase === 'judging' && statement !== undefined && this.#held === undefined)
      this.#member?.road.cancelHeld('approval.cancelled', statement);
    this.#call?.abort();
    this.#finished('client');
    this.#close();
  }

  /** The client takes more of the answer. */
  drained(): void {
    this.#moved();
    this.#switched?.clientDrained();
    if (!this.#callPaused) return;
    this.#callPaused = false;
    this.#call?.pause(false);
  }

  /** The service takes more of the body. */
  sendable(): void {
    this.#moved();
    if (this.#switched === undefined) this.#pauseBody(false);
    else this.#switched.upstreamDrained();
  }

  // Judging.

  #judge(body: RequestBody | undefined): void {
    this.#phase = 'judging';
    this.#gathered = body;
    this.#deadline = 0;
    const member = this.#member as MemberSession;
    const ready = member.road.ready?.();
    if (ready === undefined) this.#lookFirst(member, body);
    else void ready.then(() => this.#try(() => this.#lookFirst(member, body)));
  }

  /** What has to be known of the service before it can be judged. */
  #lookFirst(member: MemberSession, body: RequestBody | undefined): void {
    if (this.#phase !== 'judging') return;
    if (member.dialect.look !== undefined)
      this.#looking = lookFirst(member, this.#request, body, () => this.#try(() => this.#admit(member, body)));
    if (this.#looking === undefined) this.#admit(member, body);
  }
  #looking: AbortController | undefined;

  #admit(member: MemberSession, body: RequestBody | undefined): void {
    if (this.#phase !== 'judging') return;
    const { dialect, session, road } = member;
    const request = this.#request;
    let statement: Statement;
    try {
      if (request.upgrade !== '' && dialect.upgrades?.(request, session) !== true)
        throw new GatewayError('http.upgrade_refused');
      statement = dialect.classify(request, body, session);
    } catch (error) {
      const code = error instanceof GatewayError ? error.code : 'statement.unknown';
      throw refuse(unread(request, dialect.protocol), road.gate, code, 'gateway/http');
    }
    this.#statement = statement;
    const wanted = madeOf(request, wantsAsync) && this.#bodyDone;
    if (wanted || request.expectContinue) member.onHeld(statement, (held) => this.#isHeld(held, wanted));
    const permit = admit(statement, road.gate);
    if (permit instanceof Promise) this.#await(permit, member, statement);
    else this.#send(permit);
  }

  #await(permit: Promise<Permit>, member: MemberSession, statement: Statement): void {
    permit.then(
      (given) => {
        member.heldAnswered(statement);
        if (this.#held !== undefined) this.#held.answered(given);
        else if (!this.#goneClient) this.#try(() => this.#send(given));
      },
      (error: unknown) => {
        member.heldAnswered(statement);
        if (this.#held !== undefined) this.#held.refused(error);
        else this.#refuse(error);
      },
    );
  }

  /** The request waits for a person. */
  #isHeld(notice: HeldNotice, wantsAnswer: boolean): void {
    if (this.#phase !== 'judging') return;
    const member = this.#member as MemberSession;
    if (!wantsAnswer) {
      // Whoever asked whether to go on is told that somebody thinks about it (RFC 2518 section 10.1).
      if (this.#home.version === '1') this.#client.inform(102, NO_HEADERS);
      return;
    }
    this.#held = member.hold(notice, {
      request: this.#request,
      body: this.#gathered,
      bytes: this.#queue,
      statement: this.#statement as Statement,
      emptyBody: this.#emptyBody,
      trailers: this.#trailers,
    });
    if (this.#held === undefined) return;
    this.#answerWith(heldAnswer(this.#held.pending(this.#way?.prefix ?? '')));
  }

  /** A poll for a held request: it is sent once it is approved, by whoever asks for its answer, and once. */
  #fetchHeld(member: MemberSession, path: string): void {
    this.#deadline = 0;
    const held = this.#request.method === 'GET' ? member.held(path) : undefined;
    if (held === undefined) throw new GatewayError('http.held');
    const state = held.take();
    if (state.kind !== 'pending') this.#judgedBy = held.judgedBy;
    if (state.kind === 'pending') return this.#answerWith(heldAnswer(held.pending(this.#way?.prefix ?? '')));
    if (state.kind === 'refused') {
      this.#statement = held.kept.statement;
      return this.#refuse(state.error);
    }
    const { kept } = held;
    this.#request = kept.request;
    this.#gathered = kept.body;
    this.#queue = [...kept.bytes];
    this.#statement = kept.statement;
    this.#emptyBody = kept.emptyBody;
    this.#trailers = kept.trailers;
    this.#bodyDone = true;
    this.#phase = 'judging';
    this.#send(state.permit);
  }

  // Sending on.

  #send(permit: Permit): void {
    if (this.#phase !== 'judging') return;
    const member = this.#member as MemberSession;
    this.#phase = 'sending';
    this.#permit = permit;
    this.#startedUs = this.#home.monotonicUs();
    this.#wait(this.#home.deadlines.answerMs, 'http.upstream_timeout');
    const judgedBy = this.#judgedBy as MemberSession;
    const statement = this.#statement as Statement;
    this.#number = judgedBy.road.statementNumber(statement);
    judgedBy.recordRequest(this.#number, statement, this.#request, this.#gathered);
    if (this.#request.expectContinue) this.#continue();
    const ready = member.credentialReady();
    if (ready === undefined) this.#line(member);
    else
      ready.then(
        () => this.#try(() => this.#line(member)),
        (error: unknown) => this.#refuse(error),
      );
  }

  #line(member: MemberSession, fresh = false): void {
    if (this.#phase !== 'sending') return;
    const line = member.pool.acquire(member.credential, this.#request.upgrade !== '', fresh);
    if (line instanceof Promise) {
      line.then(
        (opened) => this.#try(() => this.#forward(member, opened)),
        (error: unknown) => (error === RETRY ? this.#try(() => this.#line(member)) : this.#refuse(error)),
      );
    } else this.#forward(member, line);
  }

  #forward(member: MemberSession, line: UpstreamLine): void {
    if (this.#phase !== 'sending') return member.pool.release(line);
    if (!line.free) return this.#line(member);
    const permit = this.#permit as Permit;
    const request = this.#request;
    const { dialect, session } = member;
    const forwarded: ForwardedRequest = dialect.forward(request, this.#gathered, session, permit.masks);
    this.#replaced = forwarded.body;
    const isWhole = this.#bodyDone && this.#trailers.length === 0;
    const framing = framingOf(forwarded.body, request.framing, isWhole, this.#gathered);
    const body = signedBody(forwarded.body, framing, this.#gathered);
    const as: SentAs = { framing, emptyBody: this.#emptyBody, upgrade: request.upgrade };
    this.#call = line.call(member.toService(forwarded, body, permit, as), this);
    this.#sendBody(framing);
  }

  #sendBody(framing: BodyFraming): void {
    const call = this.#call as UpstreamCall;
    const queue = this.#replaced === undefined ? this.#queue : [this.#replaced];
    if (!isSafeMethod(this.#request.method) || this.#retried) this.#queue = [];
    if (framing.kind === 'none') return;
    let room = true;
    for (const bytes of queue) {
      if (bytes.length === 0) continue;
      room = call.body(bytes);
      if (this.#replaced === undefined) this.#recordSent(bytes);
    }
    this.#queue = [];
    this.#queued = 0;
    if (this.#bodyDone || this.#replaced !== undefined) call.end(this.#trailers);
    else this.#pauseBody(!room);
  }

  /** What was read to be judged is on the record already, whole. */
  #recordSent(bytes: Uint8Array): void {
    if (this.#gathered?.read !== true) this.#judgedBy?.recordBody(this.#number, 'request', bytes);
  }

  // The answer.

  informed(head: ResponseHead): void {
    // 100 is answered by who let the body in; hints may carry what masks would hide.
    if (head.status === 100 || this.#phase !== 'sending') return;
    this.#moved();
  }

  answered(head: ResponseHead, saidLength: string | undefined): void {
    if (this.#phase !== 'sending') return;
    this.#phase = 'answering';
    this.#lateAfter = this.#home.deadlines.stallMs;
    this.#moved();
    try {
      this.#answer(head, saidLength);
    } catch (error) {
      this.#phase = 'sending';
      this.#call?.abort();
      this.#call = undefined;
      this.#refuse(error);
    }
  }

  #answer(head: ResponseHead, saidLength: string | undefined): void {
    const member = this.#member as MemberSession;
    const { masks } = this.#permit as Permit;
    this.#status = head.status;
    if (head.status === 101) return this.#switch(member, head);
    if (head.status === 401) member.credentialRefused();
    const plan = member.dialect.answer(this.#request, head, member.session, masks, this.#statement as Statement);
    this.#plan = plan;
    if (plan.patient === true) this.#deadline = 0;
    this.#masker = head.framing.kind === 'none' ? undefined : plan.masker;
    const shown = member.shown(plan.headers ?? head.headers, this.#asked, this.#way);
    const framing = this.#masker === undefined ? head.framing : ({ kind: 'stream' } as const);
    const said = plan.masker === undefined && plan.headers === undefined ? saidLength : undefined;
    const status = plan.status ?? head.status;
    this.#client.head(status, shown, framing, said);
    this.#unrecorded.head(status, shown, plan.recorded);
  }

  #switch(member: MemberSession, head: ResponseHead): void {
    const { dialect, session } = member;
    const call = this.#call as UpstreamCall;
    if (this.#request.upgrade === '' || this.#client.switch === undefined || dialect.upgrade === undefined)
      throw new GatewayError('http.upgrade_refused');
    const { road } = this.#judgedBy as MemberSession;
    const switched = new Switched(this.#home, call, road.gate, this.#number);
    const { masks } = this.#permit as Permit;
    const machine = dialect.upgrade(this.#request, head, session, masks, switched);
    if (machine === undefined) throw new GatewayError('http.upgrade_refused');
    this.#deadline = 0;
    const answered = member.switchedHeaders(head.headers, masks, this.#request.upgrade);
    const headers = atWayIn(answered, member.upstream, this.#asked, this.#way);
    this.#switched = switched;
    this.#judgedBy?.recordAnswer(this.#number, head.status, headers);
    switched.start(this.#client.switch?.(headers), machine, () => {
      this.#bytes = switched.bytes;
      this.#rows = machine.rows();
      this.#finished('');
      this.#close();
    });
  }
  #switched: Switched | undefined;
  #rows = 0;

  data(bytes: Buffer): void {
    if (this.#phase !== 'answering') return;
    this.#moved();
    const masker = this.#masker;
    let shown: Uint8Array = bytes;
    if (masker !== undefined) {
      shown = masker.push(bytes);
      if (masker.failed !== undefined) return this.#cut(masker.failed);
    }
    this.#show(shown, masker?.isGiven);
  }

  #show(bytes: Uint8Array, isGiven = false): void {
    if (bytes.length === 0) return;
    this.#bytes += bytes.length;
    this.#betweenLines = bytes[bytes.length - 1] === LINE_FEED;
    const own = this.#masker === undefined ? undefined : this.#unrecorded.body(bytes, isGiven);
    const room = own === undefined ? this.#client.body(bytes) : this.#client.body(own, true);
    if (own === undefined) this.#unrecorded.shown(this.#judgedBy, this.#number, bytes);
    if (room && !this.#recorderBehind()) return;
    this.#callPaused = true;
    this.#call?.pause(true);
  }

  #recorderBehind(): boolean {
    const member = this.#judgedBy;
    return member?.waitsForRecorder === true && member.recorderBehind(() => this.drained());
  }

  flush(): void {
    if (this.#phase !== 'answering') return;
    this.#client.flush();
    this.#unrecorded.record(this.#judgedBy, this.#number);
  }

  ended(trailers: readonly Header[]): void {
    if (this.#phase !== 'answering') return;
    const masker = this.#masker;
    if (masker !== undefined) {
      const rest = masker.end();
      if (masker.failed !== undefined) return this.#cut(masker.failed);
      this.#show(rest);
    }
    const passed = this.#masker === undefined ? passedTrailers(trailers) : grpcTrailers(trailers);
    this.#isWhole = true;
    this.#client.end(passed.length === 0 ? passed : (this.#plan?.trailers?.(passed) ?? passed));
    this.left();
    this.#close();
  }

  left(): void {
    if (!this.#isWhole) return;
    this.#isWhole = false;
    this.#finished('');
  }

  failed(error: GatewayError, untouched: boolean): void {
    if (this.#phase === 'over') return;
    const member = this.#member as MemberSession;
    this.#call = undefined;
    if (this.#phase === 'answering') return this.#cut(error.code);
    // The service closed a kept connection as we wrote: a request that changes nothing is sent once more.
    if (untouched && !this.#retried && isSafeMethod(this.#request.method) && this.#request.framing.kind === 'none') {
      this.#retried = true;
      return this.#try(() => this.#line(member, true));
    }
    this.#refuse(error);
  }

  raw(bytes: Buffer): void {
    this.#switched?.fromUpstream(bytes);
  }

  rawClosed(): void {
    this.#switched?.closed('upstream');
  }

  /** In the middle of an answer: the client sees that it is not whole. @param ours the gateway ends it, and says why where it can */
  #cut(code: ErrorCode, ours = false): void {
    const last = ours && this.#betweenLines ? this.#plan?.last?.(code) : undefined;
    this.#call?.abort();
    if (last !== undefined) this.#show(last);
    this.#finished(code);
    if (last === undefined) this.#client.reset(ours ? wordsOf(code) : undefined);
    else this.#client.end(NO_HEADERS);
    this.#close();
  }

  // Refusals and ends.

  #try(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#refuse(error);
    }
  }

  #refuse(error: unknown): void {
    if (this.#phase === 'over') return;
    if (this.#phase === 'answering') return this.#cut(error instanceof GatewayError ? error.code : 'internal', true);
    this.#call?.abort();
    const member = this.#member;
    if (this.#phase === 'sending') this.#finished(error instanceof GatewayError ? error.code : 'internal');
    const judged = this.#statement !== undefined || error instanceof Refusal;
    const road = this.#judgedBy?.road;
    const requestId =
      road === undefined || !judged ? '' : `${road.info.id}/${this.#number || road.statementNumber(this.#statement)}`;
    if (!(error instanceof GatewayError)) member?.log(error);
    const refusal = asToProxy(refusalOf(error, requestId), this.#asked, this.#home);
    const dialect = member?.dialect ?? this.#home.strangers(this.#asked.headers);
    this.#answerWith(challenged(dialect.deny(refusal, member && this.#request), this.#asked, this.#home));
  }

  #answerWith({ status, headers, body }: DeniedAnswer): void {
    if (this.#phase === 'over') return;
    const bytes = this.#asked.method === 'HEAD' ? NO_BYTES : body;
    const said = bytes === body ? undefined : String(body.length);
    this.#client.head(
      status,
      headers,
      bytes.length === 0 ? { kind: 'none' } : { kind: 'length', bytes: bytes.length },
      said,
    );
    if (bytes.length > 0) this.#client.body(bytes);
    this.#client.end(NO_HEADERS);
    this.#close();
  }

  /** Kill, revocation, shutdown. */
  end(code: ErrorCode): void {
    if (this.#phase === 'over') return;
    if (this.#switched !== undefined) this.#switched.ended(code);
    else this.#refuse(new GatewayError(code));
  }

  #finished(error: ErrorCode | 'client' | ''): void {
    const member = this.#judgedBy;
    if (member === undefined || this.#statement === undefined || this.#permit === undefined) return;
    if (this.#phase !== 'sending' && this.#phase !== 'answering') return;
    this.#unrecorded.end(this.#judgedBy, this.#number);
    member.road.finished({
      number: this.#number,
      rows: this.#rows + (this.#plan?.rows?.() ?? 0),
      bytes: this.#bytes,
      error: error === '' ? (this.#status >= 400 ? String(this.#status) : '') : error,
      durationUs: Math.round(this.#home.monotonicUs() - this.#startedUs),
      masked: 0,
    });
    member.recordEnd(this.#number);
  }

  #close(): void {
    if (this.#phase === 'over') return;
    this.#phase = 'over';
    this.#deadline = 0;
    this.#looking?.abort();
    this.#queue = [];
    this.#member?.exchanges.delete(this);
    this.#pauseBody(false);
    this.#home.over(this);
  }

  // Time.

  #lateAfter = 0;

  /** From the next look on: no clock is asked for each request, nor for each piece of an answer. */
  #wait(ms: number, late: ErrorCode): void {
    this.#lateAfter = ms;
    this.#late = late;
    this.#deadline = Number.POSITIVE_INFINITY;
  }

  /** It is waited for anew. */
  #moved(): void {
    if (this.#deadline !== 0) this.#deadline = Number.POSITIVE_INFINITY;
  }

  /** Called about every second. */
  sweep(nowMs: number): void {
    if (this.#deadline === Number.POSITIVE_INFINITY) this.#deadline = nowMs + this.#lateAfter;
    if (this.#deadline !== 0 && nowMs > this.#deadline) return this.#refuse(new GatewayError(this.#late));
    const masker = this.#masker;
    if (this.#phase !== 'answering' || masker === undefined || masker.heldBytes === 0) return;
    this.#show(masker.idle());
    this.flush();
  }
}
