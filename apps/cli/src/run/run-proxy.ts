/**
 * The loopback proxy of `run`: takes a program's requests, by proxy or by a resource's own URL, and carries them to the agent
 * over TLS with a fresh access token. A loopback port belongs to every local user, so everything needs this run's password.
 * Refuses to read what goes through a tunnel, and hosts that are no resource of this run.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import http from 'node:http';
import net from 'node:net';
import type { Duplex } from 'node:stream';
import { LIMITS } from '@sallyport/core';
import { renderProblem } from '../output/problem.ts';
import type { AccessTokens } from '../proxy/access-tokens.ts';
import { type AgentAddress, dialAgent } from '../proxy/agent-endpoint.ts';
import { forwardedHeaders } from './headers.ts';
import { type Refusal, refuse, refuseOn } from './refusal.ts';

export interface RunResource {
  readonly name: string;
  readonly endpoints: readonly AgentAddress[];
  readonly tokens: AccessTokens;
  /** `host` or `host:port`, lower case, by which the agent's forward proxy knows it. */
  readonly hosts: readonly string[];
}

export interface RunProxyOptions {
  readonly resources: readonly RunResource[];
  /** PEM of Sallyport's root. */
  readonly root: string;
  readonly password: string;
  /** Hosts of no resource are reached as if there were no proxy. */
  readonly direct: boolean;
  readonly onProblem: (problem: string) => void;
}

/** Disposing it closes it and ends its connections. */
export interface RunProxy extends AsyncDisposable {
  readonly port: number;
  /** Where the program finds a resource without a proxy. The password stands in it: it is good for this run alone. */
  urlOf(resource: string): string;
}

/** A resource with the connections to its agents. */
interface Way {
  readonly resource: RunResource;
  readonly agent: http.Agent;
}

const HEAD_BYTES_MAX = 64 * 1024;

export async function openRunProxy(options: RunProxyOptions): Promise<RunProxy> {
  const ways = options.resources.map((resource) => ({ resource, agent: new TlsAgent(resource, options.root) }));
  const proxy = new Handler(options, ways);
  const open = new Set<net.Socket>();
  const server = http.createServer({ requestTimeout: 0, keepAliveTimeout: 60_000, maxHeaderSize: HEAD_BYTES_MAX });
  server.on('connection', (socket) => {
    open.add(socket);
    socket.on('close', () => open.delete(socket));
    socket.on('error', () => socket.destroy());
    socket.setNoDelay(true);
  });
  server.on('request', (request, response) => proxy.request(request, response));
  server.on('checkContinue', (request, response) => proxy.request(request, response));
  server.on('connect', (request, socket, head) => void proxy.connect(request, socket, head));
  server.on('upgrade', (request, socket, head) => void proxy.upgrade(request, socket, head));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as net.AddressInfo;
  return {
    port,
    urlOf: (resource) => `http://127.0.0.1:${port}/${options.password}/${resource}`,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const { agent } of ways) agent.destroy();
        for (const socket of open) socket.destroy();
      }),
  };
}

/** Opens connections to a resource's agents, in turn, and keeps those that are still good. */
class TlsAgent extends http.Agent {
  readonly #resource: RunResource;
  readonly #root: string;

  constructor(resource: RunResource, root: string) {
    super({ keepAlive: true, timeout: 0 });
    this.#resource = resource;
    this.#root = root;
  }

  override createConnection(
    _options: http.ClientRequestArgs,
    done?: (error: Error | null, socket: Duplex) => void,
  ): Duplex | null | undefined {
    dialAgent(this.#resource.endpoints, this.#root, 'http/1.1').then(
      (socket) => done?.(null, socket),
      (error: unknown) => done?.(error as Error, undefined as unknown as Duplex),
    );
    return undefined;
  }
}

class Handler {
  readonly #options: RunProxyOptions;
  readonly #ways: readonly Way[];
  readonly #secret: Buffer;
  readonly #told = new Set<string>();

  constructor(options: RunProxyOptions, ways: readonly Way[]) {
    this.#options = options;
    this.#ways = ways;
    this.#secret = digest(options.password);
  }

  request(request: http.IncomingMessage, response: http.ServerResponse): void {
    const meant = this.#meant(request);
    if ('status' in meant) refuse(response, meant);
    else if (meant.way === undefined) this.#carryDirect(request, response, meant.target);
    else
      this.#carry(request, response, meant.way, meant.target).catch((error: unknown) =>
        refuse(response, this.#unreached(error)),
      );
  }

  async connect(request: http.IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const authority = (request.url ?? '').toLowerCase();
    socket.on('error', () => socket.destroy());
    try {
      if (!this.#provesPassword(request)) return refuseOn(socket, NOT_PROVEN);
      const way = this.#wayOf(authority);
      if (way === undefined) {
        if (!this.#options.direct) {
          const refusal = this.#unknownHost(authority);
          this.#tell(authority, refusal.text);
          return refuseOn(socket, refusal);
        }
        const other = await dialDirect(authority);
        socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
        join(socket, other, head);
        return;
      }
      const token = await way.resource.tokens.get();
      const agent = await dialAgent(way.resource.endpoints, this.#options.root, 'http/1.1');
      agent.write(
        `CONNECT ${authority} HTTP/1.1\r\nhost: ${authority}\r\nproxy-authorization: Bearer ${token}\r\n\r\n`,
      );
      // The agent's own answer is the program's to read: 200, or why not.
      join(socket, agent, head);
    } catch (error) {
      refuseOn(socket, this.#unreached(error));
    }
  }

  /** WebSockets and the like, by a resource's own URL or by a proxy for plain HTTP. */
  async upgrade(request: http.IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on('error', () => socket.destroy());
    try {
      const meant = this.#meant(request);
      if ('status' in meant) return refuseOn(socket, meant);
      if (meant.way === undefined) return refuseOn(socket, this.#unknownHost(meant.target));
      const { way, target } = meant;
      const token = await way.resource.tokens.get();
      const agent = await dialAgent(way.resource.endpoints, this.#options.root, 'http/1.1');
      const headers = forwardedHeaders(request.rawHeaders, { host: hostFor(target, way), token, keepUpgrade: true });
      const lines = headers.flatMap((text, at) => (at % 2 === 0 ? [`${text}: ${headers[at + 1]}`] : []));
      agent.write(Buffer.from(`${request.method} ${target} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`, 'latin1'));
      join(socket, agent, head);
    } catch (error) {
      refuseOn(socket, this.#unreached(error));
    }
  }

  /** Which resource a request is for, and how its target is said to the agent. */
  #meant(request: http.IncomingMessage): { readonly way: Way | undefined; readonly target: string } | Refusal {
    const url = request.url ?? '';
    if (/^https?:\/\//i.test(url)) {
      if (!this.#provesPassword(request)) return NOT_PROVEN;
      if (!URL.canParse(url)) return { status: 403, text: 'sallyport run: this is no URL.' };
      const { host, port, protocol } = new URL(url);
      const authority = port === '' ? `${host}:${protocol === 'https:' ? 443 : 80}` : host;
      const way = this.#wayOf(authority);
      if (way === undefined && !this.#options.direct) return this.#unknownHost(authority);
      return { way, target: url };
    }
    const [, password = '', name = ''] = /^\/([^/?]*)\/([^/?]*)/.exec(url) ?? [];
    const way = this.#ways.find(({ resource }) => resource.name === name);
    if (!timingSafeEqual(digest(password), this.#secret) || way === undefined)
      return { status: 404, text: 'sallyport run: take a resource’s URL from SALLYPORT_<RESOURCE>_URL as it stands.' };
    const rest = url.slice(password.length + name.length + 2);
    return { way, target: `/r/${name}${rest.startsWith('/') ? rest : `/${rest}`}` };
  }

  async #carry(request: http.IncomingMessage, response: http.ServerResponse, way: Way, target: string): Promise<void> {
    const token = await way.resource.tokens.get();
    const onward = http.request({
      agent: way.agent,
      method: request.method ?? 'GET',
      path: target,
      headers: forwardedHeaders(request.rawHeaders, {
        host: hostFor(target, way),
        token,
      }) as unknown as http.OutgoingHttpHeaders,
      setHost: false,
    });
    this.#pipe(request, response, onward, (location) => this.#ownLocation(location, way));
  }

  #carryDirect(request: http.IncomingMessage, response: http.ServerResponse, target: string): void {
    const { hostname, port, pathname, search, host } = new URL(target);
    const onward = http.request({
      host: hostname.replace(/^\[|\]$/g, ''),
      port: port === '' ? 80 : Number(port),
      method: request.method ?? 'GET',
      path: `${pathname}${search}`,
      headers: forwardedHeaders(request.rawHeaders, { host }) as unknown as http.OutgoingHttpHeaders,
      setHost: false,
    });
    this.#pipe(request, response, onward, (location) => location);
  }

  #pipe(
    request: http.IncomingMessage,
    response: http.ServerResponse,
    onward: http.ClientRequest,
    locate: (location: string) => string,
  ): void {
    onward.on('continue', () => response.writeContinue());
    onward.on('response', (answer) => {
      const headers = forwardedHeaders(answer.rawHeaders, {}).map((text, at, all) =>
        at % 2 === 1 && all[at - 1]!.toLowerCase() === 'location' ? locate(text) : text,
      );
      response.sendDate = false;
      response.writeHead(
        answer.statusCode ?? 502,
        answer.statusMessage ?? '',
        headers as unknown as http.OutgoingHttpHeaders,
      );
      answer.on('end', () => {
        if (answer.rawTrailers.length > 0) response.addTrailers(pairsOf(answer.rawTrailers));
      });
      answer.on('error', () => response.destroy());
      // What is cut short at the agent's side is cut short here: the program must not take it for the whole.
      answer.on('aborted', () => response.destroy());
      answer.pipe(response);
    });
    onward.on('error', (error) => refuse(response, this.#unreached(error)));
    response.on('close', () => {
      if (!response.writableFinished) onward.destroy();
    });
    request.on('error', () => onward.destroy());
    request.pipe(onward);
  }

  /** `/r/<resource>/…` of the agent is another place here. */
  #ownLocation(location: string, { resource }: Way): string {
    const path = location.replace(/^https?:\/\/[^/]+(?=\/r\/)/i, '');
    const prefix = `/r/${resource.name}`;
    if (!path.startsWith(`${prefix}/`) && path !== prefix) return location;
    return `/${this.#options.password}/${resource.name}${path.slice(prefix.length)}`;
  }

  #wayOf(authority: string): Way | undefined {
    const host = authority.replace(/:\d+$/, '');
    return this.#ways.find(({ resource }) => resource.hosts.includes(authority) || resource.hosts.includes(host));
  }

  #provesPassword(request: http.IncomingMessage): boolean {
    const [, given = ''] = /^basic ([A-Za-z0-9+/=]+)$/i.exec(request.headers['proxy-authorization'] ?? '') ?? [];
    const password = Buffer.from(given, 'base64')
      .toString('latin1')
      .replace(/^[^:]*:/, '');
    return timingSafeEqual(digest(password), this.#secret);
  }

  #unknownHost(authority: string): Refusal {
    const names = this.#options.resources.map(({ name }) => name).join(', ');
    return {
      status: 403,
      text: `sallyport run: ${authority} is no host of ${names}. Name the resource it belongs to in the command, or let other hosts be reached with --direct.`,
    };
  }

  /** Of a tunnel that is refused, clients show the number alone: the words are said beside them, once for each host. */
  #tell(authority: string, text: string): void {
    if (this.#told.has(authority) || this.#told.size >= TOLD_MAX) return;
    this.#told.add(authority);
    this.#options.onProblem(text);
  }

  #unreached(error: unknown): Refusal {
    const [problem = 'error'] = renderProblem(error);
    this.#options.onProblem(problem);
    return { status: 502, text: `sallyport run: ${problem.replace(/^error: /, '')}` };
  }
}

/** Hosts of which it is said that they are refused: a program may try any number. */
const TOLD_MAX = 20;

const NOT_PROVEN: Refusal = {
  status: 407,
  text: 'sallyport run: the password of this run is missing: take HTTPS_PROXY as it stands in the environment.',
};

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/** What the agent is called by, for one of its own paths; the host that is meant, for a proxied one. */
function hostFor(target: string, { resource }: Way): string {
  if (!target.startsWith('/')) return new URL(target).host;
  const { host, port } = resource.endpoints[0]!;
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

const pairsOf = (raw: readonly string[]): [string, string][] =>
  raw.flatMap((text, at) => (at % 2 === 0 ? [[text, raw[at + 1] ?? ''] as [string, string]] : []));

function dialDirect(authority: string): Promise<net.Socket> {
  const [, host = '', port = '443'] = /^\[?([^\]]*?)\]?(?::(\d{1,5}))?$/.exec(authority) ?? [];
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host, port: Number(port), timeout: LIMITS.upstreamConnectMsMax });
    socket.once('error', reject);
    socket.once('timeout', () => socket.destroy(new Error('timeout')));
    socket.once('connect', () => {
      socket.setTimeout(0);
      resolve(socket);
    });
  });
}

/** Both ways, with back-pressure, until either side is gone. @param head what the program sent after its request */
function join(client: Duplex, agent: Duplex, head: Buffer): void {
  agent.on('error', () => client.destroy());
  agent.on('close', () => client.end());
  client.on('close', () => agent.destroy());
  if (head.length > 0) agent.write(head);
  client.pipe(agent);
  agent.pipe(client);
}
