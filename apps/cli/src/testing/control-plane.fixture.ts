/** Test-only: a REST edge with answers by route, over a real socket, for what the CLI does with an answer. */
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Seen {
  readonly route: string;
  readonly authorization: string | undefined;
  readonly body: string;
}
export interface RestFixture extends AsyncDisposable {
  readonly url: string;
  readonly seen: readonly Seen[];
}

/** @param routes `GET /v1/whoami` → status and body, or a function of the request */
export async function serveRest(
  routes: Readonly<Record<string, readonly [number, unknown] | ((seen: Seen, url: URL) => readonly [number, unknown])>>,
): Promise<RestFixture> {
  const seen: Seen[] = [];
  const server = createServer((request: IncomingMessage, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => {
      body += chunk.toString();
    });
    request.on('end', () => {
      const url = new URL(request.url ?? '', 'http://fixture');
      const one = { route: `${request.method} ${url.pathname}`, authorization: request.headers.authorization, body };
      seen.push(one);
      const answer = routes[one.route] ?? [
        404,
        { code: 'request.not_found', title: 'There is nothing at this address.', requestId: 'req-9' },
      ];
      const [status, value] = typeof answer === 'function' ? answer(one, url) : answer;
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(typeof value === 'string' ? value : JSON.stringify(value));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
