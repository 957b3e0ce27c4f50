/**
 * How an answer of an API server is shown: JSON by paths and detectors, logs and texts by detectors, the server's word about
 * itself untouched; what a proxied program says, or an aggregated API in another form, as any service's (mask/proxied.ts).
 * Refuses to pass on what should be masked and cannot be read.
 */
import { GatewayError } from '@sallyport/core';
import { type BodyMasker, type Header, headerOf, maskHeaders, type ResponseHead } from '@sallyport/http';
import type { AnswerPlan } from '@sallyport/http-session';
import { createStreamMasker, JsonMasker, JsonPlan, type MaskKey, REDACTED } from '@sallyport/mask';
import type { MaskSet } from '@sallyport/model';
import { isProxiedMasked, planProxied } from './mask/proxied.ts';
import { isAboutServer, isProxied, type RequestInfo } from './messages.ts';
import { planOf } from './paths.ts';

/** Whether an answer to this could hold what is masked: then one of the API server's own is asked for as JSON, uncompressed. */
export const isMasked = (info: RequestInfo, path: string, masks: MaskSet): boolean =>
  isProxied(info)
    ? isProxiedMasked(info, masks)
    : !(info.nonResource && isAboutServer(path)) && (masks.detect.length > 0 || planOf(masks, info) !== undefined);

const TEXT = /^(?:text\/|application\/(?:xml|xhtml\+xml|yaml|javascript|openmetrics-text)|.*\+xml$)/;
const JSON_TYPE = /^application\/(?:json|.*\+json)$/;
const UNREADABLE = /^application\/(?:vnd\.kubernetes\.protobuf|cbor|.*\+cbor)/;

/** An API server's answers have none. */
const trailers = (): readonly Header[] => [];
const PLAIN: AnswerPlan = Object.freeze({ trailers });

/** @throws GatewayError `http.body_unmaskable` */
export function planAnswer(
  info: RequestInfo,
  path: string,
  response: ResponseHead,
  masks: MaskSet,
  key: MaskKey | undefined,
): AnswerPlan {
  if (isProxied(info)) return planProxied(info, response, masks, key);
  const headers = maskedHeaders(response.headers, masks, key);
  const changed = headers === response.headers ? PLAIN : { headers, trailers };
  if (!isMasked(info, path, masks)) return changed;
  // An answer to HEAD says how long the object is: headers of our own leave that out.
  if (response.framing.kind === 'none') return { headers, trailers };
  const plan = planOfAnswer(info, response.status, masks);
  const type = (headerOf(response.headers, 'content-type') ?? '').split(';', 1)[0]!.trim().toLowerCase();
  const coding = headerOf(response.headers, 'content-encoding') ?? 'identity';
  // YAML is not asked for where something is masked by its path; a server of its own kind may send it all the same.
  const isUnread = UNREADABLE.test(type) || (plan !== undefined && type.endsWith('yaml'));
  if (coding !== 'identity' || isUnread) throw new GatewayError('http.body_unmaskable', { type, coding });
  if (JSON_TYPE.test(type)) return { ...changed, ...jsonPlan(plan, masks, key) };
  if (TEXT.test(type) || type === '') return { ...changed, masker: textMasker(masks, key) };
  if (plan !== undefined) throw new GatewayError('http.body_unmaskable', { type });
  // No API server's own word: what stands behind an aggregated API says it, as any service does.
  return planProxied(info, response, masks, key);
}

/** A server that says what is wrong with an object shows what it has stored: `Invalid value: "{…}"`, a hook's own words. */
const SAID_OF_NONE: ReadonlySet<number> = new Set([401, 404, 405, 406, 409, 410, 413, 415, 429, 503, 504]);
const SAID = new JsonPlan([
  { path: 'message', with: 'redact' },
  { path: 'details.causes[].message', with: 'redact' },
]);
const SHOWING: ReadonlySet<string> = new Set(['create', 'update', 'patch', 'delete', 'deletecollection']);

function planOfAnswer(info: RequestInfo, status: number, masks: MaskSet): JsonPlan | undefined {
  const plan = planOf(masks, info);
  if (plan === undefined || status < 400 || SAID_OF_NONE.has(status) || !SHOWING.has(info.verb)) return plan;
  return SAID;
}

function jsonPlan(plan: JsonPlan | undefined, masks: MaskSet, key: MaskKey | undefined): AnswerPlan {
  const masker = new JsonMasker({ plan, detect: masks.detect, key });
  return {
    masker: {
      push: (chunk) => masker.push(chunk),
      end: () => masker.end(),
      idle: () => masker.idle(),
      get heldBytes() {
        return masker.heldBytes;
      },
      get failed() {
        return masker.broken ? ('http.body_unmaskable' as const) : undefined;
      },
    } as BodyMasker,
  };
}

function textMasker(masks: MaskSet, key: MaskKey | undefined): BodyMasker {
  const masker = createStreamMasker(masks.detect, key);
  return {
    push: (chunk) => masker.push(chunk),
    end: () => masker.flush(),
    // It is asked about once a second; a prompt or the last line of a log is not kept from who waits for it.
    idle: () => masker.idle(1_000),
    get heldBytes() {
      return masker.heldBytes;
    },
  };
}

/** What the API server says in its head is names and counts, but for what somebody's own hook or policy warns of. */
function maskedHeaders(headers: readonly Header[], masks: MaskSet, key: MaskKey | undefined): readonly Header[] {
  const named = new Set(masks.headers?.map(({ header }) => header));
  const isRead = ([name]: Header): boolean => named.has(name) || (name === WARNING && masks.detect.length > 0);
  if ((named.size === 0 && masks.detect.length === 0) || !headers.some(isRead)) return headers;
  return headers.flatMap((header) => {
    if (named.has(header[0])) return [[header[0], REDACTED] as const];
    return isRead(header) ? maskHeaders([header], { columns: [], detect: masks.detect }, key) : [header];
  });
}
const WARNING = 'warning';
