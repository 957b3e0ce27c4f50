/** A service that answers with given bytes, right or wrong: what no HTTP server would say can be said. Dev-only. */
import net from 'node:net';

export interface RawService {
  readonly url: string;
  /** All that arrived, of all connections, Latin-1. */
  readonly seen: () => string;
  readonly connections: () => number;
  close(): Promise<void>;
}

/** @param answer called for each request head that came; writes what it likes */
export async function startRawService(answer: (socket: net.Socket, head: string) => void): Promise<RawService> {
  let seen = '';
  let connections = 0;
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    connections++;
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
    let text = '';
    socket.on('data', (chunk) => {
      seen += chunk.toString('latin1');
      text += chunk.toString('latin1');
      for (let at = text.indexOf('\r\n\r\n'); at !== -1; at = text.indexOf('\r\n\r\n')) {
        const head = text.slice(0, at);
        text = text.slice(at + 4);
        if (/^[A-Z]+ \//.test(head)) answer(socket, head);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as net.AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    seen: () => seen,
    connections: () => connections,
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  };
}
