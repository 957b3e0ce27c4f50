/**
 * Listening sockets: accept, admit, hand over. Refuses a plaintext listener that is not on a loopback address.
 * One connection's failure is its own; the listener never stops for it.
 */
import net from 'node:net';
import type tls from 'node:tls';
import { type ErrorCode, GatewayError, type Logger } from '@sallyport/core';
import type { NestedClient, NestedWire, ProtocolAdapter } from '@sallyport/protocol-kit';
import type { Admission, AdmissionTicket } from './admission.ts';
import { type ClientSource, Connection, type HostParts } from './connection.ts';
import { NestedSocket } from './nested-socket.ts';
import type { Turn } from './turn.ts';

export interface ListenOptions {
  /** Or how it is loaded: asked for at the first connection, which waits for it unread. */
  readonly adapter: ProtocolAdapter | (() => Promise<ProtocolAdapter>);
  readonly host: string;
  /** 0 picks a free port. */
  readonly port: number;
  /** Plaintext is let in; loopback addresses only. */
  readonly plaintext: boolean;
  /** The certificate in force, asked for at each handshake so that a renewal needs no restart; undefined = no TLS here. */
  readonly tlsContext: (() => tls.SecureContext) | undefined;
  /** What is shown to a client that speaks TLS to that host inside its connection (CONNECT); undefined = it is not spoken here. */
  readonly innerTlsContext?: (host: string) => tls.SecureContext | undefined;
  readonly turn: Turn;
  readonly admission: Admission;
  readonly log: Logger;
  /** Several processes may share the port (SO_REUSEPORT). */
  readonly reusePort?: boolean;
  /** Makes what the agent adds for one connection; called before its first byte is read. */
  parts(connection: Connection): HostParts;
}

export interface Listener {
  readonly host: string;
  readonly port: number;
  /** Ends every connection, signed in or not. */
  endAll(code: ErrorCode): void;
  /** Accepts no more; connections that stand go on. Resolves when the last of them is gone. */
  close(): Promise<void>;
}

const BACKLOG = 4_096;

export const isLoopback = (host: string): boolean => host === 'localhost' || host === '::1' || host.startsWith('127.');

/** @throws GatewayError `config.invalid` for a plaintext listener off the loopback, or an address that cannot be bound */
export function listen(options: ListenOptions): Promise<Listener> {
  if (options.plaintext && !isLoopback(options.host)) {
    throw new GatewayError('config.invalid', {
      listener: options.host,
      reason: 'plaintext is for loopback addresses only',
    });
  }
  const connections = new Set<Connection>();
  const parts = (connection: Connection): HostParts => {
    connections.add(connection);
    const given = options.parts(connection);
    return {
      ...given,
      closed: (code) => {
        connections.delete(connection);
        given.closed(code);
      },
    };
  };
  let loaded = typeof options.adapter === 'function' ? undefined : options.adapter;
  /** @returns false when it could not be opened; its place is free again */
  const connect = (adapter: ProtocolAdapter, source: ClientSource, admission: AdmissionTicket): boolean => {
    try {
      new Connection(
        source,
        {
          adapter,
          turn: options.turn,
          plaintextAllowed: options.plaintext,
          tlsContext: adapter.transport === 'relay' ? options.tlsContext : undefined,
          innerTlsContext: options.innerTlsContext,
          admission,
          log: options.log,
          nest,
        },
        parts,
      );
      return true;
    } catch (error) {
      options.log.error('a connection could not be opened', { error });
      admission.leave();
      return false;
    }
  };
  const nest = (wire: NestedWire, address: string): NestedClient | undefined => {
    let nested: NestedSocket | undefined;
    const source: ClientSource = {
      kind: 'nested',
      address,
      open: (owner) => {
        nested = new NestedSocket(wire, owner);
        return nested;
      },
    };
    const admission = options.admission.enter(address.slice(0, address.lastIndexOf(':')));
    return admission !== undefined && connect(loaded!, source, admission) ? nested : undefined;
  };
  const waiting = new Set<net.Socket>();
  const whenLoaded = async (socket: net.Socket, admission: AdmissionTicket): Promise<boolean> => {
    // A reset meanwhile only destroys it: its own owner is not there yet.
    const ignore = (): void => undefined;
    socket.on('error', ignore);
    waiting.add(socket);
    try {
      loaded ??= typeof options.adapter === 'function' ? await options.adapter() : options.adapter;
    } catch (error) {
      options.log.error('a protocol could not be loaded', { error });
    }
    waiting.delete(socket);
    if (loaded === undefined || socket.destroyed) {
      admission.leave();
      return false;
    }
    socket.off('error', ignore);
    return connect(loaded, { kind: 'socket', socket }, admission);
  };
  const server = net.createServer({ pauseOnConnect: true, noDelay: true }, (socket) => {
    const admission = options.admission.enter(socket.remoteAddress ?? '');
    if (admission === undefined) socket.destroy();
    else if (loaded === undefined) void whenLoaded(socket, admission).then((opened) => opened || socket.destroy());
    else if (!connect(loaded, { kind: 'socket', socket }, admission)) socket.destroy();
  });
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const detail = { listener: `${options.host}:${options.port}`, reason: cause.code ?? 'error' };
      reject(new GatewayError('config.invalid', detail, { cause }));
    });
    const { host, port, reusePort = false } = options;
    server.listen({ host, port, backlog: BACKLOG, reusePort }, () => {
      server.on('error', (error) => options.log.error('a listener failed', { error }));
      const bound = (server.address() as net.AddressInfo).port;
      resolve({
        host,
        port: bound,
        endAll: (code) => {
          for (const socket of waiting) socket.destroy();
          for (const connection of connections) connection.end(code);
        },
        close: () => new Promise((done) => server.close(() => done())),
      });
    });
  });
}
