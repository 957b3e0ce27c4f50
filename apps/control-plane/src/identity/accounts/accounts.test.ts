/** Local accounts over HTTP on a real database: links, passwords with one-time codes, delays, break-glass. */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Database } from '../../db/database.ts';
import { type Answer, startTestControlPlane, type TestControlPlane } from '../../testing/control-plane.ts';
import { stepOf, totpAt } from './one-time-codes.ts';

const PASSWORD = 'correct horse battery';
let plane: TestControlPlane;
beforeAll(async () => {
  // Each test comes from an address of its own, since attempts are counted by it.
  plane = await startTestControlPlane({ SALLYPORT_HTTP_PLAINTEXT: 'behind-proxy' });
  // Time goes on when a test says so, however long things take.
  const frozen = Date.now();
  plane.clock.nowMs = () => frozen + plane.clock.offsetMs;
}, 60_000);
afterAll(async () => await plane.stop());
let address = 0;
beforeEach(() => void address++);

const database = () => plane.controlPlane.app.get(Database, { strict: false }).client;
const unbase32 = (text: string): Buffer => {
  const bits = text
    .split('')
    .map((char) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(char).toString(2).padStart(5, '0'))
    .join('');
  return Buffer.from(bits.match(/.{8}/g)!.map((byte) => Number.parseInt(byte, 2)));
};
const now = (secret: Buffer, steps = 0) => totpAt(secret, stepOf(plane.clock.nowMs()) + steps);
async function post<T = Record<string, unknown>>(
  path: string,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<Answer<T>> {
  const response = await fetch(plane.url + path, {
    method: 'POST',
    body: typeof body === 'string' ? body : JSON.stringify(body),
    headers: { 'content-type': 'application/json', 'x-forwarded-for': `10.0.0.${address}`, ...headers },
  });
  return { status: response.status, headers: response.headers, body: (await response.json()) as T };
}
const tokenOf = (link: string): string => link.slice(link.indexOf('#') + 1);
const sessionOf = (answer: Answer<unknown>): string =>
  /sallyport_session=([^;]+)/.exec(answer.headers.get('set-cookie') ?? '')?.[1] ?? '';
const linkFor = async (name: string, more: object = {}) =>
  (await plane.call<{ link: string }>('POST', `/v1/accounts/${name}/links`, more)).body.link;

interface Person {
  readonly name: string;
  readonly secret: Buffer;
  readonly recoveryCodes: readonly string[];
  readonly session: string;
}
let serial = 0;
async function person(more: object = {}, linkOptions: object = {}): Promise<Person> {
  const name = `person-${serial++}`;
  await plane.call('POST', '/v1/principals', { name, kind: 'person', ...more });
  return await setUp(name, await linkFor(name, linkOptions));
}
async function setUp(name: string, link: string): Promise<Person> {
  const token = tokenOf(link);
  const { body } = await post<{ name: string; totp: { secret: string; uri: string } }>('/v1/login/link/begin', {
    token,
  });
  expect(body.name).toBe(name);
  const secret = unbase32(body.totp.secret);
  const made = await post<{ recoveryCodes: string[] }>('/v1/login/link/password', {
    token,
    password: PASSWORD,
    code: now(secret),
  });
  expect(made.status).toBe(200);
  return { name, secret, recoveryCodes: made.body.recoveryCodes, session: sessionOf(made) };
}
/** Each code is good once, so the clock goes on to the next. */
function later(steps = 1): void {
  plane.clock.offsetMs += steps * 30_000;
}
const signIn = (name: string, code: string, password = PASSWORD, more: object = {}) =>
  post('/v1/login/local/password', { username: name, password, code, ...more });

test('the first start prints a link that makes the first administrator’s way in, once', async () => {
  const link = plane.controlPlane.adminLink!;
  expect(link).toMatch(new RegExp(`^${plane.url}/login/link#[\\w-]{43}$`));
  expect(plane.log.join('')).not.toContain(tokenOf(link));
  const rows = await database().bootstrapLink.findMany();
  expect(rows.map((row) => Buffer.from(row.hash).toString('hex'))).toEqual([
    createHash('sha256').update(tokenOf(link)).digest('hex'),
  ]);
  const { session } = await setUp('admin', link);
  expect((await plane.call('POST', '/v1/groups', { name: 'made-by-session' }, session)).status).toBe(201);
  const token = tokenOf(link);
  expect((await post('/v1/login/link/begin', { token })).body).toMatchObject({ code: 'auth.failed' });
  const again = await post('/v1/login/link/password', { token, password: PASSWORD, code: '000000' });
  expect(again.body).toMatchObject({ code: 'auth.failed' });
});

describe('a link', () => {
  test('that two use at once comes through for one', async () => {
    await plane.call('POST', '/v1/principals', { name: 'raced', kind: 'person' });
    const token = tokenOf(await linkFor('raced'));
    const { body } = await post<{ totp: { secret: string } }>('/v1/login/link/begin', { token });
    const code = now(unbase32(body.totp.secret));
    const answers = await Promise.all(
      [1, 2, 3].map(() => post('/v1/login/link/password', { token, password: PASSWORD, code })),
    );
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
  });

  test('that has run out, was made up, or was followed by another one reads like a used one', async () => {
    await plane.call('POST', '/v1/principals', { name: 'late', kind: 'person' });
    const first = tokenOf(await linkFor('late'));
    const second = tokenOf(await linkFor('late', { expiresInSeconds: 60 }));
    expect((await post('/v1/login/link/begin', { token: first })).body).toMatchObject({ code: 'auth.failed' });
    expect((await post('/v1/login/link/begin', { token: 'x'.repeat(43) })).body).toMatchObject({ code: 'auth.failed' });
    expect((await post('/v1/login/link/begin', { token: second })).status).toBe(200);
    later(3);
    expect((await post('/v1/login/link/begin', { token: second })).body).toMatchObject({ code: 'auth.failed' });
  });

  test('takes no weak password and no wrong code, and is good still afterwards', async () => {
    await plane.call('POST', '/v1/principals', { name: 'weak', kind: 'person' });
    const token = tokenOf(await linkFor('weak'));
    const { body } = await post<{ totp: { secret: string } }>('/v1/login/link/begin', { token });
    const secret = unbase32(body.totp.secret);
    for (const password of ['short', 'aaaaaaaaaaaaaaaa', 'this-is-weak-indeed'])
      expect((await post('/v1/login/link/password', { token, password, code: now(secret) })).status, password).toBe(
        400,
      );
    expect((await post('/v1/login/link/password', { token, password: PASSWORD, code: now(secret, 5) })).status).toBe(
      400,
    );
    expect((await post('/v1/login/link/password', { token, password: PASSWORD, code: now(secret) })).status).toBe(200);
  });

  test('is made for nobody with more rights, for no machine, and for oneself only after a fresh sign-in', async () => {
    await plane.call('POST', '/v1/principals', { name: 'machine', kind: 'service' });
    expect((await plane.call('POST', '/v1/accounts/machine/links', {})).status).toBe(409);
    const narrow = await plane.call<{ token: string }>('POST', '/v1/principals/admin/tokens', {
      name: 'n',
      scopes: ['account:create', 'account:own'],
    });
    expect((await plane.call('POST', '/v1/accounts/admin/links', {}, narrow.body.token)).status).toBe(403);
    const one = await person();
    const two = await person();
    expect((await plane.call('POST', `/v1/accounts/${two.name}/links`, {}, one.session)).status).toBe(404);
    expect((await plane.call('GET', `/v1/accounts/${two.name}`, undefined, one.session)).status).toBe(404);
    expect((await plane.call('POST', `/v1/accounts/${one.name}/links`, {}, one.session)).status).toBe(201);
    later(21);
    expect((await plane.call('POST', `/v1/accounts/${one.name}/links`, {}, one.session)).body).toMatchObject({
      code: 'auth.step_up',
    });
    const api = await plane.call<{ token: string }>(
      'POST',
      `/v1/principals/${one.name}/tokens`,
      { name: 'stolen' },
      one.session,
    );
    expect((await plane.call('POST', `/v1/accounts/${one.name}/links`, {}, api.body.token)).body).toMatchObject({
      code: 'auth.step_up',
    });
  });

  test('for a new start puts whoever had the old way in out', async () => {
    const one = await person();
    later();
    await setUp(one.name, await linkFor(one.name, { replaces: true }));
    expect((await plane.call('GET', '/v1/whoami', undefined, one.session)).status).toBe(401);
    later();
    expect((await signIn(one.name, now(one.secret))).status).toBe(401);
  });
});

describe('a password', () => {
  test('with the code of now signs in; each code is good once, and an earlier one is no good after it', async () => {
    const one = await person();
    later();
    const code = now(one.secret);
    const good = await signIn(one.name, code);
    expect(good.status).toBe(200);
    expect(good.headers.get('set-cookie')).toMatch(/HttpOnly; SameSite=Lax/);
    expect(
      (await plane.call<{ principal: { name: string } }>('GET', '/v1/whoami', undefined, sessionOf(good))).body
        .principal.name,
    ).toBe(one.name);
    expect((await signIn(one.name, code)).body).toMatchObject({ code: 'auth.failed' });
    expect((await signIn(one.name, now(one.secret, -1))).body).toMatchObject({ code: 'auth.failed' });
    expect((await signIn(one.name, now(one.secret, 1))).status).toBe(200);
  });

  test('of two sign-ins with one code one passes', async () => {
    const one = await person();
    later();
    const code = now(one.secret);
    const answers = await Promise.all([1, 2, 3].map(() => signIn(one.name, code)));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
  });

  test('an old password whose check was under way when a new start took it lets nobody in', async () => {
    const one = await person();
    later();
    let answer: Promise<Answer<unknown>> | undefined;
    await database().$transaction(
      async (tx) => {
        const [{ id }] = await tx.$queryRaw<[{ id: string }]>`select a.id from local_accounts a
          join principals p on p.id = a.principal_id where p.name = ${one.name} for update of a`;
        answer = signIn(one.name, now(one.secret));
        // It has found the password right, and waits for the row.
        const waits = async (): Promise<boolean> =>
          (
            await database().$queryRaw<unknown[]>`select 1 from pg_stat_activity where wait_event_type = 'Lock'
              and query ilike '%local_accounts%' and pid <> pg_backend_pid()`
          ).length > 0;
        await expect.poll(waits, { timeout: 30_000 }).toBe(true);
        await tx.localAccount.update({ where: { id }, data: { passwordHash: null, totpSealed: null, totpStep: null } });
      },
      { timeout: 40_000 },
    );
    expect((await answer!).body).toMatchObject({ code: 'auth.failed' });
  }, 60_000);

  test('everything that is wrong reads alike: the name, the password, the code, a disabled person', async () => {
    const one = await person();
    const off = await person();
    await plane.call('PATCH', `/v1/principals/${off.name}`, { disabled: true });
    await plane.call('POST', '/v1/principals', { name: 'without', kind: 'person' });
    later();
    const wrong = await Promise.all([
      signIn('nobody-here', now(one.secret)),
      signIn('without', now(one.secret)),
      signIn(one.name, now(one.secret), 'wrong horse battery'),
      signIn(one.name, '000000'),
      signIn(one.name, 'AAAA-BBBB-CCCC-DDDD'),
      signIn(off.name, now(off.secret)),
    ]);
    for (const { status, body } of wrong)
      expect({ status, ...body, requestId: '' }).toEqual({ status: 401, ...wrong[0]!.body, requestId: '' });
  });

  test('a name that nobody has takes as long as one that somebody has', async () => {
    const one = await person();
    const time = async (name: string): Promise<number> => {
      const times: number[] = [];
      for (let i = 0; i < 4; i++) {
        const started = performance.now();
        await signIn(name, '000000');
        times.push(performance.now() - started);
      }
      return Math.min(...times);
    };
    const [known, unknown] = [await time(one.name), await time('nobody-at-all')];
    expect(Math.abs(known - unknown)).toBeLessThan(Math.max(known, unknown) * 0.6);
  });

  test('a recovery code replaces the app, once, however it is typed', async () => {
    const one = await person();
    const [first, second] = one.recoveryCodes as [string, string];
    expect(first).toMatch(/^([A-Z2-7]{4}-){3}[A-Z2-7]{4}$/);
    expect((await signIn(one.name, first.toLowerCase().replaceAll('-', ' '))).status).toBe(200);
    expect((await signIn(one.name, first)).body).toMatchObject({ code: 'auth.failed' });
    expect((await signIn(one.name, second)).status).toBe(200);
    expect((await plane.call('GET', `/v1/accounts/${one.name}`)).body).toMatchObject({
      recoveryCodesLeft: 8,
      hasPassword: true,
    });
  });

  test('is kept as argon2id and nowhere else, and the code’s secret sealed', async () => {
    const one = await person();
    const row = await database().localAccount.findFirstOrThrow({ where: { principal: { name: one.name } } });
    expect(row.passwordHash).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
    expect(Buffer.from(row.totpSealed!).includes(one.secret)).toBe(false);
    expect(plane.log.join('')).not.toContain(PASSWORD);
    const acts = await database().controlAct.findMany({
      where: { target: `principal/${one.name}` },
      orderBy: { id: 'asc' },
    });
    const text = JSON.stringify(acts, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value));
    expect(text).not.toMatch(
      new RegExp(`${PASSWORD}|${row.passwordHash!.slice(-20).replace(/[+/]/g, '.')}|${one.recoveryCodes[0]}`),
    );
    expect(acts.map((act) => act.action)).toEqual([
      'principal.created',
      'account.link_created',
      'account.password_set',
      'session.signed_in',
    ]);
  });
});

describe('guessing', () => {
  test('is slowed down more and more, alike for names that nobody has, and never for good', async () => {
    const one = await person();
    later();
    for (const name of ['nobody-else', one.name]) {
      const codes: unknown[] = [];
      for (let i = 0; i < 7; i++) codes.push((await signIn(name, '000000')).body['code']);
      expect(codes, name).toEqual([...Array(5).fill('auth.failed'), 'auth.throttled', 'auth.throttled']);
    }
    // The right password is not looked at while the delay runs.
    expect((await signIn(one.name, now(one.secret))).body).toMatchObject({ code: 'auth.throttled' });
    plane.clock.offsetMs += 2_000;
    expect((await signIn(one.name, '000000')).body).toMatchObject({ code: 'auth.failed' });
    expect((await signIn(one.name, '000000')).body).toMatchObject({ code: 'auth.throttled' });
    plane.clock.offsetMs += 301_000;
    expect((await signIn(one.name, now(one.secret))).status).toBe(200);
    // A good sign-in forgets.
    later();
    for (let i = 0; i < 5; i++) expect((await signIn(one.name, '000000')).body).toMatchObject({ code: 'auth.failed' });
  });

  test('many at once are no way round', async () => {
    const one = await person();
    const answers = await Promise.all(Array.from({ length: 20 }, () => signIn(one.name, '000000')));
    expect(answers.filter(({ body }) => body['code'] === 'auth.failed').length).toBeLessThanOrEqual(5);
  });
});

describe('a browser’s page of another site', () => {
  test.each<[string, Record<string, string>]>([
    ['by its origin', { origin: 'https://evil.example' }],
    ['by an opaque origin', { origin: 'null' }],
    ['by what the browser says of it', { 'sec-fetch-site': 'cross-site' }],
    ['of another port', { 'sec-fetch-site': 'same-site' }],
  ])('is refused %s', async (_how, headers) => {
    const body = { username: 'admin', password: PASSWORD, code: '000000' };
    expect((await post('/v1/login/local/password', body, headers)).body).toMatchObject({ code: 'auth.forbidden' });
  });

  test('cannot send a form', async () => {
    const form = new URLSearchParams({ username: 'admin', password: PASSWORD, code: '000000' });
    expect((await fetch(`${plane.url}/v1/login/local/password`, { method: 'POST', body: form })).status).toBe(403);
  });

  test('cannot be where one is sent to', async () => {
    const one = await person();
    for (const bad of ['https://evil.example', '//evil.example', '/\\evil.example', 'javascript:alert(1)']) {
      later();
      expect((await signIn(one.name, now(one.secret), PASSWORD, { return_to: bad })).body).toEqual({
        returnTo: '/device',
      });
    }
    const page = await (
      await fetch(`${plane.url}/login?return_to=${encodeURIComponent('/x"><script>alert(1)</script>')}`)
    ).text();
    expect(page).not.toContain('<script>alert');
  });
});

test('a break-glass account’s every use is an act, a message to the outside and a warning', async () => {
  await plane.call('POST', '/v1/webhooks', {
    name: 'alarms',
    url: 'http://127.0.0.1:9/x',
    events: ['account.break_glass'],
  });
  const one = await person({}, { breakGlass: true });
  const acts = await database().controlAct.findMany({
    where: { action: 'break-glass.used', target: `principal/${one.name}` },
  });
  expect(acts).toHaveLength(1);
  later();
  await signIn(one.name, now(one.secret));
  const messages = await database().outboxMessage.findMany({ where: { event: 'account.break_glass' } });
  expect(messages).toHaveLength(2);
  expect(messages[0]?.body).toMatchObject({ principal: one.name });
  expect(plane.log.join('')).toContain('a break-glass account signed in');
});

test('an account that is deleted, or a person’s, lets nobody in and ends what was open', async () => {
  const one = await person();
  expect((await plane.call('DELETE', `/v1/accounts/${one.name}`)).status).toBe(204);
  expect((await plane.call('GET', '/v1/whoami', undefined, one.session)).status).toBe(401);
  later();
  expect((await signIn(one.name, now(one.secret))).status).toBe(401);
  expect((await plane.call('GET', `/v1/principals/${one.name}`)).status).toBe(200);
});

test('where the server is known by an address passkeys say so, and the page does not offer them', async () => {
  expect((await post('/v1/login/local/passkey/begin', {})).body).toMatchObject({ code: 'auth.passkey_unavailable' });
  expect(await (await fetch(`${plane.url}/login`)).text()).not.toContain('id="passkey"');
});

test('over-long input is refused before it costs anything', async () => {
  expect((await signIn('x'.repeat(200), '000000')).status).toBe(400);
  expect((await signIn('x', '0'.repeat(100))).status).toBe(400);
  expect((await signIn('x', '000000', 'x'.repeat(10_000))).status).toBe(400);
});
