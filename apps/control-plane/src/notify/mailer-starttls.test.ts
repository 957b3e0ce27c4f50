/** E-mail to a server of Debian that takes nothing in clear: STARTTLS, its certificate, the sign-in, and what is quoted. */
import tls from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { HAS_AIOSMTPD, MAIL_HOST, type MailServer, startMailServer } from '../testing/aiosmtpd.ts';
import { startTestControlPlane, type TestControlPlane } from '../testing/control-plane.ts';
import { settle, type Town } from '../testing/people.ts';

const PASSWORD = 'p@ss:w/rd%1';

describe.skipIf(!HAS_AIOSMTPD)('aiosmtpd of Debian', () => {
  let server: MailServer;
  let plane: TestControlPlane;
  let town: Town;
  const trusted = tls.getCACertificates('default');

  beforeAll(async () => {
    server = await startMailServer('sallyport', PASSWORD);
    plane = await startTestControlPlane({
      SALLYPORT_SMTP_URL: `smtp://sallyport:${encodeURIComponent(PASSWORD)}@${MAIL_HOST}:${server.port}`,
      SALLYPORT_SMTP_FROM: 'sallyport@corp.example',
    });
    town = await settle(plane);
    await town.policy('orders', {});
    const events = ['access.requested', 'access.answered'];
    const hook = { name: 'desk', format: 'email', to: ['desk@corp.example'], events };
    expect((await plane.call('POST', '/v1/webhooks', hook)).status).toBe(201);
  }, 120_000);
  afterAll(async () => {
    tls.setDefaultCACertificates(trusted);
    await plane?.stop();
    await server?.stop();
  });

  const ask = (reason: string) => {
    const body = { resource: 'orders', effects: ['read'], duration: '1h', reason };
    return town.as<{ id: string }>('carla', 'POST', '/v1/access-requests', body);
  };
  const last = async () =>
    (
      await plane.call<{ items: { attempts: number; sentAt: string | null; error: string | null }[] }>(
        'GET',
        '/v1/webhooks/desk/deliveries',
      )
    ).body.items[0]!;

  test('a certificate that nothing vouches for gets no mail and no password; once it is trusted, the mail goes', async () => {
    await ask('first');
    await expect.poll(async () => (await last()).error ?? '', { timeout: 30_000 }).toContain('self-signed certificate');
    expect(server.mails).toEqual([]);
    tls.setDefaultCACertificates([...trusted, server.ca]);
    await expect.poll(() => server.mails.length, { timeout: 60_000 }).toBe(1);
    expect(server.mails[0]).toMatchObject({ to: ['desk@corp.example'], tls: true, authenticated: true });
  });

  test('what is quoted stays text: no header, no tag, no end of the message, and a refusal for now is tried again', async () => {
    const before = server.mails.length;
    await ask('[later] <b>bold</b>\r\nBcc: evil@corp.example\r\n.\r\nQUIT');
    await expect.poll(() => server.mails.length, { timeout: 60_000 }).toBe(before + 1);
    expect((await last()).attempts).toBe(2);
    const mail = server.mails.at(-1)!;
    expect(mail.to).toEqual(['desk@corp.example']);
    const [head = '', ...body] = mail.text.replaceAll('\r\n', '\n').split('\n\n');
    expect(head).not.toMatch(/^bcc:/im);
    expect(body.join('\n\n')).toContain('&lt;b&gt;bold');
    expect(body.join('\n\n')).toContain('QUIT');
  });

  test('the requester is told of the answer at their own address', async () => {
    const { body } = await ask('mine');
    await town.as('ben', 'POST', `/v1/access-requests/${body.id}/deny`, { reason: 'not today' });
    const told = () => server.mails.filter((mail) => mail.to.includes('carla@corp.example'));
    await expect.poll(() => told().length, { timeout: 60_000 }).toBe(1);
    expect(told()[0]!.text).toContain('not today');
  });
});
