/**
 * The local end of `connect` and `proxy`: takes an unchanged client's connection, signs in to the agent with a fresh access
 * token in its stead, then only moves bytes. On TCP it demands a local password, since a loopback port belongs to every
 * local user; a unix socket in a 0700 folder needs none.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import net from 'node:net';
import { GatewayError, LIMITS } from '@sallyport/core';
import { pump } from '@sallyport/relay';
import { renderProblem } from '../output/problem.ts';
import type { AccessTokens } from './access-tokens.ts';
import { type AgentAddress, dialAgent } from './agent-endpoint.ts';
import { readFirstPacket, readMessage } from './reading.ts';
import {
  AUTH_CLEARTEXT,
  AUTH_OK,
  encodeAuthentication,
  encodeFatal,
  encodePassword,
  encodeStartup,
  type FirstPacket,
  parseFirstPacket,
} from './startup.ts';

export interface LocalProxyOptions {
  readonly tokens: AccessTokens;
  readonly endpoints: readonly AgentAddress[];
  /** PEM. */
  readonly root: string;
  /** `<role>+<resource>` or `<resource>`. */
  readonly user: string;
  /** Used when the client names none. */
  readonly database: string | undefined;
  /** Why: said for every connection. */
  readonly reason?: string | undefined;
  /** Demanded from clients; undefined on a unix socket. */
  readonly password: string | undefined;
  /** Told of each connection that fails. */
  readonly onProblem: (problem: string) => void;
}

/** Disposing it closes it and ends its connections. */
export interface LocalProxy extends AsyncDisposable {
  /** Of TCP; 0 on a unix socket. */
  readonly port: number;
  /** Connections open now. */
  connections(): number;
}

const SIGN_IN_MESSAGE_BYTES_MAX = 1024 * 1024;
const UPSTREAM_SIGN_IN_MS = LIMITS.loginTimeoutMsMax + LIMITS.upstreamConnectMsMax;

/** @param where a unix socket's path, or a loopback port (0 = any) */
export async function openLocalProxy(
  where: { readonly path: string } | { readonly port: number },
  options: LocalProxyOptions,
): Promise<LocalProxy> {
  const open = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    open.add(socket);
    socket.on('close', () => open.delete(socket));
    socket.on('error', () => socket.destroy());
    socket.setNoDelay(true);
    serve(socket, options).catch((error: unknown) => {
      options.onProblem(renderProblem(error)[0] ?? 'error');
      socket.destroy();
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen('path' in where ? { path: where.path } : { port: where.port, host: '127.0.0.1' }, resolve);
  });
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    connections: () => open.size,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of open) socket.destroy();
      }),
  };
}

async function serve(client: net.Socket, options: LocalProxyOptions): Promise<void> {
  const deadline = setTimeout(() => client.destroy(), LIMITS.loginTimeoutMsMax);
  const first = await readRequest(client).finally(() => clearTimeout(deadline));
  if (first === undefined) {
    client.destroy();
    return;
  }
  if (first.kind === 'cancel') {
    const agent = await dialAgent(options.endpoints, options.root);
    agent.on('error', () => agent.destroy());
    agent.end(first.bytes);
    client.end();
    return;
  }
  if (options.password !== undefined && !(await provesPassword(client, options.password))) {
    client.end(
      encodeFatal(
        '28P01',
        'The password of this local proxy is wrong.',
        'It stands in the pgpass file that `sallyport proxy` wrote.',
      ),
    );
    return;
  }
  try {
    await join(client, first, options);
  } catch (error) {
    const [message = 'error', hint] = renderProblem(error);
    client.end(encodeFatal('08001', message.replace(/^error: /, ''), hint?.trim()));
    options.onProblem(message);
  }
}

type Startup = Extract<FirstPacket, { readonly kind: 'startup' }>;
type Cancel = Extract<FirstPacket, { readonly kind: 'cancel' }>;

/** Answers requests for encryption with no: this hop does not leave the machine. */
async function readRequest(client: net.Socket): Promise<Startup | Cancel | undefined> {
  for (let round = 0; round < 3; round++) {
    const bytes = await readFirstPacket(client);
    if (bytes === undefined) return undefined;
    const packet = parseFirstPacket(bytes);
    if (packet.kind === 'startup' || packet.kind === 'cancel') return packet;
    client.write('N');
  }
  throw new GatewayError('protocol.unexpected');
}

async function provesPassword(client: net.Socket, password: string): Promise<boolean> {
  client.write(encodeAuthentication(AUTH_CLEARTEXT));
  // libpq hangs up to ask its user and comes again: an end here is no failure.
  const deadline = setTimeout(() => client.destroy(), LIMITS.loginTimeoutMsMax);
  const message = await readMessage(client, LIMITS.passwordBytesMax).finally(() => clearTimeout(deadline));
  if (message?.type !== 'p') return false;
  const digest = (text: string | Buffer): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(message.body.subarray(0, -1)), digest(password));
}

/** Signs in at the agent and joins both sides. Returns when both have closed. */
async function join(client: net.Socket, startup: Startup, options: LocalProxyOptions): Promise<void> {
  const token = await options.tokens.get();
  const agent = await dialAgent(options.endpoints, options.root);
  agent.on('error', () => agent.destroy());
  client.on('close', () => agent.destroy());
  const deadline = setTimeout(() => agent.destroy(), UPSTREAM_SIGN_IN_MS);
  const parameters = new Map(startup.parameters);
  parameters.set('user', options.user);
  if (!parameters.has('database') && options.database !== undefined) parameters.set('database', options.database);
  if (options.reason !== undefined) parameters.set('sallyport.reason', options.reason);
  agent.write(encodeStartup(startup.version, parameters));
  try {
    for (;;) {
      const message = await readMessage(agent, SIGN_IN_MESSAGE_BYTES_MAX);
      if (message === undefined) throw new GatewayError('upstream.unreachable', { reason: 'closed' });
      if (message.type !== 'R') {
        // Errors, notices and NegotiateProtocolVersion are the client's to read.
        client.write(message.bytes);
        if (message.type === 'E') {
          client.end();
          agent.destroy();
          return;
        }
        continue;
      }
      const code = message.body.length >= 4 ? message.body.readInt32BE(0) : -1;
      if (code === AUTH_OK) {
        client.write(message.bytes);
        break;
      }
      if (code !== AUTH_CLEARTEXT) throw new GatewayError('upstream.protocol', { reason: 'authentication', code });
      agent.write(encodePassword(token));
    }
  } finally {
    clearTimeout(deadline);
  }
  await pump(client, agent);
}
