/** E-mail through a real SMTP server, over TLS and not. */
import type { AddressInfo } from 'node:net';
import { SMTPServer } from 'smtp-server';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestControlPlane, type TestControlPlane } from '../testing/control-plane.ts';
import { settle, type Town } from '../testing/people.ts';

let plane: TestControlPlane;
let town: Town;
let smtp: SMTPServer;
interface Mail {
  readonly to: readonly string[];
  readonly user: string | undefined;
  readonly text: string;
}
const mails: Mail[] = [];
let refusals = 0;

beforeAll(async () => {
  smtp = new SMTPServer({
    authOptional: false,
    allowInsecureAuth: true,
    disabledCommands: ['STARTTLS'],
    onAuth: ({ username, password }, _session, callback) => {
      if (username === 'sallyport' && password === 'p@ss word') callback(null, { user: username });
      else callback(new Error('no'));
    },
    onData: (stream, session, callback) => {
      const parts: Buffer[] = [];
      stream.on('data', (part: Buffer) => parts.push(part));
      stream.on('end', () => {
        if (refusals-- > 0) return callback(Object.assign(new Error('busy'), { responseCode: 451 }));
        const { envelope, user } = session;
        mails.push({
          to: envelope.rcptTo.map((one) => one.address),
          user: user as string,
          text: Buffer.concat(parts).toString(),
        });
        callback();
      });
    },
  });
  await new Promise<void>((resolve) => smtp.listen(0, '127.0.0.1', resolve));
  const { port } = smtp.server.address() as AddressInfo;
  plane = await startTestControlPlane({
    SALLYPORT_SMTP_URL: `smtp://sallyport:${encodeURIComponent('p@ss word')}@127.0.0.1:${port}`,
    SALLYPORT_SMTP_FROM: 'sallyport@corp.example',
  });
  town = await settle(plane);
  await town.policy('orders', {});
  const hook = {
    name: 'desk',
    format: 'email',
    to: ['desk@corp.example'],
    events: ['access.requested', 'access.answered'],
  };
  const made = await plane.call('POST', '/v1/webhooks', hook);
  expect(made.status, JSON.stringify(made.body)).toBe(201);
  expect(made.body).toMatchObject({ to: ['desk@corp.example'], url: '' });
  expect(made.body['secret']).toBeUndefined();
}, 60_000);
afterAll(async () => {
  await plane.stop();
  await new Promise<void>((resolve) => smtp.close(() => resolve()));
});

const ask = async (reason: string): Promise<string> => {
  const body = { resource: 'orders', effects: ['read'], duration: '1h', reason };
  return String((await town.as('carla', 'POST', '/v1/access-requests', body)).body['id']);
};

test('approvers are told by mail, the server is signed in to, and a refusal for now is tried again', async () => {
  refusals = 1;
  const id = await ask('a customer waits');
  await expect.poll(() => mails.length, { timeout: 10_000 }).toBe(1);
  expect(mails[0]).toMatchObject({ to: ['desk@corp.example'], user: 'sallyport' });
  expect(mails[0]!.text).toMatch(/^Subject: \[Sallyport\] Access wanted: carla on orders/m);
  expect(mails[0]!.text).toMatch(/^Auto-Submitted: auto-generated/m);
  expect(mails[0]!.text).toContain('a customer waits');
  expect(mails[0]!.text.replaceAll('=\r\n', '')).toContain(`requests show ${id}`);
});

test('a reason with line breaks adds no header, and values that detectors know go out in part', async () => {
  mails.length = 0;
  await ask('x\r\nBcc: everybody@corp.example\r\n\r\ncard 4111 1111 1111 1111');
  await expect.poll(() => mails.length, { timeout: 10_000 }).toBe(1);
  const [headers] = mails[0]!.text.split('\r\n\r\n');
  expect(headers).not.toMatch(/^Bcc:/im);
  expect(mails[0]!.to).toEqual(['desk@corp.example']);
  expect(mails[0]!.text).not.toContain('4111 1111 1111');
});

test('the requester hears of the answer at their own address', async () => {
  const id = await ask('once more');
  await expect.poll(() => mails.some((mail) => mail.text.includes('once more')), { timeout: 10_000 }).toBe(true);
  mails.length = 0;
  await town.as('ben', 'POST', `/v1/access-requests/${id}/deny`, { reason: 'not today' });
  await expect
    .poll(() => mails.map((mail) => mail.to.join()).toSorted(), { timeout: 10_000 })
    .toEqual(['carla@corp.example', 'desk@corp.example']);
  for (const mail of mails) expect(mail.text).toContain('not today');
});

test('an e-mail notifier takes addresses and nothing of other kinds', async () => {
  const valid = { name: 'x', format: 'email', to: ['a@corp.example'] };
  for (const more of [
    { to: ['a@b.example\r\nBcc: c@d.example'] },
    { to: [] },
    { url: 'https://x.example' },
    { to: undefined },
  ])
    expect((await plane.call('POST', '/v1/webhooks', { ...valid, ...more })).status).toBe(400);
  expect((await plane.call('PATCH', '/v1/webhooks/desk', { format: 'generic' })).status).toBe(400);
  expect((await plane.call('PATCH', '/v1/webhooks/desk', { to: ['ops@corp.example'] })).body).toMatchObject({
    to: ['ops@corp.example'],
  });
});
