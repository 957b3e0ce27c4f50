import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Database } from '../db/database.ts';
import { startTestControlPlane, type TestControlPlane } from '../testing/control-plane.ts';
import { addProject } from '../testing/second-project.ts';
import { WebhooksService } from './webhooks.service.ts';

let plane: TestControlPlane;
const came: string[] = [];
let receiver: Server;

/** `/hangs` is never answered; `/elsewhere` sends on to where nothing of ours may go. */
beforeAll(async () => {
  plane = await startTestControlPlane({ SALLYPORT_PROJECT_NETWORKS: '10.20.0.0/16' });
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

test('where a webhook goes is a secret: not shown, not in the database in clear, and still where it goes', async () => {
  const at = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`;
  const path = '/services/T000/B000/canary-in-a-url';
  const client = plane.controlPlane.app.get(Database, { strict: false }).client;
  const rows = async (): Promise<string> =>
    JSON.stringify(await client.$queryRaw`select w::text as row from webhooks w`);
  const made = await plane.call<Record<string, unknown>>('POST', '/v1/webhooks', {
    name: 'sealed',
    url: at,
    format: 'slack',
    events: ['test'],
  });
  const changed = await plane.call<Record<string, unknown>>('PATCH', '/v1/webhooks/sealed', { url: `${at}${path}` });
  expect([made.status, changed.status]).toEqual([201, 200]);
  const shown = [
    changed.body,
    (await plane.call('GET', '/v1/webhooks')).body,
    (await plane.call('GET', '/v1/acts')).body,
  ];
  expect(JSON.stringify(shown)).not.toContain('canary-in-a-url');
  expect(changed.body).toMatchObject({ url: `${at}/…` });
  expect(await rows()).not.toContain('canary-in-a-url');
  expect(await rows()).not.toContain(Buffer.from('canary-in-a-url').toString('hex'));
  await send('sealed');
  await expect.poll(() => came, { timeout: 5_000 }).toContain(path);

  // As a version before this left it.
  await client.webhook.update({
    where: { id: String(changed.body['id']) },
    data: { shownUrl: `${at}${path}2`, sealedUrl: null },
  });
  await plane.controlPlane.app.get(WebhooksService, { strict: false }).onApplicationBootstrap();
  expect(await rows()).not.toContain('canary-in-a-url');
  await send('sealed');
  await expect.poll(() => came, { timeout: 5_000 }).toContain(`${path}2`);
});

test('this host is the matter of the installation’s owners: an admin of a project sends nothing to it, by no spelling', async () => {
  const { port } = receiver.address() as AddressInfo;
  const blue = await addProject(plane, 'blue');
  const add = (name: string, url: string, more: object = {}) =>
    plane.call('POST', '/v1/webhooks', { name, url, events: ['test'], ...more }, blue.token);
  for (const url of [
    `http://127.0.0.1:${port}/blue`,
    `http://localhost:${port}/blue`,
    'https://127.0.0.1/x',
    'https://[::1]/x',
    'https://[::ffff:127.0.0.1]/x',
    'https://169.254.169.254/latest',
    'https://2130706433/x',
  ])
    expect((await add('blue', url)).body, url).toMatchObject({ code: 'request.invalid' });
  const slack = { format: 'slack_app', channel: '#x', botToken: 'xoxb-1-2', signingSecret: 'a'.repeat(32) };
  expect((await add('app', `http://127.0.0.1:${port}/blue`, slack)).body).toMatchObject({ code: 'request.invalid' });
  // A name that leads here is found out where it is used.
  expect((await add('named', `https://localhost:${port}/blue`)).status).toBe(201);
  expect((await plane.call('PATCH', '/v1/webhooks/named', { url: `http://[::1]:${port}/` }, blue.token)).status).toBe(
    400,
  );
  await plane.call('POST', '/v1/webhooks/named/test', undefined, blue.token);
  const error = async () =>
    (
      await plane.call<{ items: { error: string | null }[] }>(
        'GET',
        '/v1/webhooks/named/deliveries',
        undefined,
        blue.token,
      )
    ).body.items[0]?.error ?? null;
  await expect.poll(error, { timeout: 10_000 }).toContain('not asked');
  expect(came).not.toContain('/blue');
});

test('a webhook of another project leads to the private networks that the operator named, and to no others', async () => {
  const red = await addProject(plane, 'red');
  const add = (name: string, host: string, token?: string) =>
    plane.call('POST', '/v1/webhooks', { name, url: `https://${host}:1/x`, events: ['test'] }, token);
  expect((await add('named', '10.20.0.5', red.token)).status).toBe(201);
  expect((await add('unnamed', '10.21.0.5', red.token)).body).toMatchObject({ errors: [{ field: 'url' }] });
  // A name says nothing until it is looked up, and an address may have been kept from before the operator said which.
  const { body } = await plane.call<{ id: string }>(
    'POST',
    '/v1/webhooks',
    { name: 'moved', url: 'https://hooks.example/x', events: ['test'] },
    red.token,
  );
  const { client } = plane.controlPlane.app.get(Database, { strict: false });
  await client.webhook.update({ where: { id: body.id }, data: { shownUrl: 'https://10.21.0.5:1/x', sealedUrl: null } });
  await plane.call('POST', '/v1/webhooks/moved/test', undefined, red.token);
  const error = async () => (await client.outboxMessage.findFirst({ where: { webhookId: body.id } }))?.error ?? '';
  await expect.poll(error, { timeout: 10_000 }).toContain('not asked');
  // The installation's own project leads to any.
  expect((await add('ours', '10.21.0.5')).status).toBe(201);
});
