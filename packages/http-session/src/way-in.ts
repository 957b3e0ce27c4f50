/**
 * By which way a request came in, and who it says it is: resource from the path's prefix or the host's name, token from the
 * fields that may carry one. Both are taken off: nothing of them is sent on or judged.
 * Refuses to verify; a wrong token is found where all wrong tokens are. Pure.
 */
import { GatewayError, Secret } from '@sallyport/core';
import { type Header, headerOf, hostOf, type MadeOf, type RequestHead } from '@sallyport/http';
import type { Resource } from '@sallyport/model';

export interface WayIn {
  readonly resource: string;
  /** `/r/<resource>`, or '' where the host's name says it. */
  readonly prefix: string;
}

const PREFIX = /^\/r\/([a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)(?=\/|$|\?)/;

/** @param domain lower case; '' = resources have no names of their own @returns undefined when it names no resource */
export function wayIn(request: Pick<RequestHead, 'authority' | 'path' | 'target'>, domain: string): WayIn | undefined {
  if (domain !== '') {
    const host = hostOf(request.authority);
    const under = `.${domain}`;
    const label = host.endsWith(under) ? host.slice(0, -under.length) : '';
    if (label !== '' && !label.includes('.')) return { resource: apart(label), prefix: '' };
  }
  const match = PREFIX.exec(request.path);
  // What is decoded must be what was written: no way in by an escape.
  return match === null || !request.target.startsWith(match[0])
    ? undefined
    : { resource: apart(match[1] as string), prefix: match[0] };
}

/** In memory of its own: a slice of the head is looked up and compared outside of compiled code, request after request. */
const apart = (slice: string): string => Buffer.from(slice).toString();

/** The way that a connection's client came in by last: it comes by the same again, whatever it asks for there. */
export class LastWay {
  #request: object | undefined;
  #authority = '';
  #domain = '';
  #way: WayIn | undefined;

  /** As `wayIn`. */
  of(request: Pick<RequestHead, 'authority' | 'path' | 'target'>, domain: string): WayIn | undefined {
    const known = this.#way;
    if (request === this.#request && domain === this.#domain) return known;
    this.#request = request;
    const same = known !== undefined && request.authority === this.#authority && domain === this.#domain;
    if (same && isBelow(request.path, known.prefix) && request.target.startsWith(known.prefix)) return known;
    this.#authority = request.authority;
    this.#domain = domain;
    this.#way = wayIn(request, domain);
    return this.#way;
  }
}

const SLASH = 0x2f;
const QUESTION_MARK = 0x3f;

/** As PREFIX ends; below '' is everything. */
function isBelow(path: string, prefix: string): boolean {
  if (prefix === '') return true;
  if (!path.startsWith(prefix)) return false;
  const next = path.charCodeAt(prefix.length);
  return path.length === prefix.length || next === SLASH || next === QUESTION_MARK;
}

/** The request as it reads behind the prefix, with the fields that are judged and sent on. */
export function behind(request: RequestHead, { prefix }: WayIn, made: MadeOf): RequestHead {
  return {
    method: request.method,
    scheme: request.scheme,
    authority: request.authority,
    target: cut(request.target, prefix),
    path: cut(request.path, prefix),
    query: request.query,
    headers: made.headers,
    version: request.version,
    framing: request.framing,
    expectContinue: request.expectContinue,
    upgrade: request.upgrade,
    absolute: request.absolute === true,
    made,
  };
}

function cut(text: string, prefix: string): string {
  if (prefix === '') return text;
  const rest = text.slice(prefix.length);
  return rest.startsWith('/') ? rest : `/${rest}`;
}

/** The pair that was found to be the same name last: request after request is asked about it. */
let own = { authority: '', serverName: '' };

/** @throws GatewayError `http.misdirected` when the connection was opened for another name (RFC 9110 section 7.4) */
export function requireOwnHost(request: Pick<RequestHead, 'authority'>, serverName: string | undefined): void {
  if (serverName === undefined || serverName === '') return;
  const { authority } = request;
  if (authority === own.authority && serverName === own.serverName) return;
  if (hostOf(authority) !== serverName.toLowerCase().replace(/\.$/, '')) throw new GatewayError('http.misdirected');
  own = { authority, serverName };
}

/** What a browser says of the page that makes it ask; '' = not said. */
export interface AskingPage {
  readonly origin: string;
  readonly site: string;
  readonly mode: string;
}

/**
 * A browser shows a password it was once given to whatever page makes it ask (CSRF, WebSockets of other sites). By a host of its
 * own a resource's pages alone count, and links to it. Fetch Metadata, RFC 6454; WebSockets say their origin alone.
 * @throws GatewayError `auth.failed`
 */
export function requireOwnPage(head: Asked, { page }: Shown, way: WayIn | undefined): void {
  if (page === undefined || way?.prefix !== '' || isLink(head, page.mode)) return;
  const { origin, site } = page;
  const isOfSite = site === '' || site === 'same-origin' || site === 'none';
  const isOfOrigin = origin === '' || isOwnOrigin(head, head.scheme, origin);
  if (!isOfSite || !isOfOrigin) throw new GatewayError('auth.failed', { why: 'a page of another site' });
}

/**
 * By a proxy a browser sends what any page asks for, the credential is put in, and the page need not read the answer. Pages of the
 * service's site count, as they do for its cookies (`SameSite`); where a browser tells no site (plain HTTP) its own origin alone.
 * @param scheme as the page names it
 * @throws GatewayError `http.other_site`
 */
export function requireOwnSite(head: Asked & Pick<RequestHead, 'headers'>, scheme: string): void {
  const { headers } = head;
  const site = headerOf(headers, 'sec-fetch-site');
  const origin = headerOf(headers, 'origin');
  if (site === undefined && origin === undefined) return;
  if (isLink(head, headerOf(headers, 'sec-fetch-mode'))) return;
  const isOther = site === undefined ? !isOwnOrigin(head, scheme, origin ?? '') : site === 'cross-site';
  if (isOther) throw new GatewayError('http.other_site');
}

type Asked = Pick<RequestHead, 'method' | 'scheme' | 'authority'>;

const isLink = ({ method }: Asked, mode: string | undefined): boolean =>
  mode === 'navigate' && (method === 'GET' || method === 'HEAD');

const isOwnOrigin = ({ authority }: Asked, scheme: string, origin: string): boolean =>
  origin.toLowerCase() === `${scheme}://${authority}`.toLowerCase();

const BEARER = /^bearer +(\S+)$/i;
const BASIC = /^basic +([A-Za-z0-9+/=]+)$/i;

function credentialIn(value: string): string | undefined {
  const bearer = BEARER.exec(value);
  if (bearer !== null) return bearer[1];
  const basic = BASIC.exec(value);
  if (basic === null) return undefined;
  const text = Buffer.from(basic[1] as string, 'base64').toString('utf8');
  const password = text.slice(text.indexOf(':') + 1);
  // `curl -u token:` names it as the user.
  return password === '' ? text.slice(0, -1) : password;
}

export interface Shown {
  /** '' when none was shown. */
  readonly token: string;
  /** The field it came in; '' without. */
  readonly by: string;
  /** Where it came as browsers show it by themselves. */
  readonly page?: AskingPage;
}

/** What a connection's client showed last: it shows the same with request after request, in the very same list of fields. */
export class LastShown {
  #headers: readonly Header[] | undefined;
  #tokenHeader: string | undefined;
  #shown: Shown = { token: '', by: '' };

  of(headers: readonly Header[], tokenHeader: string | undefined): Shown {
    if (headers !== this.#headers || tokenHeader !== this.#tokenHeader) {
      this.#shown = shownToken(headers, tokenHeader);
      this.#headers = headers;
      this.#tokenHeader = tokenHeader;
    }
    return this.#shown;
  }
}

/** The token of a request. @param tokenHeader a field the resource names besides; lower case */
export function shownToken(headers: readonly Header[], tokenHeader: string | undefined): Shown {
  let proxy: string | undefined;
  let own: string | undefined;
  let named: string | undefined;
  for (const [name, value] of headers) {
    if (name === 'proxy-authorization') proxy = proxy === undefined ? value : '';
    else if (name === 'authorization') own = own === undefined ? value : '';
    else if (name === tokenHeader) named = named === undefined ? value : '';
  }
  if (proxy !== undefined) return { token: credentialIn(proxy) ?? '', by: 'proxy-authorization' };
  if (named !== undefined) return { token: credentialIn(named) ?? named, by: tokenHeader ?? '' };
  if (own !== undefined) {
    const shown = { token: credentialIn(own) ?? '', by: 'authorization' };
    return BASIC.test(own) ? { ...shown, page: askingPage(headers) } : shown;
  }
  return { token: '', by: '' };
}

function askingPage(headers: readonly Header[]): AskingPage {
  const said = (name: string): string => headerOf(headers, name) ?? '';
  return { origin: said('origin'), site: said('sec-fetch-site'), mode: said('sec-fetch-mode') };
}

/**
 * The fields that are judged and sent on: without the token, whichever field it came in, without what a client of a proxy
 * says of itself, and without a credential of the client's own where the gateway puts one in.
 */
export function withoutToken(headers: readonly Header[], resource: Resource, by: string): readonly Header[] {
  const target = resource.http ?? resource.mcp ?? resource.kubernetes;
  const keepsOwn = target?.inject.as === 'none' && by !== 'authorization' && resource.kind === 'http';
  const { tokenHeader } = target ?? {};
  return headers.filter(
    ({ 0: name }) =>
      name !== 'proxy-authorization' &&
      name !== tokenHeader &&
      (name !== 'authorization' || keepsOwn) &&
      name !== 'x-forwarded-for' &&
      name !== 'x-forwarded-host' &&
      name !== 'x-forwarded-proto' &&
      name !== 'x-real-ip' &&
      name !== 'forwarded' &&
      name !== 'via',
  );
}

export const secretToken = (token: string): Secret<string> => new Secret(token);
