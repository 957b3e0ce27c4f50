import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestControlPlane, type TestControlPlane } from '../testing/control-plane.ts';

let plane: TestControlPlane;
const came: string[] = [];
let receiver: Server;

/** `/hangs` is never answered; `/elsewhere` sends on to where nothing of ours may go. */
beforeAll(async () => {
  plane = await startTestControlPlane();
  receiver = createServer((request, response) => {
    came.push(request.url ?? '');
    if (request.url === '/hangs') return;
    if (request.url === '/elsewhere') response.setHeader('location', '/stolen').statusCode = 307;
    response.end();
  });
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
  const at = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`;
  for (const name of ['hangs', 'works', 'elsewhere'])
    expect((await plane.call('POST', '/v1/webhooks', { name, url: `${at}/${name}`, events: ['test'] })).status).toBe(
      201,
    );
});
afterAll(async () => {
  receiver.closeAllConnections();
  await new Promise((resolve) => receiver.close(resolve));
  await plane.stop();
});

const send = (name: string) => plane.call('POST', `/v1/webhooks/${name}/test`);
const deliveries = async (name: string) =>
  (
    await plane.call<{ items: { attempts: number; sentAt: string | null; error: string | null }[] }>(
      'GET',
      `/v1/webhooks/${name}/deliveries`,
    )
  ).body.items;

test('a receiver that hangs delays nobody else', async () => {
  await send('hangs');
  await expect.poll(() => came, { timeout: 5_000 }).toContain('/hangs');
  await send('works');
  await expect.poll(() => came, { timeout: 3_000 }).toContain('/works');
  await expect.poll(async () => (await deliveries('works'))[0]?.sentAt ?? null).not.toBeNull();
  expect((await deliveries('hangs'))[0]).toMatchObject({ attempts: 1, sentAt: null });
});

test('a redirect is a failed delivery, and is not followed', async () => {
  await send('elsewhere');
  await expect.poll(async () => (await deliveries('elsewhere'))[0]?.error ?? null, { timeout: 5_000 }).not.toBeNull();
  expect(came).not.toContain('/stolen');
  expect((await deliveries('elsewhere'))[0]?.sentAt).toBeNull();
});
