/**
 * Two sockets joined: what one reads the other writes, with back-pressure both ways, until one of them ends.
 * Refuses to look at the bytes; for local proxies that have already signed in.
 */
import type { Duplex } from 'node:stream';

/** Resolves when both sides are closed. Errors of either side end both and are not thrown: the peer sees the close. */
export function pump(left: Duplex, right: Duplex): Promise<void> {
  return Promise.all([joinOneWay(left, right), joinOneWay(right, left)]).then(() => undefined);
}

function joinOneWay(from: Duplex, to: Duplex): Promise<void> {
  return new Promise((resolve) => {
    from.on('data', (chunk: Buffer) => {
      if (!to.write(chunk)) from.pause();
    });
    to.on('drain', () => from.resume());
    from.on('end', () => to.end());
    from.on('error', () => to.destroy());
    from.on('close', () => {
      to.end();
      resolve();
    });
    from.resume();
  });
}
