/**
 * Kubernetes over the HTTPS listener: what the driver of packages/http-session asks of a kind of resource. Refuses to own
 * connections and credentials, and to let through an upgrade that is not read or named: docs/adr on the Kubernetes protocol.
 */
import { type ErrorCode, GatewayError } from '@sallyport/core';
import { type Header, headerOf, headerValues, NO_BODY, type RequestHead, type ResponseHead } from '@sallyport/http';
import type {
  AnswerPlan,
  DialectSession,
  ForwardedRequest,
  HttpDialect,
  HttpRefusal,
  Look,
  RequestBody,
  UpgradeHost,
  UpgradeMachine,
} from '@sallyport/http-session';
import { refusalOf } from '@sallyport/http-session';
import type { KubernetesTarget, MaskSet, Statement } from '@sallyport/model';
import { EXEC_SUBPROTOCOLS, FORWARD_SUBPROTOCOLS } from './channels.ts';
import { answersToken } from './classify/effects.ts';
import type { PatchType } from './classify/patch.ts';
import { changesOf, changesStored, type Stored, storedOf } from './classify/stored.ts';
import { writtenAs } from './classify/written.ts';
import { type Classified, classify, readsBody } from './classify.ts';
import { deniedAnswer, statusOf } from './deny.ts';
import { identityHeaders } from './login.ts';
import { hangsOnImmutability, requireNoComparison } from './mask/comparison.ts';
import { proxiedHeaders } from './mask/proxied.ts';
import { isMasked, planAnswer } from './mask.ts';
import { isProxied, type RequestInfo, readRequest, withoutByteLimit } from './messages.ts';
import { maskedAccept, planOf } from './paths.ts';
import { Tunnel } from './pipe.ts';
import { ExecStream } from './running.ts';

const SPDY = 'spdy/3.1';
/** Headers of an upgrade and of what it may carry: the gateway writes its own. */
const WRITTEN: ReadonlySet<string> = new Set([
  'sec-websocket-extensions',
  'sec-websocket-protocol',
  // The cluster's audit log would have the same id twice, or one of another's.
  'audit-id',
  'accept',
  'accept-encoding',
]);

const NOTHING = new Uint8Array();

export function createKubernetesDialect(): HttpDialect {
  /** As long as the driver keeps the request. */
  const read = new WeakMap<RequestHead, Classified>();
  const askedIn = new WeakMap<RequestHead, DialectSession>();
  const storedFor = new WeakMap<RequestHead, Stored>();
  const infoOf = (request: RequestHead): RequestInfo =>
    read.get(request)?.info ?? readRequest(request.method, request.path, request.query);

  return {
    protocol: 'kubernetes',

    gathers(request) {
      try {
        return readsBody(readRequest(request.method, request.path, request.query));
      } catch {
        // `classify` says why it is refused.
        return false;
      }
    },

    look(request, body, session): Look | undefined {
      if (request.method !== 'PUT' && request.method !== 'PATCH') return undefined;
      const { statement, info, asksOfImmutable } = judged(request, body, session);
      const { road, recorder } = session;
      if (!changesStored(info) || statement.facts.k8s?.object !== 'read') return undefined;
      const { kind } = road.gate.decide(statement);
      // Whoever is to say yes has to see what it changes; else it is read where recordings hold what objects hold.
      if (kind === 'deny' || (kind === 'allow' && recorder.level === 'statements' && !asksOfImmutable))
        return undefined;
      const read = asRead(request);
      return {
        statement: classify(read, undefined).statement,
        forward: () => ({
          method: 'GET',
          target: read.target,
          headers: [
            ['accept', 'application/json'],
            ...identityHeaders(targetOf(session).identity, road.info, groupsOf(session)),
          ],
        }),
        seen: (answer) => void storedFor.set(request, storedOf(answer)),
      };
    },

    classify(request, body, session): Statement {
      askedIn.set(request, session);
      const classified = judged(request, body, session);
      read.set(request, classified);
      const stored = storedFor.get(request);
      if (classified.asksOfImmutable && tellsOf(stored)) requireDenied(classified.statement, session);
      if (stored === undefined) return classified.statement;
      const { statement, info, sent } = classified;
      const { road } = session;
      const type = statement.facts.k8s?.patchType as PatchType;
      const changes = changesOf(stored, info, type, sent, road.masks(), road.maskKey);
      return { ...statement, text: `${statement.text}\n\n${changes}` };
    },

    recorded(request, _body, session) {
      const known = read.get(request);
      const contentType = 'application/json';
      // Nobody read it: nobody knows what is in it.
      if (known?.sent === undefined) return { contentType, bytes: NOTHING };
      const text = writtenAs(known.info, known.sent, session.road.masks(), session.road.maskKey);
      return { contentType, bytes: Buffer.from(text) };
    },

    forward(request, _body: RequestBody | undefined, session, masks): ForwardedRequest {
      const info = infoOf(request);
      const { body } = read.get(request) ?? {};
      const given = isProxied(info) ? proxiedHeaders(request, info, masks, session.road.maskKey) : request.headers;
      const headers: Header[] = given.filter(([name]) => !WRITTEN.has(name)) as Header[];
      // A proxied program is asked for what the client asked for.
      const looked = isMasked(info, request.path, masks);
      const masked = looked && !isProxied(info);
      const accept = masked ? (maskedAccept(acceptOf(request), info, masks) ?? 'application/json') : acceptOf(request);
      if (accept !== '') headers.push(['accept', accept]);
      const coding = headerOf(given, 'accept-encoding');
      if (!masked && coding !== undefined) headers.push(['accept-encoding', coding]);
      const subprotocols = offered(request, info);
      if (subprotocols.length > 0) headers.push(['sec-websocket-protocol', subprotocols.join(', ')]);
      headers.push(...identityHeaders(targetOf(session).identity, session.road.info, groupsOf(session)));
      const { method } = request;
      const target = looked ? withoutByteLimit(request.target, info) : request.target;
      if (body === undefined) return { method, target, headers };
      return { method, target, headers: headers.map(asJson), body };
    },

    answer(request, response, session, masks): AnswerPlan {
      const info = infoOf(request);
      const plan = planAnswer(info, request.path, response, masks, session.road.maskKey);
      if (answersToken(info)) return { ...plan, recorded: 'nothing' };
      if (isJsonWatch(info, response)) return { ...plan, patient: true, last: lastEvent };
      const follows = info.verb === 'watch' || info.query.get('follow')?.[0] === 'true';
      return follows ? { ...plan, patient: true } : plan;
    },

    upgrades: (request, session) =>
      request.upgrade === SPDY
        ? isStream(infoOf(request))
        : offered(request, infoOf(request)).length > 0 && targetOf(session) !== undefined,

    upgrade: (request, response, session, masks, host): UpgradeMachine | undefined =>
      machineFor(infoOf(request), request, response, session, masks, host),

    // client-go ends its name with that of the library, as all do that are made with it; others ask for what only an API server has.
    isClient: (headers) =>
      /(?:^kubectl|\skubernetes)\//i.test(headerOf(headers, 'user-agent') ?? '') ||
      /application\/vnd\.kubernetes\.|;\s*as=/i.test(headerOf(headers, 'accept') ?? ''),

    deny(refusal, request) {
      const session = request === undefined ? undefined : askedIn.get(request);
      return deniedAnswer(session === undefined ? refusal : firstRefusal(refusal, request as RequestHead, session));
    },
  };
}

/** Its events are lines; in protobuf they are not. */
const isJsonWatch = ({ verb }: RequestInfo, { status, headers }: ResponseHead): boolean =>
  verb === 'watch' && status === 200 && /^application\/json(?:;|$)/i.test(headerOf(headers, 'content-type') ?? '');

/** As an API server ends a watch that it cannot go on with: clients show its message, or list anew. */
const lastEvent = (code: ErrorCode): Uint8Array =>
  Buffer.from(`${JSON.stringify({ type: 'ERROR', object: statusOf(refusalOf(new GatewayError(code), '')) })}\n`);

interface Judged extends Classified {
  /** Whether it is taken says what is masked, if the object is immutable. */
  readonly asksOfImmutable: boolean;
}

/** What is stored does not change, or nobody could look. */
const tellsOf = (stored: Stored | undefined): boolean =>
  stored === undefined ||
  stored.kind === 'unread' ||
  (stored.kind === 'object' && (stored.object as { readonly immutable?: unknown }).immutable === true);

/** What a rule denies tells nothing, and its own words are better. @throws GatewayError `kubernetes.masked_comparison` */
function requireDenied(statement: Statement, { road }: DialectSession): void {
  if (road.gate.decide(statement).kind !== 'deny')
    throw new GatewayError('kubernetes.masked_comparison', { reason: 'an object that is immutable' });
}

/** @throws GatewayError for what is refused unjudged */
function judged(request: RequestHead, body: RequestBody | undefined, session: DialectSession): Judged {
  requirePlainPath(request);
  const target = targetOf(session);
  const masks = session.road.masks();
  const classified = classify(request, body, target.opaque ?? [], (info, sent) =>
    writtenAs(info, sent, masks, session.road.maskKey),
  );
  requireStream(request, classified.info, target);
  const asksForJson = !isProxied(classified.info) && isMasked(classified.info, request.path, masks);
  if (asksForJson && maskedAccept(acceptOf(request), classified.info, masks) === undefined)
    throw new GatewayError('kubernetes.not_acceptable');
  requireUnmasked(classified, masks);
  const { info, sent, statement } = classified;
  const { k8s } = statement.facts;
  if (k8s === undefined) return { ...classified, asksOfImmutable: false };
  requireNoComparison(info, k8s, sent, masks);
  return { ...classified, asksOfImmutable: hangsOnImmutability(info, k8s, sent, masks) };
}

/** What is stored, as the same client would ask for it. */
const asRead = ({ path, scheme, authority, version }: RequestHead): RequestHead => ({
  method: 'GET',
  scheme,
  authority,
  target: path,
  path,
  query: '',
  headers: [],
  version,
  framing: NO_BODY,
  expectContinue: false,
  upgrade: '',
});

/** So long after a WebSocket was refused the same over SPDY is the same client's second try. */
const SECOND_TRY_MS = 10_000;
const REFUSED = 'refused streams';

/**
 * kubectl asks again by SPDY when a WebSocket was refused, for whatever reason, and shows the second answer alone: it is told
 * the first one.
 */
function firstRefusal(refusal: HttpRefusal, request: RequestHead, session: DialectSession): HttpRefusal {
  if (request.upgrade === '') return refusal;
  const nowMs = session.nowMs();
  const known = session.state.get(REFUSED) as RefusedStreams | undefined;
  if (refusal.code !== 'kubernetes.spdy_refused') {
    const kept: RefusedStreams = new Map([...(known ?? [])].filter(([, { until }]) => until > nowMs).slice(-20));
    kept.set(request.target, { refusal, until: nowMs + SECOND_TRY_MS });
    session.state.set(REFUSED, kept);
    return refusal;
  }
  const first = known?.get(request.target);
  known?.delete(request.target);
  return first !== undefined && first.until > nowMs ? first.refusal : refusal;
}
type RefusedStreams = Map<string, { readonly refusal: HttpRefusal; readonly until: number }>;

const acceptOf = (request: RequestHead): string => headerValues(request.headers, 'accept').join(', ');

function targetOf({ resource }: DialectSession): KubernetesTarget {
  if (resource.kubernetes === undefined) throw new GatewayError('internal', { reason: 'no cluster' });
  return resource.kubernetes;
}

/** What stands in the place of a masked value, as packages/mask writes it. */
const STAND_IN = /^(?:\[redacted\]|W3JlZGFjdGVkXQ==|\*{6}.{0,4}|h:[\w-]{16})$/;

/** An object that was read masked and is written back would store the mask. */
function requireUnmasked({ info, statement }: Classified, masks: MaskSet): void {
  if (planOf(masks, info) === undefined) return;
  if (statement.facts.k8s?.fields.some(({ value }) => STAND_IN.test(value)) === true)
    throw new GatewayError('kubernetes.masked_value');
}

/** Groups of the principal, as the bundle in force has them. */
const groupsOf = (session: DialectSession): readonly string[] => session.road.groups?.() ?? [];

const isStream = ({ subresource }: RequestInfo): boolean =>
  subresource === 'exec' || subresource === 'attach' || subresource === 'portforward';

/** What is sent on is what was read: no name of Kubernetes needs an escape in a path. */
function requirePlainPath({ target, path }: RequestHead): void {
  const cut = target.indexOf('?');
  if ((cut < 0 ? target : target.slice(0, cut)) !== path)
    throw new GatewayError('kubernetes.path', { reason: 'an escape' });
}

/** @throws GatewayError `kubernetes.spdy_refused`, `kubernetes.stream` for a stream that nobody could read or record */
function requireStream(request: RequestHead, info: RequestInfo, target: KubernetesTarget): void {
  if (request.upgrade === SPDY) {
    const isNamed =
      (target.opaque ?? []).includes('spdy') && (info.subresource === 'portforward' || !target.execRecorded);
    if (!isNamed) throw new GatewayError('kubernetes.spdy_refused');
    return;
  }
  if (!isStream(info)) return;
  if (request.upgrade === '') throw new GatewayError('kubernetes.stream', { reason: 'no upgrade' });
  if (offered(request, info).length === 0) throw new GatewayError('kubernetes.stream', { reason: 'the subprotocol' });
}

/** Of what the client offers, what is understood: another may carry a token, or frames that are not read. */
function offered(request: RequestHead, info: RequestInfo): readonly string[] {
  if (request.upgrade !== 'websocket') return [];
  const wanted = headerValues(request.headers, 'sec-websocket-protocol')
    .flatMap((value) => value.split(','))
    .map((value) => value.trim());
  if (info.subresource === 'portforward') return wanted.filter((value) => FORWARD_SUBPROTOCOLS.includes(value));
  if (info.subresource !== 'exec' && info.subresource !== 'attach') return [];
  return wanted.filter((value) => EXEC_SUBPROTOCOLS.includes(value));
}

const asJson = (header: Header): Header =>
  header[0] === 'content-type' && /^application\/(?:yaml|vnd\.kubernetes\.protobuf)/i.test(header[1])
    ? ['content-type', 'application/json']
    : header;

function machineFor(
  info: RequestInfo,
  request: RequestHead,
  response: ResponseHead,
  session: DialectSession,
  masks: MaskSet,
  host: UpgradeHost,
): UpgradeMachine | undefined {
  const ended = (): void => session.recorder.exit(host.statementNumber, {});
  if (request.upgrade === SPDY) return new Tunnel(host, ended);
  const chosen = headerOf(response.headers, 'sec-websocket-protocol') ?? '';
  if (!offered(request, info).includes(chosen) || headerOf(response.headers, 'sec-websocket-extensions') !== undefined)
    return undefined;
  if (info.subresource === 'portforward') return new Tunnel(host, ended);
  const tty = /^(?:1|t|true)$/i.test(info.query.get('tty')?.[0] ?? '');
  const moves = /(?:^|\/)tar$/.test(info.query.get('command')?.[0] ?? '');
  return new ExecStream({ session, host, detect: masks.detect, tty, keepWidth: tty || moves });
}
