/** A real HTTP service for tests: says what it got, and does what its paths are named for. Dev-only. */
import http from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Service {
  readonly url: string;
  readonly port: number;
  /** `METHOD target` with headers and body, as they arrived. */
  readonly seen: { readonly line: string; readonly headers: http.IncomingHttpHeaders; readonly body: string }[];
  close(): Promise<void>;
}

export async function startService(handle?: http.RequestListener): Promise<Service> {
  const seen: Service['seen'] = [];
  const server = http.createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString();
      seen.push({ line: `${request.method} ${request.url}`, headers: request.headers, body });
      if (handle !== undefined) return handle(request, response);
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ line: `${request.method} ${request.url}`, headers: request.headers, body }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    seen,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}
