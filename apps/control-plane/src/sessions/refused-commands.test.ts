/** Lists of commands over a chain and recordings as an agent writes them: what ran, what was refused, what is not here. */
import { createHash, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { LIMITS } from '@sallyport/core';
import type { TrailEvent } from '@sallyport/model';
import { ByteBatch, FrameWriter, readRecords, sealRecordingChunk } from '@sallyport/trail';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type EnrolledAgent, enrollAgent, TestLink } from '../testing/agent-client.ts';
import { startTestControlPlane, type TestControlPlane } from '../testing/control-plane.ts';
import { TestTrail, testSession } from '../testing/trail-writer.ts';

type Judged = Extract<TrailEvent, { kind: 'statement.judged' }>;
interface Command {
  readonly number: number;
  readonly text: string;
  readonly verdict: string;
  readonly refused: { readonly rule: string; readonly code: string; readonly approvalId: string } | null;
  readonly code: number | null;
  readonly session: { readonly id: string };
}
interface Page {
  readonly items: readonly Command[];
  readonly nextCursor: string | null;
  readonly looked: number;
  readonly unreadable: number;
}

let plane: TestControlPlane;
let agent: EnrolledAgent;
let link: TestLink;
let trail: TestTrail;
let sealKey: Uint8Array;
const epoch = Math.floor(Date.now() / 1000);
let cursors = 0;
const carla = { id: randomUUID(), name: 'carla', kind: 'person' as const };
const CARD = '4111111111111111';

const trailOf = (instance: string) =>
  new TestTrail({ agentId: agent.identity.agentId!, instance, epoch }, agent.keys.key, sealKey).start();

beforeAll(async () => {
  plane = await startTestControlPlane();
  const root = readFileSync(plane.controlPlane.ready.ca, 'utf8');
  const join = await plane.call<{ joinToken: string }>('POST', '/v1/agents/join-tokens', { name: 'north' });
  agent = await enrollAgent(plane.controlPlane.ready.enroll, root, join.body.joinToken);
  link = new TestLink(plane.controlPlane.ready.link, root, agent);
  link.hello({ instance: 'commands', chainEpoch: epoch });
  const { bodies } = await link.bundle();
  sealKey = Buffer.from(bodies.get('settings/all')!['trailSealKey'] as string, 'base64url');
  trail = trailOf('commands');
});
afterAll(async () => {
  link.close();
  await plane.stop();
});

async function upload(of = trail, message = of.take(String(++cursors))): Promise<void> {
  expect(await link.upload(message)).toBe('');
}

function opened(resourceName: string): string {
  const id = randomUUID();
  const { projectId, agentId } = agent.identity;
  const info = testSession({
    id,
    projectId: projectId!,
    agentId: agentId!,
    principal: carla,
    protocol: 'ssh',
    resourceName,
  });
  trail.add({ kind: 'session.opened', session: info }, id);
  return id;
}
const closed = (id: string): TestTrail =>
  trail.add({ kind: 'session.closed', reason: '', statements: 0, rows: 0, bytes: 0 }, id);

/** @param approvalId as the agent writes it: once there is one */
function judged(
  id: string,
  number: number,
  text: string,
  verdict: Judged['verdict'],
  code = '',
  approvalId = '',
): void {
  const event: Judged = {
    kind: 'statement.judged',
    number,
    verdict,
    rule: verdict === 'allow' ? 'grant' : 'hosts/dangerous',
    code: code as Judged['code'],
    digest: 'ab'.repeat(32),
    effects: ['exec'],
    text,
    parameters: [],
    approvalId,
    shadow: [],
  };
  trail.add(event, id);
}

/** Written by the agent and named by its chain. @returns sends it */
async function recorded(id: string, write: (frames: FrameWriter) => void): Promise<() => Promise<void>> {
  const key = trail.keys.get(id)!;
  const batch = new ByteBatch();
  write(new FrameWriter(batch));
  const { bytes, digest } = await sealRecordingChunk(
    { sessionId: id, keyId: key.keyId, index: 0, fromMs: 0, toMs: 50 },
    Buffer.from(batch.view),
    key.recordingKey(),
  );
  trail.add({ kind: 'recording.chunk', index: 0, bytes: bytes.length, digest, fromMs: 0, toMs: 50 }, id);
  return async () => {
    const acked = link.next('recordingAck');
    link.send({
      recording: { sessionId: id, index: 0, digest: Buffer.from(digest, 'hex'), offset: 0, part: bytes, last: true },
    });
    expect(await acked).toMatchObject({ sessionId: id, index: 0 });
  };
}

const listed = async (query: string): Promise<Page> => {
  const answer = await plane.call<Page>('GET', `/v1/sessions/${query}`);
  expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  return answer.body;
};

test('commands that were refused or still wait are listed among those that ran, with their verdicts, and searches find them', async () => {
  const id = opened('web-1');
  judged(id, 1, 'uptime', 'allow');
  judged(id, 2, 'rm -rf /', 'deny', 'policy.denied');
  judged(id, 3, 'systemctl restart nginx', 'hold');
  judged(id, 4, 'systemctl restart db', 'hold');
  await upload();
  judged(id, 3, 'systemctl restart nginx', 'deny', 'approval.expired', 'apr-3');
  judged(id, 4, 'systemctl restart db', 'allow', '', 'apr-4');
  judged(id, 5, `echo ${CARD} ${'x'.repeat(100_000)}`, 'deny', 'policy.denied');
  judged(id, 6, 'rm -rf /srv', 'hold');
  judged(id, 7, 'date', 'allow');
  const send = await recorded(id, (frames) => {
    frames.text('statement', 5, 1, 'uptime');
    frames.streamFrame({ kind: 'exit', atMs: 9, number: 1, code: 0 });
    frames.text('statement', 30, 4, 'systemctl restart db');
    frames.streamFrame({ kind: 'exit', atMs: 40, number: 4, code: 3 });
    frames.text('statement', 50, 7, 'date');
  });
  await upload();
  await send();
  // Another chain says something of that session: it does not count.
  const other = trailOf('other');
  other.judged(id, 99, 'rm -rf /everything', 'deny');
  await upload(other);

  const all = await listed(`${id}/commands`);
  expect(all.items.map(({ number, verdict, refused, code }) => [number, verdict, refused?.code, code])).toEqual([
    [1, 'allow', undefined, 0],
    [2, 'deny', 'policy.denied', null],
    [3, 'deny', 'approval.expired', null],
    [4, 'allow', undefined, 3],
    [5, 'deny', 'policy.denied', null],
    [6, 'hold', '', null],
    [7, 'allow', undefined, null],
  ]);
  expect(all.items[2]?.refused).toEqual({ rule: 'hosts/dangerous', code: 'approval.expired', approvalId: 'apr-3' });
  expect(JSON.stringify(all), 'what detectors hide is hidden in refused ones').not.toContain(CARD);
  expect((await listed(`${id}/commands?q=${CARD}`)).items).toEqual([]);
  expect((await listed(`${id}/commands?q=${CARD}&clear=true`)).items.map(({ number }) => number)).toEqual([5]);

  const found = await listed('commands?q=RM%20-RF&resource=web-1');
  expect(found.items.map(({ number, verdict, session }) => [number, verdict, session.id])).toEqual([
    [2, 'deny', id],
    [6, 'hold', id],
  ]);
  expect(found).toMatchObject({ looked: 1, unreadable: 0, nextCursor: null });
  for (const asked of [`${id}/commands?`, 'commands?q=e&resource=web-1&']) {
    const whole = (await listed(`${asked}limit=100`)).items;
    expect(whole.length).toBeGreaterThan(3);
    const paged: Command[] = [];
    for (let cursor: string | null = ''; cursor !== null; ) {
      const page: Page = await listed(`${asked}limit=1${cursor === '' ? '' : `&cursor=${cursor}`}`);
      paged.push(...page.items);
      cursor = page.nextCursor;
    }
    expect(paged).toEqual(whole);
  }
});

test('a refused command that came in parts, in several batches, is read whole', async () => {
  const id = opened('web-4');
  judged(id, 1, `long ${'x'.repeat(LIMITS.eventPayloadBytesMax)} end`, 'deny', 'policy.denied');
  const whole = trail.take(String(++cursors));
  const records = Buffer.from(whole.records!);
  const at = [...readRecords(records)].at(-1)!.start;
  const before = { ...whole, records: records.subarray(0, at), lastSequence: String(Number(whole.lastSequence) - 1) };
  await upload(trail, before);
  const cursor = String(++cursors);
  await upload(trail, { ...whole, cursor, records: records.subarray(at), firstSequence: whole.lastSequence });
  expect((await listed('commands?q=end&resource=web-4')).items).toMatchObject([
    { number: 1, verdict: 'deny', text: expect.stringMatching(/^long x+ end$/) as unknown },
  ]);
});

test('a session in which nothing ran lacks no recording; one whose recording should be here is counted, with what it refused', async () => {
  const refused = opened('web-2');
  judged(refused, 1, 'shutdown now', 'deny', 'policy.denied');
  closed(refused);
  const idle = opened('web-2');
  closed(idle);
  const open = opened('web-2');
  const late = opened('web-2');
  judged(late, 1, 'uptime', 'allow');
  judged(late, 2, 'shutdown -r now', 'deny', 'policy.denied');
  const send = await recorded(late, (frames) => frames.text('statement', 5, 1, 'uptime'));
  closed(late);
  const running = opened('web-2');
  judged(running, 1, 'sleep 60', 'allow');
  await upload();

  const page = await listed('commands?q=shutdown&resource=web-2');
  expect(new Map(page.items.map(({ session, verdict }) => [session.id, verdict]))).toEqual(
    new Map([
      [refused, 'deny'],
      [late, 'deny'],
    ]),
  );
  expect(page).toMatchObject({ looked: 5, unreadable: 2 });
  for (const id of [idle, open]) expect((await listed(`${id}/commands`)).items).toEqual([]);
  for (const id of [late, running])
    expect(await plane.call('GET', `/v1/sessions/${id}/commands`)).toMatchObject({
      body: { code: 'recording.unavailable' },
    });
  await send();
  expect((await listed('commands?q=shutdown&resource=web-2')).unreadable).toBe(1);
  expect((await listed(`${late}/commands`)).items.map(({ verdict }) => verdict)).toEqual(['allow', 'deny']);
  await plane.call('POST', `/v1/sessions/${refused}/erase`, { reason: 'asked for' });
  expect(await listed('commands?q=shutdown&resource=web-2')).toMatchObject({
    items: [{ session: { id: late } }],
    unreadable: 2,
  });
});

test('who may see values in clear is told the SHA-256 of what a recording left out, so that a file can be held against it', async () => {
  const id = opened('web-3');
  judged(id, 1, 'cat notes', 'allow');
  const file = Buffer.from(`kept\nleft out, and long\n${'more\n'.repeat(1_000)}`);
  const kept = file.subarray(0, 5);
  const digest = createHash('sha256').update(file.subarray(5)).digest('hex');
  const send = await recorded(id, (frames) => {
    frames.text('statement', 5, 1, 'cat notes');
    frames.streamFrame({ kind: 'terminal_output', atMs: 6, number: 1, stream: 'stdout', bytes: kept });
    const bytes = file.length - 5;
    frames.streamFrame({ kind: 'stream_cut', atMs: 7, number: 1, stream: 'stdout', bytes, digest });
  });
  await upload();
  await send();
  const recording = async (query = ''): Promise<readonly Record<string, unknown>[]> => {
    const answer = await fetch(`${plane.url}/v1/sessions/${id}/recording${query}`, {
      headers: { authorization: `Bearer ${plane.adminToken}` },
    });
    return (await answer.text())
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  };
  const lines = await recording('?clear=true');
  const shown = lines.flatMap(({ kind, bytes }) =>
    kind === 'terminal_output' ? [Buffer.from(String(bytes), 'base64')] : [],
  );
  const start = Buffer.concat(shown).length;
  expect(Buffer.concat(shown).equals(file.subarray(0, start))).toBe(true);
  const cut = lines.find(({ kind }) => kind === 'stream_cut');
  expect(cut).toEqual({
    atMs: 7,
    kind: 'stream_cut',
    number: 1,
    stream: 'stdout',
    bytes: file.length - start,
    digest: createHash('sha256').update(file.subarray(start)).digest('hex'),
  });
  // A short text could be guessed by it.
  expect((await recording()).find(({ kind }) => kind === 'stream_cut')).not.toHaveProperty('digest');
});
