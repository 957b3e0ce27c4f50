/**
 * Credentials of OAuth 2.0 in what is kept and shown of a request, and of the answer to one that asks for a token: they are for who
 * asks alone. Refuses to hide anything else: whoever asks for a token by the way hides no more than these values.
 * RFC 6749 sections 4 and 5.1, RFC 6750 section 2.3, RFC 7521, RFC 7636, RFC 8628, RFC 8693.
 */
import { JsonMasker, JsonPlan } from '@sallyport/mask';
import { parseMediaType } from '../body/content-type.ts';
import { formDecoded } from '../body/form-body.ts';
import { openBodyMasker } from '../body/open-body-masker.ts';
import { type BodyMasker, type Header, headerOf, headerValues, type RequestHead } from '../message.ts';

const ASKING = ['grant_type', 'client_secret', 'client_assertion'];
const SENT = [
  'access_token',
  'actor_token',
  'assertion',
  'client_assertion',
  'client_secret',
  'code',
  'code_verifier',
  'device_code',
  'password',
  'refresh_token',
  'subject_token',
];
const ANSWERED = ['access_token', 'device_code', 'id_token', 'refresh_token'];

/** Some write them in one word with capitals. */
const inOneWord = (name: string): string => name.replaceAll(/_(.)/g, (_, letter: string) => letter.toUpperCase());
const spelt = (names: readonly string[]): readonly string[] => [
  ...new Set(names.flatMap((name) => [name, inOneWord(name)])),
];
const asks: ReadonlySet<string> = new Set(spelt(ASKING));
const secret: ReadonlySet<string> = new Set(spelt(SENT));
const anywhere = (names: readonly string[]): readonly { path: string; with: 'redact' }[] =>
  spelt(names).map((name) => ({ path: `**.${name}`, with: 'redact' }));
const SENT_PLAN = new JsonPlan(anywhere(SENT));
const ANSWERED_MASKS = { columns: [], detect: [], json: anywhere(ANSWERED) } as const;

/** Names in a query are compared once they are unescaped. */
const MAY_ASK = /grant|client|token|%/i;
const nameOf = (pair: string): string => formDecoded(Buffer.from(pair.split('=', 1)[0] ?? '')).toString();

const ASKING_JSON = /"(?:grant_?type|client_?(?:secret|assertion))"/i;

/** @param pairs a query, raw, without `?`, or a form */
export const asksForToken = (pairs: string): boolean =>
  MAY_ASK.test(pairs) && pairs.split('&').some((pair) => asks.has(nameOf(pair)));

/** A target as it is kept and shown: an access token is none of it, nor are the secrets of who asks for one. */
export function targetWithoutTokens(target: string): string {
  const at = target.indexOf('?') + 1;
  if (at === 0 || !MAY_ASK.test(target)) return target;
  const query = target.slice(at);
  const asked = asksForToken(query);
  const isSecret = (name: string): boolean => (asked ? secret.has(name) : name === 'access_token');
  return target.slice(0, at) + withoutPairs(query, isSecret);
}

const withoutPairs = (pairs: string, isSecret: (name: string) => boolean): string =>
  pairs
    .split('&')
    .map((pair) => (pair.includes('=') && isSecret(nameOf(pair)) ? `${pair.split('=', 1)[0] ?? ''}=[redacted]` : pair))
    .join('&');

/**
 * The body of a request for a token, a form or JSON, as it is kept and shown, also where rules have it unread.
 * @param text without content coding
 * @returns undefined for a request that asks for none
 */
export function textWithoutTokens({ headers, query }: RequestHead, text: string): string | undefined {
  const isForm = parseMediaType(headerOf(headers, 'content-type') ?? '').kind === 'form';
  if (!asksForToken(query) && !(isForm ? asksForToken(text) : ASKING_JSON.test(text))) return undefined;
  if (isForm) return withoutPairs(text, (name) => secret.has(name));
  const masker = new JsonMasker({ plan: SENT_PLAN, detect: [], key: undefined });
  const shown = Buffer.concat([masker.push(Buffer.from(text)), masker.end()]);
  // No JSON: it goes as it came.
  return masker.broken ? undefined : shown.toString();
}

/** The answer to such a request as it is kept. @param headers as it is shown @returns undefined where it holds no tokens that have a name */
export function answerWithoutTokens(headers: readonly Header[]): BodyMasker | undefined {
  const contentType = headerOf(headers, 'content-type') ?? '';
  if (parseMediaType(contentType).kind !== 'json') return undefined;
  const contentEncoding = headerValues(headers, 'content-encoding').join(',');
  const masker = openBodyMasker(ANSWERED_MASKS, { contentType, contentEncoding });
  return typeof masker === 'string' ? undefined : masker;
}
