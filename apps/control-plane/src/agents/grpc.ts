/** Binding and stopping a gRPC server. Refuses to know services. */
import type { Server, ServerCredentials } from '@grpc/grpc-js';
import { GatewayError } from '@sallyport/core';
import type { HostPort } from '../config.ts';

const STOP_MS_MAX = 2_000;

/** @returns where it listens. @throws GatewayError `config.invalid` for an address that is taken */
export async function bindServer(server: Server, address: HostPort, credentials: ServerCredentials): Promise<HostPort> {
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`${host}:${address.port}`, credentials, (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  }).catch((cause: unknown) => {
    throw new GatewayError(
      'config.invalid',
      { address: `${host}:${address.port}`, remedy: 'the address cannot be listened on: is it taken?' },
      { cause },
    );
  });
  return { host: address.host, port };
}

/** Lets calls finish for a moment, then ends them. */
export async function stopServer(server: Server | undefined): Promise<void> {
  if (server === undefined) return;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(() => {
      server.forceShutdown();
      resolve();
    }, STOP_MS_MAX);
    server.tryShutdown(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
