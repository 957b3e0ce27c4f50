/**
 * A few bytes on a connection of their own, then its end: how PostgreSQL is told to cancel.
 * Refuses to send them in clear where the session itself is under TLS: no agreement or a wrong certificate sends nothing.
 */
import net from 'node:net';
import tls from 'node:tls';
import { GatewayError, LIMITS } from '@sallyport/core';
import type { TlsUpgrade } from '@sallyport/protocol-kit';

export interface Upgrade extends TlsUpgrade {
  /** As the session verified the same server. */
  readonly options: tls.ConnectionOptions;
}

/** @param failed told once when the bytes could not be sent */
export function sendOutOfBand(
  target: net.NetConnectOpts,
  bytes: Uint8Array,
  upgrade: Upgrade | undefined,
  failed: (error: Error) => void,
): void {
  const socket = net.connect(target);
  let told = false;
  const fail = (error: Error): void => {
    socket.destroy();
    if (told) return;
    told = true;
    failed(error);
  };
  const deadline = setTimeout(
    () => fail(new GatewayError('upstream.unreachable', { reason: 'timeout' })),
    LIMITS.upstreamConnectMsMax,
  );
  socket.once('close', () => clearTimeout(deadline));
  socket.once('error', fail);
  if (upgrade === undefined) {
    socket.end(bytes);
    socket.resume();
    return;
  }
  socket.write(upgrade.request);
  socket.once('data', (answer: Buffer) => {
    // One byte: more would be somebody's words in clear before the handshake.
    if (answer.length !== 1 || answer[0] !== upgrade.agreed) return fail(new GatewayError('upstream.tls'));
    socket.pause();
    const secure = tls.connect({ ...upgrade.options, socket }, () => {
      secure.end(bytes);
      secure.resume();
    });
    secure.once('error', fail);
  });
}
