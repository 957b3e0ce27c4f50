/** Notifications when the receiver or the control plane is gone: told at least once, under one id, signed by the recipe in docs. */
import { createHmac } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { openSql } from '../../scripts/stack/sql-client.ts';
import { eventually, useStack } from './with-stack.ts';

const running = useStack({});
const SECRET = 'whs_of-these-tests-alone';

interface Told {
  readonly id: string;
  readonly event: string;
  readonly request: string;
  readonly signed: boolean;
}

/** @param answers false: takes a message and says nothing, until its sender is gone */
function receive(port: number, told: Told[], answers: boolean): Promise<Server> {
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const body = Buffer.concat(parts);
      const header = (name: string): string => String(request.headers[`sallyport-${name}`]);
      const signed = createHmac('sha256', SECRET)
        .update(`${header('timestamp')}.`)
        .update(body)
        .digest('hex');
      const { data } = JSON.parse(body.toString()) as { data: { id: string } };
      const fits = header('signature') === `v1=${signed}`;
      told.push({ id: header('delivery'), event: header('event'), request: data.id, signed: fits });
      if (answers) response.end();
    });
  });
  return new Promise((resolve) => server.listen(port, '127.0.0.1', () => resolve(server)));
}
const shut = (server: Server): Promise<unknown> => {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(resolve));
};
async function unusedPort(): Promise<number> {
  const server = await receive(0, [], true);
  const { port } = server.address() as { port: number };
  await shut(server);
  return port;
}

test('what was to be told survives a receiver that is down and kill -9 of the control plane, also in mid-delivery', async () => {
  const { stack, as, pending } = running();
  const port = await unusedPort();
  const events = ['approval.requested', 'approval.answered'];
  const url = `http://127.0.0.1:${port}/hook`;
  await stack.admin.call('POST', '/v1/webhooks', { name: 'faults', url, secret: SECRET, events });
  const bot = await openSql(stack.dev, 'payments-bot');
  const held = bot.client.query('delete from payments');
  const outcome = held.then(
    () => 'ran',
    (error: { code?: string }) => error.code ?? '',
  );
  const { id } = await pending('ana');
  expect(await isOpen(port)).toBe(false);

  await stack.restartControlPlane();
  const taken: Told[] = [];
  const silent = await receive(port, taken, false);
  await eventually(() => taken[0], 30_000);
  await stack.controlPlane().stop('SIGKILL');
  await shut(silent);

  const told: Told[] = [];
  const receiver = await receive(port, told, true);
  await stack.restartControlPlane();
  await eventually(() => (told.length > 0 ? told : undefined), 40_000);
  await (await as('ana')).call('POST', `/v1/approvals/${id}/deny`, { reason: 'a test' });
  expect(await outcome).toBe('42501');
  await eventually(() => told.find((one) => one.event === 'approval.answered'), 10_000);
  await shut(receiver);
  await bot.close();

  expect(told.map(({ event, request, signed }) => ({ event, request, signed }))).toEqual([
    { event: 'approval.requested', request: id, signed: true },
    { event: 'approval.answered', request: id, signed: true },
  ]);
  expect(told[0]!.id, 'the same message has the same id again').toBe(taken[0]!.id);
  const { items } = await stack.admin.call<{ items: { sentAt: string | null }[] }>(
    'GET',
    '/v1/webhooks/faults/deliveries',
  );
  expect(items.map((item) => item.sentAt === null)).toEqual([false, false]);
}, 150_000);

const isOpen = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
