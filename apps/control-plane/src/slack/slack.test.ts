import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestControlPlane, type TestControlPlane } from '../testing/control-plane.ts';
import { settle, type Town } from '../testing/people.ts';
import { BOT_TOKEN, FakeSlack, pressed, SIGNING_SECRET, type SlackPost } from '../testing/slack-api.fake.ts';

let plane: TestControlPlane;
let town: Town;
let slack: FakeSlack;

beforeAll(async () => {
  slack = await FakeSlack.start();
  plane = await startTestControlPlane();
  town = await settle(plane);
  await town.policy('orders', {});
  await town.policy('pair', { effects: ['ddl'], approve: { count: 2, groups: ['dba'] } });
  const made = await plane.call('POST', '/v1/webhooks', {
    name: 'chat',
    format: 'slack_app',
    url: slack.url,
    channel: '#approvals',
    botToken: BOT_TOKEN,
    signingSecret: SIGNING_SECRET,
    events: ['access.requested', 'access.answered'],
  });
  expect(made.status, JSON.stringify(made.body)).toBe(201);
  expect(JSON.stringify(made.body)).not.toMatch(/xoxb|8f742231/);
}, 60_000);
afterAll(async () => {
  await plane.stop();
  await slack.stop();
});

async function ask(more: object = {}): Promise<{ id: string; post: SlackPost }> {
  const body = { resource: 'orders', effects: ['read'], duration: '1h', reason: 'a customer waits', ...more };
  const { body: made } = await town.as<{ id: string }>('carla', 'POST', '/v1/access-requests', body);
  const find = () => slack.posts.find((post) => JSON.stringify(post.blocks).includes(`access-request/${made.id}`));
  await expect.poll(find, { timeout: 10_000 }).toBeDefined();
  return { id: made.id, post: find()! };
}
const send = async (form: ReturnType<typeof pressed>): Promise<number> =>
  (await fetch(`${plane.url}/v1/slack/interactions`, { method: 'POST', ...form })).status;
const notesTo = (user: string) =>
  slack.posts.filter((post) => post.method === 'chat.postEphemeral' && post.user === user);
const stateOf = async (id: string) => (await town.as('carla', 'GET', `/v1/access-requests/${id}`)).body['state'];

async function link(user: string, who: string): Promise<void> {
  const { post, id } = await ask();
  const before = notesTo(user).length;
  expect(await send(pressed(post, user, 'approve'))).toBe(200);
  await expect.poll(() => notesTo(user).length, { timeout: 10_000 }).toBe(before + 1);
  const code = /slack link ([A-Za-z0-9_-]{20})`/.exec(notesTo(user).at(-1)!.text)![1]!;
  expect(await stateOf(id)).toBe('pending');
  expect((await town.as(who, 'POST', '/v1/slack/links', { code })).status).toBe(201);
  expect((await town.as(who, 'POST', '/v1/slack/links', { code })).body).toMatchObject({ code: 'auth.failed' });
  await town.as('carla', 'POST', `/v1/access-requests/${id}/withdraw`);
}

test('a Slack user whom nobody has tied answers nothing, and ties themselves by a code that they alone see', async () => {
  await link('U0BEN', 'ben');
  const { body } = await town.as<{ items: object[] }>('ben', 'GET', '/v1/slack/links');
  expect(body.items).toMatchObject([{ user: 'U0BEN', team: 'T0CORP' }]);
});

test('a pressed button is that person’s answer, and the message is changed in place', async () => {
  const { id, post } = await ask();
  expect(post.blocks.some((block) => block.type === 'actions')).toBe(true);
  expect(await send(pressed(post, 'U0BEN', 'approve', { reason: 'go on' }))).toBe(200);
  const { body } = await town.as('carla', 'GET', `/v1/access-requests/${id}`);
  expect(body).toMatchObject({ state: 'approved', answer: 'go on', votes: [{ principal: 'ben' }] });
  const updated = () => slack.posts.find((one) => one.method === 'chat.update' && one.ts === post.ts);
  await expect.poll(updated, { timeout: 10_000 }).toBeDefined();
  expect(updated()!.channel).toBe(post.channel);
  expect(updated()!.blocks.some((block) => block.type === 'actions')).toBe(false);
  expect(JSON.stringify(updated()!.blocks)).toContain('a customer waits');
  expect(JSON.stringify(updated()!.blocks)).toContain('approved');
  // Pressed again, from a screen that is old.
  expect(await send(pressed(post, 'U0BEN', 'deny', { reason: 'no' }))).toBe(200);
  expect(await stateOf(id)).toBe('approved');
});

test('a refusal needs a reason, as everywhere', async () => {
  const { id, post } = await ask();
  expect(await send(pressed(post, 'U0BEN', 'deny'))).toBe(200);
  expect(await stateOf(id)).toBe('pending');
  expect(await send(pressed(post, 'U0BEN', 'deny', { reason: 'not on a Friday' }))).toBe(200);
  expect(await stateOf(id)).toBe('denied');
});

test('a call that Slack did not sign, or long ago, or with a changed body, changes nothing', async () => {
  const { id, post } = await ask();
  const now = Math.floor(Date.now() / 1000);
  const good = pressed(post, 'U0BEN', 'approve');
  const bad: Parameters<typeof send>[0][] = [
    pressed(post, 'U0BEN', 'approve', { secret: 'another-secret-of-theirs' }),
    pressed(post, 'U0BEN', 'approve', { at: now - 301 }),
    pressed(post, 'U0BEN', 'approve', { at: now + 400 }),
    { ...good, headers: { ...good.headers, 'x-slack-signature': '' } },
    { ...good, headers: { ...good.headers, 'x-slack-request-timestamp': '1e9' } },
    { ...good, body: good.body.replace('U0BEN', 'U0ANA') },
    { ...good, body: 'payload=%7B' },
    { ...good, body: '' },
    pressed(post, 'U0BEN', 'approve', { value: `0190b3a4-0000-7000-8000-0000000000c1:access-request/${id}` }),
  ];
  for (const form of bad) expect(await send(form)).toBe(401);
  expect(await stateOf(id)).toBe('pending');
  expect(await send({ ...good, body: `${good.body}${'x'.repeat(300_000)}` })).toBe(413);
});

test('a button of ours for something else than was posted is no answer to that', async () => {
  const first = await ask();
  const { body: other } = await plane.call<{ id: string }>('POST', '/v1/webhooks', {
    name: 'quiet',
    format: 'slack_app',
    url: slack.url,
    channel: '#quiet',
    botToken: BOT_TOKEN,
    signingSecret: SIGNING_SECRET,
    events: ['test'],
  });
  const value = `${other.id}:access-request/${first.id}`;
  expect(await send(pressed(first.post, 'U0BEN', 'approve', { value }))).toBe(200);
  expect(await stateOf(first.id)).toBe('pending');
  await town.as('carla', 'POST', `/v1/access-requests/${first.id}/withdraw`);
});

test('one’s own request is not answered in Slack either, nor by a person who was disabled', async () => {
  await plane.call('PATCH', '/v1/principals/carla', { roles: ['member', 'approver'] });
  await plane.call('PUT', '/v1/groups/dba/members/carla');
  await link('U0CARLA', 'carla');
  const { id, post } = await ask();
  expect(await send(pressed(post, 'U0CARLA', 'approve'))).toBe(200);
  expect(await stateOf(id)).toBe('pending');
  await link('U0ANA', 'ana');
  await plane.call('PATCH', '/v1/principals/ana', { disabled: true });
  expect(await send(pressed(post, 'U0ANA', 'approve'))).toBe(200);
  expect(await stateOf(id)).toBe('pending');
});

test('the requester who is tied hears of the answer, and a message that Slack refused for now comes later', async () => {
  slack.rateLimited = 1;
  const { id, post } = await ask();
  expect(await send(pressed(post, 'U0BEN', 'approve'))).toBe(200);
  expect(await stateOf(id)).toBe('approved');
  await expect
    .poll(
      () =>
        slack.posts.some(
          (one) => one.method === 'chat.postMessage' && one.channel === 'U0CARLA' && one.text.includes('approved'),
        ),
      {
        timeout: 10_000,
      },
    )
    .toBe(true);
});

test('machines and other projects tie nobody', async () => {
  const { body } = await town.as('bot', 'POST', '/v1/slack/links', { code: 'x'.repeat(20) });
  expect(body).toMatchObject({ code: 'auth.failed' });
});
