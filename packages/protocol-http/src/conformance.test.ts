/** What every protocol keeps, kept by HTTP: a raw client, the real driver and listener, a real service. */
import { describeConformance } from '@sallyport/protocol-kit/conformance';
import { RawClient, startHttpGateway } from '../test/bench.fixture.ts';
import { startService } from '../test/service.fixture.ts';

describeConformance('HTTP', {
  reads: (marker) => `GET /rows?m=${marker}`,
  lasts: (marker) => `GET /lasts?m=${marker}`,
  // Two servers behind each other read this path in two ways.
  unknown: (marker) => `GET /a/..%2f${marker}`,
  start: async (options) => {
    const running = new Set<string>();
    const service = await startService((request, response) => {
      const { url = '' } = request;
      if (!url.startsWith('/lasts')) {
        response.end('one\ntwo\n');
        return;
      }
      running.add(url);
      response.writeHead(200);
      response.on('close', () => running.delete(url));
      const feed = (): void => {
        while (response.write('x'.repeat(64 * 1024)));
      };
      response.on('drain', feed);
      feed();
    });
    const gateway = await startHttpGateway(service.url, options);
    return {
      judged: gateway.judged,
      held: () => gateway.holds,
      recordedRows: () =>
        Buffer.concat(gateway.recorded.http.filter(({ side }) => side === 'response').map(({ body }) => body)),
      end: (code) => gateway.end(code),
      close: async () => {
        await gateway.close();
        await service.close();
      },
      upstreamSaw: (marker) => service.seen.some(({ line }) => line.includes(marker)),
      running: (marker) => Promise.resolve([...running].filter((url) => url.includes(marker)).length),
      connect: () => {
        const client = new RawClient(gateway.port);
        return Promise.resolve({
          ask: async (statement: string) => {
            const { status, body } = await client.ask(statement);
            const ok = status === 200;
            return { ok, text: body.toString(), rows: ok ? body : Buffer.alloc(0) };
          },
          push: (statement: string) => {
            client.push(statement);
            client.socket.pause();
            return client.socket.writableLength;
          },
          closed: () => {
            client.socket.resume();
            return client.closed();
          },
          destroy: () => client.destroy(),
        });
      },
    };
  },
});
