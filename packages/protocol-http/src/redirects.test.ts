/** Where services point to: never followed by the gateway, and never with what it puts in. Real services. */
import { Secret } from '@sallyport/core';
import { afterEach, expect, test } from 'vitest';
import { RawClient, startHttpGateway } from '../test/bench.fixture.ts';
import { startService } from '../test/service.fixture.ts';

const KEY = 'the-key-of-the-service';
const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const undo of cleanUps.splice(0).reverse()) await undo();
});

async function open(pointing: (asked: string, elsewhere: string) => Readonly<Record<string, string>>): Promise<{
  client: RawClient;
  gateway: Awaited<ReturnType<typeof startHttpGateway>>;
  seen: () => readonly string[];
}> {
  const elsewhere = await startService();
  const service = await startService((request, response) =>
    response.writeHead(307, pointing(request.url ?? '', elsewhere.url)).end(),
  );
  const credential = {
    username: '',
    secret: new Secret(KEY),
    certificate: false,
    http: {
      ready: () => undefined,
      into: ({ target, headers }: { target: string; headers: readonly (readonly [string, string])[] }) => ({
        target: `${target}${target.includes('?') ? '&' : '?'}api_key=${KEY}`,
        headers,
      }),
    },
  };
  const gateway = await startHttpGateway(
    service.url,
    { credential },
    { inject: { as: 'query', name: 'api_key' } as never },
  );
  const client = new RawClient(gateway.port);
  cleanUps.push(
    () => elsewhere.close(),
    () => service.close(),
    () => gateway.close(),
    () => client.destroy(),
  );
  return { client, gateway, seen: () => elsewhere.seen.map(({ line }) => line) };
}

test('a redirect to elsewhere is the client’s to follow: the gateway goes nowhere, and the credential neither', async () => {
  const { client, seen } = await open((_asked, elsewhere) => ({ location: `${elsewhere}/next` }));
  const { status, head } = await client.ask('GET /x');
  expect(status).toBe(307);
  expect(head).toMatch(/\nlocation: http:\/\/127\.0\.0\.1:\d+\/next\r?$/im);
  expect(seen()).toEqual([]);
});

test('a credential that was put into the address is in none that the service points to', async () => {
  const { client, gateway } = await open((asked, elsewhere) => ({
    location: `${asked.replace('/x', '/x/')}#top`,
    'content-location': asked.replace('api_key', 'api%5Fkey'),
    link: `<${elsewhere}${asked}>; rel="next", <${asked}&page=2>; rel="last"`,
    refresh: `5; url=${elsewhere}${asked}`,
  }));
  const { head } = await client.ask('GET /x?a=1');
  expect(head).not.toContain(KEY);
  expect(head).toContain('/x/?a=1&api_key=#top');
  expect(head).toContain('&page=2>; rel="last"');
  expect(JSON.stringify(gateway.recorded.http.map(({ text }) => text))).not.toContain(KEY);
});

test.each(['/.sallyport/held/apr-1', '/x/../.sallyport/held/apr-1'])(
  'a service has no place among the gateway’s own: %s',
  async (location) => {
    const { client } = await open(() => ({ location }));
    const { status, head } = await client.ask('GET /x');
    expect(status).toBe(307);
    expect(head).not.toContain('.sallyport');
  },
);
