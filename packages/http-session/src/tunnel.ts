/**
 * The forward proxy: a client that names a host instead of a resource. CONNECT opens a tunnel whose inside is read like any
 * connection, once its TLS has been ended; a request in absolute form is read as it is.
 * Refuses hosts that no resource registers. RFC 9110 section 9.3.6, RFC 9112 section 3.2.
 */
import { GatewayError } from '@sallyport/core';
import { headerOf, hostOf, type RequestHead } from '@sallyport/http';
import type { ClientStream } from './client-stream.ts';
import type { DeniedAnswer, HttpRefusal } from './dialect.ts';
import type { MemberSession } from './member.ts';
import { requireOwnHost, requireOwnSite, type Shown, shownToken, type WayIn } from './way-in.ts';

/** What a connection is inside a tunnel: one host, one session. */
export interface Tunnel {
  /** Canonical. */
  readonly host: string;
  readonly member: MemberSession;
}

export interface Named {
  readonly host: string;
  readonly port: number;
}

/** A TLS record of type handshake (RFC 8446 section 5.1): no request begins so. */
export const TLS_HANDSHAKE = 0x16;

/** The host and port of an authority. @param fallback where it names no port */
function namedBy(authority: string, fallback: number): Named {
  const port = /:(\d{1,5})$/.exec(authority)?.[1];
  return { host: hostOf(authority), port: port === undefined ? fallback : Number(port) };
}

/** What the proxy asks of the connection. */
export interface ProxyHome {
  readonly serverName: string | undefined;
  /** What the connection is the inside of; undefined = nothing. */
  readonly tunnel: Tunnel | undefined;
  /** As `wayIn`, in this connection's domain. */
  wayIn(request: RequestHead): WayIn | undefined;
  /** Name of the resource that registers the host; of several the one the token says it is for. */
  proxied(named: Named, token: string): string | undefined;
  /** @throws GatewayError `auth.failed` for a token that is none of ours */
  unproxied(token: string, named: Named): void;
  member(resource: string, token: string): MemberSession | Promise<MemberSession>;
  /** TLS for that host can be ended here. */
  hasInnerTls(host: string): boolean;
  openTunnel(client: ClientStream, tunnel: Tunnel): void;
}

export interface Proxied {
  readonly member: MemberSession | Promise<MemberSession>;
  readonly shown: Shown;
  /** @returns undefined when the connection has become a tunnel: there is nothing to judge yet */
  enter(member: MemberSession): WayIn | undefined;
}

const NO_TOKEN: Shown = { token: '', by: 'proxy-authorization' };

/**
 * Who is asked, when it is a host and no resource of ours that the client names; undefined when it did not come that way.
 * @throws GatewayError `http.proxy_host`, `http.other_site`, `http.misdirected`, `http.method_refused`, `auth.failed`
 */
export function byProxy(head: RequestHead, client: ClientStream, home: ProxyHome): Proxied | undefined {
  const { tunnel } = home;
  if (tunnel !== undefined) {
    if (hostOf(head.authority) !== tunnel.host) throw new GatewayError('http.misdirected');
    requireOwnHost(head, home.serverName);
    if (head.method === 'CONNECT') throw new GatewayError('http.method_refused');
    requireOwnSite(head, head.scheme);
    return { member: tunnel.member, shown: NO_TOKEN, enter: (member) => wayBehindProxy(head, member) };
  }
  if (!cameByProxy(head)) return undefined;
  const connects = head.method === 'CONNECT';
  const named = namedBy(head.authority, connects ? 443 : 80);
  const shown = shownToken(head.headers, undefined);
  const resource = home.proxied(named, shown.token);
  if (resource === undefined) {
    home.unproxied(shown.token, named);
    throw new GatewayError('http.proxy_host', { host: named.host });
  }
  const enter = (member: MemberSession): WayIn | undefined => {
    if (!connects) {
      // In absolute form browsers ask a proxy for plain HTTP alone.
      requireOwnSite(head, 'http');
      return wayBehindProxy(head, member);
    }
    openTunnel(head, named, member, client, home);
    return undefined;
  };
  return { member: home.member(resource, shown.token), shown, enter };
}

const cameByProxy = (head: RequestHead): boolean =>
  head.method === 'CONNECT' || (head.absolute === true && headerOf(head.headers, 'proxy-authorization') !== undefined);

function openTunnel(
  head: RequestHead,
  { host, port }: Named,
  member: MemberSession,
  client: ClientStream,
  home: ProxyHome,
): void {
  if (member.ended !== undefined) throw new GatewayError(member.ended);
  if (client.tunnel === undefined || head.framing.kind !== 'none') throw new GatewayError('http.method_refused');
  if (port !== 80 && !home.hasInnerTls(host)) throw new GatewayError('interception.off');
  home.openTunnel(client, { host, member });
}

/** A proxy says 407 where a service says 401 (RFC 9110 section 15.5.8). */
export const asToProxy = (refusal: HttpRefusal, head: RequestHead, { tunnel }: ProxyHome): HttpRefusal =>
  refusal.status === 401 && tunnel === undefined && cameByProxy(head) ? { ...refusal, status: 407 } : refusal;

const BASIC = 'Basic realm="sallyport"';

/**
 * With the challenge that goes with 407, or makes a browser ask its person for a token. Not where resources share one origin: a
 * browser would show the token of one to the pages of all.
 */
export function challenged(
  answer: DeniedAnswer,
  head: RequestHead,
  home: Pick<ProxyHome, 'tunnel' | 'wayIn'>,
): DeniedAnswer {
  if (answer.status === 407) return { ...answer, headers: [...answer.headers, ['proxy-authenticate', BASIC]] };
  if (answer.status !== 401 || home.tunnel !== undefined || home.wayIn(head)?.prefix !== '') return answer;
  if (headerOf(head.headers, 'sec-fetch-site') === undefined) return answer;
  // In the place of the other: over HTTP/2 both would stand in one field, of which Chromium reads the first alone.
  const others = answer.headers.filter(([name]) => name !== 'www-authenticate');
  return { ...answer, headers: [...others, ['www-authenticate', BASIC]] };
}

/** A request that came by the proxy says the service's own path: what is above the resource's base is none of its. */
function wayBehindProxy(request: RequestHead, member: MemberSession): WayIn {
  const { base } = member.upstream;
  const within = (text: string): boolean => text === base || text.startsWith(`${base}/`) || text.startsWith(`${base}?`);
  if (base !== '' && !(within(request.path) && within(request.target)))
    throw new GatewayError('http.proxy_host', { reason: 'path' });
  return { resource: member.resource.name, prefix: base };
}
