/**
 * Opens a connection of the agent's own to a resource's server, verified as a session's is, for errands: trying a
 * credential, rotating a password, making and dropping accounts. Refuses to be given to a client.
 */
import { randomBytes } from 'node:crypto';
import { GatewayError, LIMITS } from '@sallyport/core';
import type { Resource } from '@sallyport/model';
import type { UpstreamCredential } from '@sallyport/protocol-kit';
import { Errand } from '@sallyport/protocol-postgres/errand';
import { ByteSocket, type ByteSocketOwner, upstreamAddress, upstreamTlsOptions } from '@sallyport/relay';

const ALPN = ['postgresql'];

/** The database errands are run in when none is named. */
const errandDatabase = (resource: Resource): string => resource.postgres?.databases[0] ?? 'postgres';

/**
 * Signed in and ready.
 * @throws GatewayError `upstream.unreachable`, `upstream.tls`, `upstream.auth`, `upstream.protocol`
 */
export async function openErrand(
  resource: Resource,
  credential: UpstreamCredential,
  database: string = errandDatabase(resource),
): Promise<Errand> {
  let socket: ByteSocket | undefined;
  const errand: Errand = new Errand(
    {
      send: (bytes) => void socket?.write(bytes),
      startTls: () => socket?.startClientTls(upstreamTlsOptions(resource, credential, ALPN)),
      randomBytes: (size) => randomBytes(size),
      end: () => socket?.end(),
    },
    resource,
    credential,
    database,
  );
  const owner: ByteSocketOwner = {
    bytes: (chunk) => errand.bytes(chunk),
    secured: (secure) => errand.secured({ certificate: secure.getPeerX509Certificate()?.raw ?? Buffer.alloc(0) }),
    drained: () => undefined,
    closed: (cause) => errand.failed(new GatewayError('upstream.unreachable', {}, { cause })),
  };
  try {
    socket = await ByteSocket.connect(upstreamAddress(resource), owner, {
      willSecure: errand.upgrade !== undefined,
      timeoutMs: LIMITS.upstreamConnectMsMax,
    });
  } catch (cause) {
    throw new GatewayError('upstream.unreachable', { resource: resource.name }, { cause });
  }
  const timer = setTimeout(
    () => errand.failed(new GatewayError('upstream.unreachable', { reason: 'sign-in timed out' })),
    LIMITS.loginTimeoutMsMax,
  );
  try {
    await errand.signIn();
    return errand;
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** The server's own word about the credential. */
export const isRefused = (error: unknown): boolean =>
  error instanceof GatewayError &&
  error.code === 'upstream.auth' &&
  String(error.detail['sqlstate'] ?? '').startsWith('28');
