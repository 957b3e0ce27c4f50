/**
 * A TLS connection to an agent's listener, for PostgreSQL or for HTTP: the protocol's own ALPN name, verified against
 * Sallyport's root and the endpoint's own name. Refuses plaintext endpoints: a token would travel in clear.
 */
import { isIP } from 'node:net';
import tls from 'node:tls';
import type { Endpoint } from '@sallyport/api-client';
import { GatewayError, LIMITS } from '@sallyport/core';
import { CliError } from '../exit-codes.ts';

/** A session may be silent for hours behind a NAT that forgets after minutes. */
const KEEP_ALIVE_MS = 60_000;

export interface AgentAddress {
  readonly host: string;
  readonly port: number;
}

/** TLS endpoints of a resource. @param protocol as the resource's type says @throws CliError unavailable when there is none */
export function requireEndpoints(
  resource: string,
  endpoints: readonly Endpoint[],
  protocol = 'postgres',
): readonly AgentAddress[] {
  const addresses = endpoints
    .filter((endpoint) => endpoint.protocol === protocol && endpoint.plaintext !== true)
    .map((endpoint) => parseAddress(endpoint.address));
  if (addresses.length > 0) return addresses;
  throw new CliError(
    'unavailable',
    `No agent that is connected offers ${resource}.`,
    '`sallyport agents ls` shows which agents there are and when they were last seen.',
  );
}

/** `host:port` or `[v6]:port`. @throws CliError failure */
export function parseAddress(text: string): AgentAddress {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text);
  if (match === null)
    throw new CliError('failure', `The control plane names an agent at "${text}", which is no address.`);
  return { host: (match[1] ?? match[2])!, port: Number(match[3]) };
}

/** What must be true of the agent's certificate. */
export function agentTls(address: AgentAddress, root: string): tls.ConnectionOptions {
  return {
    ca: root,
    minVersion: 'TLSv1.2',
    // An address is not a valid SNI name (RFC 6066 section 3); it is checked against the certificate all the same.
    ...(isIP(address.host) === 0 ? { servername: address.host } : {}),
    checkServerIdentity: (_host, certificate) => tls.checkServerIdentity(address.host, certificate),
  };
}

/** Dials each address in turn until one answers. @throws the last one's error, as GatewayError `upstream.unreachable` or `upstream.tls` */
export async function dialAgent(
  addresses: readonly AgentAddress[],
  root: string,
  alpn: 'postgresql' | 'http/1.1' = 'postgresql',
): Promise<tls.TLSSocket> {
  let last: unknown;
  for (const address of addresses) {
    try {
      return await dialOne(address, root, alpn);
    } catch (error) {
      last = error;
    }
  }
  throw last;
}

function dialOne(address: AgentAddress, root: string, alpn: string): Promise<tls.TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = tls.connect({
      host: address.host,
      port: address.port,
      ALPNProtocols: [alpn],
      ...agentTls(address, root),
    });
    const fail = (cause: Error): void => {
      clearTimeout(timer);
      socket.destroy();
      const code = (cause as { code?: string }).code ?? '';
      const reached = !/^E(CONN|HOST|NET|ADDR|AI)|ENOTFOUND|ETIMEDOUT/.test(code);
      reject(
        new GatewayError(
          reached ? 'upstream.tls' : 'upstream.unreachable',
          { host: address.host, port: address.port, reason: code },
          { cause },
        ),
      );
    };
    const timer = setTimeout(
      () => fail(Object.assign(new Error('timeout'), { code: 'ETIMEDOUT' })),
      LIMITS.upstreamConnectMsMax,
    );
    socket.once('error', fail);
    socket.once('secureConnect', () => {
      clearTimeout(timer);
      socket.off('error', fail);
      if (socket.alpnProtocol !== alpn) {
        fail(Object.assign(new Error(`the peer does not speak ${alpn} over TLS`), { code: 'ALPN' }));
        return;
      }
      socket.setNoDelay(true);
      socket.setKeepAlive(true, KEEP_ALIVE_MS);
      resolve(socket);
    });
  });
}
