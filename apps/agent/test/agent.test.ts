/** The agent in one process against a real gRPC control plane, with a protocol that only signs in and asks one statement. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createLogger, type ErrorCode, GatewayError, Secret } from '@sallyport/core';
import type { SessionInfo, Statement } from '@sallyport/model';
import { admit, type ProtocolAdapter, type SignedIn } from '@sallyport/protocol-kit';
import { decodeFrames } from '@sallyport/trail';
import { afterAll, afterEach, expect, test } from 'vitest';
import { Agent } from '../src/agent.ts';
import { parseConfig } from '../src/config.ts';
import { issue } from './certificates.fixture.ts';
import { ANA, accessToken, ControlPlane, documents, PROJECT_ID, signedApproval } from './control-plane.fixture.ts';

const undo: (() => unknown)[] = [];
const dirs = mkdtempSync(path.join(tmpdir(), 'sallyport-agent-test-'));
afterAll(() => rmSync(dirs, { recursive: true, force: true }));
const newDir = (): string => mkdtempSync(path.join(dirs, 'agent-'));
afterEach(async () => {
  for (const act of undo.splice(0).reverse()) await act();
});
const until = async (what: string, done: () => boolean, ms = 5_000): Promise<void> => {
  for (const end = Date.now() + ms; !done(); ) {
    if (Date.now() > end) throw new Error(`waited in vain: ${what}`);
    await new Promise((next) => setTimeout(next, 10));
  }
};

const statement = (text: string, effects: Statement['effects'] = ['read']): Statement => ({
  protocol: 'postgres',
  digest: 'd'.repeat(64),
  text,
  parameters: [],
  effects,
  understood: true,
  inTransaction: false,
  wroteInTransaction: false,
  facts: {
    sql: {
      literalFree: true,
      statements: [
        {
          kind: 'select',
          effects,
          filtered: true,
          limit: undefined,
          relations: [],
          functions: [],
          opaque: [],
          columns: [],
          object: '',
          start: 0,
          end: 1,
          transaction: undefined,
          setting: undefined,
        },
      ],
    },
  },
});

/** Lines: `token <jwt>` signs in, `run <text>` is judged, `write <text>` is a write; answers are lines too. */
const lines: ProtocolAdapter = {
  name: 'postgres',
  transport: 'relay',
  defaultPort: 0,
  alpn: ['postgresql'],
  openSession(host) {
    let road: SignedIn | undefined;
    const say = (text: string): void => void host.client.write(Buffer.from(`${text}\n`));
    const run = async (line: string): Promise<void> => {
      const verb = line.slice(0, line.indexOf(' '));
      const rest = line.slice(line.indexOf(' ') + 1);
      try {
        if (verb === 'token') {
          road = await host.signIn.signIn({
            token: new Secret(rest),
            resource: 'payments-db',
            role: undefined,
            database: 'd',
            application: 'a',
          });
          const credential = await road.credential();
          say(`in ${credential.username} ${road.readOnly}`);
        } else if (road !== undefined) {
          road.onHeld = (held) => say(`held ${held.approvalId}`);
          await admit(statement(rest, verb === 'write' ? ['write'] : ['read']), road.gate);
          host.recorder.statement(road.statementNumber(), rest);
          road.finished({ number: road.statementNumber(), rows: 1, bytes: 10, error: '', durationUs: 1, masked: 0 });
          say('ok');
        }
      } catch (error) {
        say(`no ${(error as GatewayError).code}`);
      }
    };
    return {
      clientBytes: (chunk) => {
        for (const line of chunk.toString().split('\n')) if (line !== '') void run(line);
      },
      clientSecured() {},
      clientClosed: () => road?.cancelHeld(),
      clientDrained() {},
      upstreamBytes() {},
      upstreamSecured() {},
      upstreamClosed() {},
      upstreamDrained() {},
      timer() {},
      bundleChanged() {},
      end: (code: ErrorCode) => {
        say(`end ${code}`);
        host.client.end();
      },
    };
  },
};

const clock = { nowMs: () => Date.now(), monotonicMs: () => performance.now() };
const log = createLogger('agent', {
  level: process.env['LOUD'] ? 'info' : 'error',
  write: (line) => process.env['LOUD'] && process.stdout.write(line),
  nowMs: clock.nowMs,
});

async function controlPlane(): Promise<ControlPlane> {
  const made = new ControlPlane();
  await made.start();
  undo.push(() => made.stop());
  return made;
}

async function start(
  plane: ControlPlane,
  dataDir = newDir(),
  ownClock: typeof clock = clock,
): Promise<{ agent: Agent; dataDir: string; port: number }> {
  const env = {
    SALLYPORT_DATA_DIR: dataDir,
    SALLYPORT_JOIN_TOKEN: plane.joinToken(),
    SALLYPORT_LISTEN_POSTGRES: '127.0.0.1:0',
    SALLYPORT_LISTEN_POSTGRES_PLAINTEXT: '127.0.0.1:0',
  };
  const agent = await Agent.start(
    parseConfig(env, []),
    { load: () => Promise.resolve(lines), sshNative: true, restartNeeded: false, close: async () => {} },
    ownClock,
    log,
  );
  undo.push(() => agent.stop());
  const ready = JSON.parse(readFileSync(path.join(dataDir, 'ready.json'), 'utf8'));
  return { agent, dataDir, port: Number(ready.postgresPlaintext.split(':')[1]) };
}

class Client {
  text = '';
  closed = false;
  readonly #socket: net.Socket;
  constructor(port: number) {
    this.#socket = net.connect(port, '127.0.0.1');
    this.#socket.on('data', (chunk) => {
      this.text += chunk;
    });
    this.#socket.on('close', () => {
      this.closed = true;
    });
    this.#socket.on('error', () => {});
    undo.push(() => this.#socket.destroy());
  }
  async ask(line: string, answer: RegExp): Promise<string> {
    this.text = '';
    this.#socket.write(`${line}\n`);
    return await this.told(answer);
  }
  async told(answer: RegExp): Promise<string> {
    await until(`${answer} in ${JSON.stringify(this.text)}`, () => answer.test(this.text)).catch((error: Error) => {
      throw new Error(`${error.message}; got ${this.text}`);
    });
    return answer.exec(this.text)![1] ?? '';
  }
  hangUp(): void {
    this.#socket.destroy();
  }
}

const bundleReports = (plane: ControlPlane) => plane.heard.filter((m) => m.body === 'bundle').map((m) => m.bundle!);
const answers = (plane: ControlPlane) =>
  plane.heard.filter((m) => m.body === 'approval').map((m) => JSON.parse(Buffer.from(m.approval!.request!).toString()));
const reports = (plane: ControlPlane): (SessionInfo & { closedAt?: number; reason?: string })[] =>
  plane.heard.filter((m) => m.body === 'session').map((m) => JSON.parse(Buffer.from(m.session!.session!).toString()));

test('an agent joins, takes its bundle, lets a good token in and records what it does', async () => {
  const plane = await controlPlane();
  plane.manifest = plane.sign(1, 1, documents(1));
  const { port } = await start(plane);
  const client = new Client(port);
  await client.ask(`token ${accessToken()}`, /in app false/);
  await client.ask('run select 1', /ok/);
  await until('trail', () => plane.heard.some((m) => m.body === 'trail'));
  await until('heartbeat', () => plane.heard.some((m) => m.body === 'heartbeat' && Number(m.heartbeat!.sequence) > 3));
  client.hangUp();
  await until('closed', () => reports(plane).some((r) => r.closedAt !== undefined));
  expect(plane.enrolments[0]!.capabilities).toContain('trail.1');
});

test('an agent does not show its token to a server under another root', async () => {
  const plane = await controlPlane();
  const other = issue({ subject: 'other', ca: true });
  const dataDir = newDir();
  const env = { SALLYPORT_DATA_DIR: dataDir, SALLYPORT_JOIN_TOKEN: plane.joinToken(other) };
  await expect(
    Agent.start(
      parseConfig(env, []),
      { load: () => Promise.resolve(lines), sshNative: true, restartNeeded: false, close: async () => {} },
      clock,
      log,
    ),
  ).rejects.toMatchObject({ code: 'enroll.failed' });
  expect(plane.enrolments).toHaveLength(0);
});

test('what is wrong with a token is not told: every refusal is auth.failed', async () => {
  const plane = await controlPlane();
  plane.manifest = plane.sign(1, 1, documents(1));
  const { port } = await start(plane);
  const now = Math.floor(Date.now() / 1000);
  const { key } = issue({ subject: 'stranger' });
  const good = accessToken();
  const bad = {
    expired: accessToken({ iat: now - 400, exp: now - 100 }),
    'another resource': accessToken({ aud: '01900000-0000-7000-8000-0000000000ff' }),
    'another project': accessToken({ prj: 'x' }),
    'another issuer': accessToken({ iss: 'http://evil' }),
    'another key': accessToken({}, {}, key),
    'unknown kid': accessToken({}, { kid: 'nope' }),
    'alg none': `${Buffer.from('{"alg":"none","typ":"at+jwt","kid":"access-1"}').toString('base64url')}.${good.split('.')[1]}.`,
    'alg HS256': accessToken({}, { alg: 'HS256' }),
    'another type': accessToken({}, { typ: 'JWT' }),
    'lives for a day': accessToken({ exp: now + 86_400 }),
    'an unknown claim': accessToken({ admin: true }),
    nobody: accessToken({ sub: 'nobody' }),
    'no grant named': accessToken({ gr: [] }),
    'approval key': accessToken({}, { kid: 'approval-1' }),
    cut: good.slice(0, -4),
    nothing: 'x',
  };
  for (const [what, token] of Object.entries(bad)) {
    const answer = await new Client(port).ask(`token ${token}`, /(in|no \S+)/);
    expect(`${what}: ${answer}`).toBe(`${what}: no auth.failed`);
  }
  await new Client(port).ask(`token ${good}`, /in app/);
});

test('a bundle that is not good is refused aloud and the last good one stays', async () => {
  const plane = await controlPlane();
  plane.manifest = plane.sign(1, 5, documents(1));
  const { port } = await start(plane);
  await until(
    'settled',
    () =>
      bundleReports(plane).length > 0 &&
      plane.heard.filter((m) => m.body === 'hello').length === 2 &&
      plane.heard.at(-1)!.body === 'heartbeat',
  );
  const refusedBy = async (signed: ReturnType<ControlPlane['sign']>): Promise<string> => {
    const before = bundleReports(plane).length;
    plane.send({ body: 'manifest', manifest: signed });
    await until('a report', () => bundleReports(plane).length > before);
    const last = bundleReports(plane).at(-1)!;
    return last.accepted ? 'accepted' : (last.code ?? '');
  };
  const good = plane.sign(1, 6, documents(1));
  expect(await refusedBy({ ...good, signature: Buffer.from(good.signature!).fill(1) })).toBe('bundle.signature');
  expect(await refusedBy({ ...good, manifest: Buffer.concat([good.manifest!, Buffer.of(0)]) })).toBe(
    'bundle.signature',
  );
  expect(await refusedBy({ ...good, certificates: [good.certificates![0]!] })).toBe('bundle.signature');
  expect(await refusedBy({ ...good, certificates: [] })).toBe('bundle.signature');
  expect(await refusedBy(plane.sign(1, 4, documents(1)))).toBe('bundle.stale');
  expect(await refusedBy(plane.sign(1, 6, documents(1), (m) => ({ ...m, requires: ['mask.quantum.9'] })))).toBe(
    'bundle.capability',
  );
  expect(await refusedBy(plane.sign(1, 6, documents(1), (m) => ({ ...m, format: 2 })))).toBe('bundle.capability');
  expect(await refusedBy(plane.sign(1, 6, documents(1), (m) => ({ ...m, agentId: 'someone else' })))).toBe(
    'bundle.signature',
  );
  expect(await refusedBy(plane.sign(1, 6, documents(1, { 'wish/1': {} })))).toBe('bundle.malformed');
  expect(
    await refusedBy(
      plane.sign(1, 6, documents(1, { 'group/g': { name: 'g', projectId: 'p', members: [], secretly: 1 } })),
    ),
  ).toBe('bundle.malformed');
  const signer = plane.bundleSigner;
  plane.bundleSigner = issue({ subject: 'listener', issuer: plane.signing, usages: ['1.3.6.1.5.5.7.3.1'] });
  expect(await refusedBy(plane.sign(1, 6, documents(1)))).toBe('bundle.signature');
  plane.bundleSigner = signer;
  plane.truncateChunks = true;
  expect(
    await refusedBy(plane.sign(1, 6, documents(1, { 'group/h': { name: 'h', projectId: 'p', members: [] } }))),
  ).toBe('bundle.malformed');
  plane.truncateChunks = false;
  await new Client(port).ask(`token ${accessToken()}`, /in app/);
  expect(
    await refusedBy(plane.sign(1, 6, documents(1, { 'group/h': { name: 'h', projectId: 'p', members: [] } }))),
  ).toBe('accepted');
  // After a restored database the operator starts a new epoch: then a lower revision is newer.
  expect(await refusedBy(plane.sign(2, 1, documents(1)))).toBe('accepted');
});

test('losing the grant ends the session within a second, and so does a revocation', async () => {
  const plane = await controlPlane();
  const policy = {
    'policy/p': {
      id: 'p',
      projectId: PROJECT_ID,
      name: 'p',
      subjects: {},
      resources: {},
      mode: 'enforce',
      rules: [{ name: 'no-writes', when: 'sql.effects.exists(e, e == "write")', verdict: 'deny', mode: 'enforce' }],
      masks: [],
    },
  };
  plane.manifest = plane.sign(1, 1, documents(1));
  const { port } = await start(plane);
  const [first, second] = [new Client(port), new Client(port)];
  await first.ask(`token ${accessToken({ jti: 'one' })}`, /in app/);
  await second.ask(`token ${accessToken({ jti: 'two' })}`, /in app/);
  await second.ask('write x', /ok/);
  plane.offer(
    plane.sign(
      1,
      2,
      documents(1, { ...policy, 'revocations/all': [{ kind: 'token', id: 'one', before: Date.now() }] }),
    ),
  );
  const at = Date.now();
  await first.told(/end session.revoked/);
  await until('both sides closed', () => first.closed);
  expect(Date.now() - at).toBeLessThan(1_000);
  await second.ask('write x', /no policy.denied/);
  const { 'grant/g1': _, ...without } = documents(1);
  plane.offer(plane.sign(1, 3, without));
  await second.told(/end session.revoked/);
  await new Client(port).ask(`token ${accessToken()}`, /no auth.failed/);
});

test('a grant narrowed to reading ends sessions that could write, and the next one is read-only', async () => {
  const plane = await controlPlane();
  const docs = documents(1);
  plane.manifest = plane.sign(1, 1, docs);
  const { port } = await start(plane);
  const open = new Client(port);
  await open.ask(`token ${accessToken()}`, /in app/);
  plane.offer(plane.sign(1, 2, { ...docs, 'grant/g1': { ...(docs['grant/g1'] as object), effects: ['read'] } }));
  await open.told(/end session.revoked/);
  const next = new Client(port);
  await next.ask(`token ${accessToken()}`, /in app/);
  await next.ask('run select 1', /ok/);
});

test('who watches sees frames while they watch, and no longer', async () => {
  const plane = await controlPlane();
  plane.manifest = plane.sign(1, 1, documents(1));
  const { port } = await start(plane);
  const client = new Client(port);
  await client.ask(`token ${accessToken()}`, /in app/);
  await until('report', () => reports(plane).length > 0 && plane.links.size === 1);
  const { id } = reports(plane)[0]!;
  const frames = () =>
    plane.heard.filter((m) => m.body === 'watch').flatMap((m) => [...decodeFrames(Buffer.from(m.watch!.frame!), 0)]);
  plane.send({ body: 'watch', watch: { sessionId: id, on: true } });
  await new Promise((next) => setTimeout(next, 100));
  await client.ask('run select 1', /ok/);
  await until('frames', () => frames().length > 0);
  expect(frames()[0]).toMatchObject({ kind: 'statement', number: 1, text: 'select 1' });
  plane.send({ body: 'watch', watch: { sessionId: id, on: false } });
  await new Promise((next) => setTimeout(next, 100));
  await client.ask('run select 2', /ok/);
  await new Promise((next) => setTimeout(next, 100));
  expect(frames()).toHaveLength(1);
});

test('a revoked agent ends its sessions at once and lets nobody in, whatever the offline budget', async () => {
  const plane = await controlPlane();
  plane.manifest = plane.sign(1, 1, documents(1));
  const { port } = await start(plane);
  const client = new Client(port);
  await client.ask(`token ${accessToken()}`, /in app/);
  await until('link', () => plane.links.size === 1 && reports(plane).length > 0);
  plane.revoke();
  await client.told(/end agent.stale/);
  await new Client(port).ask(`token ${accessToken()}`, /no agent.stale/);
  plane.revoked = false;
  await until('link', () => plane.links.size === 1);
  await until('works again', () => plane.heard.at(-1)?.body === 'heartbeat');
  await new Client(port).ask(`token ${accessToken()}`, /in app/);
});

test('a kill ends exactly that session', async () => {
  const plane = await controlPlane();
  plane.manifest = plane.sign(1, 1, documents(1));
  const { port } = await start(plane);
  const [first, second] = [new Client(port), new Client(port)];
  await first.ask(`token ${accessToken()}`, /in app/);
  await until('report', () => reports(plane).length > 0);
  const { id } = reports(plane)[0]!;
  await second.ask(`token ${accessToken()}`, /in app/);
  plane.send({ body: 'end', end: { sessionId: id, code: 'session.killed' } });
  await first.told(/end session.killed/);
  await second.ask('run select 1', /ok/);
});

const holding = {
  'group/dba': { name: 'dba', projectId: PROJECT_ID, members: ['b'] },
  'policy/h': {
    id: 'h',
    projectId: PROJECT_ID,
    name: 'h',
    subjects: {},
    resources: {},
    mode: 'enforce',
    rules: [
      {
        name: 'writes',
        when: 'sql.effects.exists(e, e == "write")',
        verdict: 'hold',
        approval: { groups: ['dba'], count: 1, expiresMs: 60_000 },
        mode: 'enforce',
      },
    ],
    masks: [],
  },
};
const granted = (request: { id: string; digest: string; agentId: string; resourceId: string }, more: object = {}) => ({
  id: request.id,
  digest: request.digest,
  scope: 'once' as const,
  agentId: request.agentId,
  resourceId: request.resourceId,
  principalId: ANA,
  granted: true,
  by: [{ id: 'b', name: 'ben', kind: 'person' as const }],
  answeredAt: Date.now(),
  expiresAt: Date.now() + 60_000,
  ...more,
});

test('a held statement waits, survives a new link, and passes once with a good answer alone', async () => {
  const plane = await controlPlane();
  plane.manifest = plane.sign(1, 1, documents(1, holding));
  const { port } = await start(plane);
  const client = new Client(port);
  await client.ask(`token ${accessToken()}`, /in app/);
  const id = await client.ask('write x', /held (\S+)/);
  await until('ask', () => answers(plane).length === 1);
  for (const link of plane.links) link.end();
  plane.stop();
  await plane.start();
  await until('announced again', () => answers(plane).length >= 2, 8_000);
  const request = answers(plane)[1];
  expect(request.id).toBe(id);
  const { key } = issue({ subject: 'stranger' });
  plane.send({ body: 'answer', answer: { id, signed: signedApproval(granted(request), key) } });
  plane.send({ body: 'answer', answer: { id, signed: signedApproval(granted(request, { digest: 'e'.repeat(64) })) } });
  await new Promise((next) => setTimeout(next, 100));
  expect(client.text).not.toMatch(/ok|no/);
  plane.send({ body: 'answer', answer: { id, signed: signedApproval(granted(request)) } });
  await client.told(/ok/);
  // The same answer again gives nothing: the next one waits for its own.
  plane.send({ body: 'answer', answer: { id, signed: signedApproval(granted(request)) } });
  await client.ask('write x', /held (\S+)/);
});

test('a denied hold is approval.denied, and hanging up withdraws it', async () => {
  const plane = await controlPlane();
  plane.manifest = plane.sign(1, 1, documents(1, holding));
  const { port } = await start(plane);
  const client = new Client(port);
  await client.ask(`token ${accessToken()}`, /in app/);
  const id = await client.ask('write x', /held (\S+)/);
  await until('ask', () => answers(plane).length === 1);
  plane.send({
    body: 'answer',
    answer: { id, signed: signedApproval(granted(answers(plane)[0], { granted: false, reason: 'no' })) },
  });
  await client.told(/no approval.denied/);
  await client.ask('write y', /held (\S+)/);
  client.hangUp();
  await until('withdrawn', () => plane.heard.some((m) => m.body === 'withdrawn'));
});

test('a ticket is denied at once, passes once when approved, and is used up also over a restart', async () => {
  const plane = await controlPlane();
  const docs = documents(1, holding);
  const [name] = Object.keys(docs);
  plane.manifest = plane.sign(1, 1, { ...docs, [name!]: { ...(docs[name!] as object), approval: 'ticket' } });
  const { agent, dataDir, port } = await start(plane);
  const client = new Client(port);
  await client.ask(`token ${accessToken()}`, /in app/);
  await client.ask('write x', /no approval.required/);
  await client.ask('write x', /no approval.required/);
  await until('ask', () => answers(plane).length === 1);
  const [request] = answers(plane);
  expect(request.mode).toBe('ticket');
  const signed = signedApproval(granted(request));
  plane.send({ body: 'answer', answer: { id: request.id, signed } });
  await new Promise((next) => setTimeout(next, 100));
  await client.ask('write x', /ok/);
  await until('consumed', () => plane.heard.some((m) => m.body === 'consumed'));
  await agent.stop();
  const again = await start(plane, dataDir);
  await until('link', () => plane.links.size > 0);
  plane.send({ body: 'answer', answer: { id: request.id, signed } });
  const later = new Client(again.port);
  await later.ask(`token ${accessToken()}`, /in app/);
  await later.ask('write x', /no approval.required/);
}, 20_000);

test('an agent serves from its last bundle while the control plane is away, for as long as the resource says', async () => {
  const plane = await controlPlane();
  const docs = documents(1);
  const [name] = Object.keys(docs);
  const resource = docs[name!] as object;
  plane.manifest = plane.sign(1, 1, {
    ...docs,
    [name!]: { ...resource, offline: { sessionsMs: 3_000, newSessionsMs: 2_000 } },
  });
  const { agent, dataDir } = await start(plane);
  await agent.stop();
  plane.stop();
  const again = await start(plane, dataDir);
  const client = new Client(again.port);
  await client.ask(`token ${accessToken()}`, /in app/);
  await client.ask('run select 1', /ok/);
  await new Promise((next) => setTimeout(next, 2_100));
  await new Client(again.port).ask(`token ${accessToken()}`, /no agent.stale/);
  await client.told(/end agent.stale/);
}, 20_000);

test('a clock that is wrong lets no token live longer, and shows in the metrics', async () => {
  const plane = await controlPlane();
  plane.manifest = plane.sign(1, 1, documents(1));
  let wrongByMs = 120_000;
  const { dataDir, port } = await start(plane, newDir(), { ...clock, nowMs: () => Date.now() + wrongByMs });
  const { health } = JSON.parse(readFileSync(path.join(dataDir, 'ready.json'), 'utf8'));
  const metrics = await (await fetch(`http://${String(health).replace('http://', '')}/metrics`)).text();
  const skew = Number(/^sallyport_agent_clock_skew_seconds (\S+)$/m.exec(metrics)?.[1]);
  expect(Math.abs(skew - 120)).toBeLessThan(2);
  const now = Math.floor(Date.now() / 1000);
  await new Client(port).ask(`token ${accessToken()}`, /in app/);
  await new Client(port).ask(`token ${accessToken({ exp: now + 60 })}`, /no auth.failed/);
  wrongByMs = -120_000;
  await new Client(port).ask(`token ${accessToken()}`, /no auth.failed/);
});

test('certificates are renewed before they end', async () => {
  const plane = await controlPlane();
  plane.identityMs = 2_000;
  plane.manifest = plane.sign(1, 1, documents(1));
  const { agent, dataDir } = await start(plane);
  await agent.stop();
  await new Promise((next) => setTimeout(next, 2_500));
  plane.identityMs = 3_600_000;
  await start(plane, dataDir);
  await until('recovered', () => plane.renewals === 1);
  await until('link', () => plane.links.size > 0);
}, 20_000);

test('a data directory with damaged files does not start', async () => {
  const plane = await controlPlane();
  plane.manifest = plane.sign(1, 1, documents(1));
  const { agent, dataDir } = await start(plane);
  await agent.stop();
  writeFileSync(path.join(dataDir, 'tickets.json'), '[{"approval":{}}]');
  await expect(start(plane, dataDir)).rejects.toThrow();
});
