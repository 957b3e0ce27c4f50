import { createHash, createPublicKey, sign, verify, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { ServiceError } from '@grpc/grpc-js';
import { enrollmentService, linkService, wire } from '@sallyport/contract';
import { EKU_AGENT_IDENTITY, EKU_AGENT_TRAIL, EKU_BUNDLE_SIGNING, LIMITS, unseal } from '@sallyport/core';
import { type BundleChunkKind, CHUNK_PARSERS, MASK_KEY_BOX } from '@sallyport/model';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Database } from '../db/database.ts';
import {
  callAs,
  changeTimes,
  type EnrolledAgent,
  enrollAgent,
  newAgentKey,
  TestLink,
} from '../testing/agent-client.ts';
import { startTestControlPlane, type TestControlPlane } from '../testing/control-plane.ts';
import { AgentStates } from './agent-states.ts';

let plane: TestControlPlane;
let root: string;
let agent: EnrolledAgent;
const links: TestLink[] = [];

const joinToken = async (name: string): Promise<string> => {
  const answer = await plane.call<{ joinToken: string; command: string }>('POST', '/v1/agents/join-tokens', {
    name,
    names: ['db.example.net', '10.0.0.7'],
  });
  expect(answer.status).toBe(201);
  expect(answer.body.command).toContain('/install-agent.sh');
  return answer.body.joinToken;
};
const enroll = async (name: string): Promise<EnrolledAgent> =>
  await enrollAgent(plane.controlPlane.ready.enroll, root, await joinToken(name));
const connect = (who: EnrolledAgent = agent): TestLink => {
  const link = new TestLink(plane.controlPlane.ready.link, root, who);
  links.push(link);
  return link;
};
const codeOf = (error: unknown): string => (error as ServiceError).details.split(':')[0]!;

beforeAll(async () => {
  plane = await startTestControlPlane();
  root = readFileSync(plane.controlPlane.ready.ca, 'utf8');
  await plane.call('POST', '/v1/credentials', { name: 'payments-app', kind: 'stored', username: 'app' });
  await plane.call('PUT', '/v1/credentials/payments-app/secret', { secret: 's3cret' });
  const resource = await plane.call('POST', '/v1/resources', {
    name: 'payments-db',
    type: 'postgres',
    labels: { env: 'prod' },
    postgres: { host: '127.0.0.1', port: 5432, databases: ['payments'], tls: 'disable', auth: ['scram-sha-256'] },
    credential: 'payments-app',
  });
  expect(resource.status, JSON.stringify(resource.body)).toBe(201);
  agent = await enroll('north');
});
afterAll(async () => {
  for (const link of links) link.close();
  await plane.stop();
});

test('an agent gets its certificates with the names of its record, not of its request', () => {
  const identity = new X509Certificate(agent.identity.identityChain ?? '');
  expect(identity.subjectAltName).toContain(`sallyport://agent/${agent.identity.agentId}`);
  expect(identity.keyUsage).toEqual(expect.arrayContaining([EKU_AGENT_IDENTITY, EKU_AGENT_TRAIL]));
  const listener = new X509Certificate(agent.identity.listenerChain ?? '');
  expect(listener.subjectAltName).toBe('DNS:db.example.net, IP Address:10.0.0.7');
  expect(agent.identity.root?.trim()).toBe(root.trim());
});

test('a fresh host gets the script and the program without a token, and nothing else of this machine', async () => {
  const script = await plane.call<string>('GET', '/install-agent.sh', undefined, '');
  expect(script.status).toBe(200);
  expect(String(script.body)).toMatch(/^#!\/bin\/sh/);
  for (const file of ['..%2Fpackage.json', '%2Fetc%2Fpasswd', 'main.d.ts', 'none.mjs']) {
    expect((await plane.call('GET', `/v1/agents/package/${file}`, undefined, '')).status).toBe(404);
  }
});

test('a join token works once, and every wrong one reads alike', async () => {
  const token = await joinToken('once');
  await enrollAgent(plane.controlPlane.ready.enroll, root, token);
  const again = await enrollAgent(plane.controlPlane.ready.enroll, root, token).catch(codeOf);
  const wrong = await enrollAgent(plane.controlPlane.ready.enroll, root, 'spj1.e30').catch(codeOf);
  expect([again, wrong]).toEqual(['enroll.failed', 'enroll.failed']);
});

test('a link without a client certificate, or with a listener’s, is refused', async () => {
  const bare = await callAs(plane.controlPlane.ready.link, root, undefined, linkService.renew, {
    csr: agent.keys.csr,
  }).catch((error: ServiceError) => error.code);
  expect(bare).toBe(14);
  const link = connect({
    ...agent,
    keys: agent.listener,
    identity: { ...agent.identity, identityChain: agent.identity.listenerChain! },
  });
  link.hello();
  await link.until(() => link.ended, 8_000);
  expect(link.received).toEqual([]);
});

test('the greeting brings a signed manifest whose chunks the agent’s own parsers accept, and sealed credentials', async () => {
  const link = connect();
  link.hello();
  const { signed, manifest, bodies } = await link.bundle();
  const leaf = new X509Certificate(signed.certificates![0]!);
  expect(leaf.keyUsage).toContain(EKU_BUNDLE_SIGNING);
  const issuer = new X509Certificate(signed.certificates![1]!);
  expect(leaf.verify(issuer.publicKey) && issuer.verify(new X509Certificate(root).publicKey)).toBe(true);
  expect(
    verify('sha256', signed.manifest!, { key: leaf.publicKey, dsaEncoding: 'ieee-p1363' }, signed.signature!),
  ).toBe(true);
  expect(manifest.agentId).toBe(agent.identity.agentId);
  for (const [name, body] of bodies) CHUNK_PARSERS[name.slice(0, name.indexOf('/')) as BundleChunkKind](body, name);
  expect([...bodies.keys()].filter((name) => name.startsWith('resource/'))).toHaveLength(1);
  const { credentials } = await link.last('credentials');
  const ids = credentials!.map(({ id }) => id);
  expect(ids).toContain(MASK_KEY_BOX);
  const box = credentials!.find(({ id }) => id !== MASK_KEY_BOX)!;
  expect(unseal(box.box!, agent.seal, `credential/${box.id}`).toString()).toBe('s3cret');
});

test('changes in REST are pushed to a connected agent', async () => {
  const link = connect();
  link.hello();
  await link.bundle();
  const times = await changeTimes(link, (name) => plane.call('POST', '/v1/groups', { name }));
  // Half of them: a busy machine may hold some up, and without the push three of four would take five seconds.
  expect(times[1]).toBeLessThan(1_000);
  expect(times.at(-1)).toBeLessThan(5_000);
});

test('a principal that is enabled again has its memberships at the agents without any other change', async () => {
  const link = connect();
  link.hello();
  const { body } = await plane.call<{ id: string }>('POST', '/v1/principals', { name: 'comes-back', kind: 'service' });
  await plane.call('POST', '/v1/groups', { name: 'of-comes-back' });
  await plane.call('PUT', '/v1/groups/of-comes-back/members/comes-back');
  const isMember = async (wanted: boolean): Promise<void> => {
    await expect
      .poll(
        async () => {
          const { bodies } = await link.bundle();
          return (bodies.get('group/of-comes-back')?.['members'] as string[] | undefined)?.includes(body.id);
        },
        { timeout: 15_000 },
      )
      .toBe(wanted);
  };
  await isMember(true);
  await plane.call('PATCH', '/v1/principals/comes-back', { disabled: true });
  await isMember(false);
  await plane.call('PATCH', '/v1/principals/comes-back', { disabled: false });
  await isMember(true);
});

test('of a change only the chunk that changed travels', async () => {
  const name = 'only-this';
  const link = connect();
  link.hello();
  const before = await link.bundle();
  expect((await plane.call('POST', '/v1/groups', { name })).status).toBe(201);
  const after = await link.bundleWith(`group/${name}`);
  expect(after.manifest.revision).toBeGreaterThan(before.manifest.revision!);
  expect(after.bodies.get(`group/${name}`)).toMatchObject({ name, members: [] });
  expect(link.received.filter((message) => message.chunk != null)).toHaveLength(before.bodies.size + 1);
});

test('an agent that has the revision in force is sent no manifest', async () => {
  const first = connect();
  first.hello();
  const { manifest } = await first.bundle();
  const second = connect();
  second.hello({ bundleEpoch: manifest.epoch!, bundleRevision: manifest.revision! });
  await second.last('credentials');
  expect(second.received.some((message) => message.manifest != null)).toBe(false);
});

test('a refused bundle is said aloud and an accepted one shows as in force', async () => {
  const link = connect();
  link.hello();
  const { manifest } = await link.bundle();
  link.send({
    bundle: {
      epoch: manifest.epoch!,
      revision: manifest.revision!,
      accepted: false,
      code: 'bundle.capability',
      reason: 'no warp drive',
    },
  });
  await expect
    .poll(async () => (await plane.call<{ bundle: { error: string } }>('GET', '/v1/agents/north')).body.bundle.error)
    .toContain('bundle.capability');
  link.send({ bundle: { epoch: manifest.epoch!, revision: manifest.revision!, accepted: true } });
  await expect
    .poll(async () => (await plane.call('GET', '/v1/agents/north')).body['bundle'])
    .toMatchObject({ current: true, error: null });
});

test('recover starts a new epoch that agents take although its revision is small', async () => {
  const link = connect();
  link.hello();
  const { manifest } = await link.bundle();
  const next = link.next('manifest');
  expect((await plane.call('POST', '/v1/bundles/recover')).status).toBe(200);
  await next;
  const after = await link.bundle();
  expect(after.manifest.epoch).toBe((manifest.epoch ?? 0) + 1);
  expect(after.manifest.revision).toBe(1);
});

test('an agent renews over its link, and recovers by proof of its key', async () => {
  const who = await enroll('renewing');
  const fresh = await newAgentKey();
  const listener = await newAgentKey();
  const renewed = await callAs(plane.controlPlane.ready.link, root, who, linkService.renew, {
    csr: fresh.csr,
    listenerCsr: listener.csr,
  });
  expect(new X509Certificate(renewed.identityChain ?? '').publicKey.equals(createPublicKey(fresh.key))).toBe(true);
  const agentId = who.identity.agentId ?? '';
  const signedAt = String(Date.now());
  const csr = fresh.csr;
  const digest = createHash('sha256')
    .update('sallyport/recover/1')
    .update(agentId)
    .update(signedAt)
    .update(csr)
    .digest();
  const certificate = new X509Certificate(who.identity.identityChain ?? '').raw;
  const recover = (key: Parameters<typeof sign>[2]) =>
    callAs(plane.controlPlane.ready.enroll, root, undefined, enrollmentService.recover, {
      agentId,
      csr,
      listenerCsr: listener.csr,
      certificate,
      signedAt,
      signature: sign('sha256', digest, { key, dsaEncoding: 'ieee-p1363' } as never),
    });
  expect((await recover(who.keys.key as never)).agentId).toBe(agentId);
  expect(await recover(fresh.key as never).catch(codeOf)).toBe('enroll.failed');
});

test('a revoked agent is cut at once and stays out', async () => {
  const who = await enroll('leaving');
  const link = connect(who);
  link.hello();
  await link.last('welcome');
  await plane.call('POST', '/v1/agents/leaving/revoke');
  const ended = await link.until(() => link.ended);
  expect(codeOf(ended)).toBe('auth.failed');
  const again = connect(who);
  again.hello();
  expect(codeOf(await again.until(() => again.ended))).toBe('auth.failed');
  expect(
    await callAs(plane.controlPlane.ready.link, root, who, linkService.renew, {
      csr: who.keys.csr,
      listenerCsr: who.keys.csr,
    }).catch(codeOf),
  ).toBe('auth.failed');
});

test('a name that joins again is another agent, and the former one is out', async () => {
  const first = await enroll('twice');
  const link = connect(first);
  link.hello();
  await link.last('welcome');
  const second = await enroll('twice');
  expect(second.identity.agentId).not.toBe(first.identity.agentId);
  await link.until(() => link.ended);
});

test('a large chunk travels in pieces far below the limit of a message, whole', { timeout: 60_000 }, async () => {
  const link = connect();
  link.hello();
  await link.bundle(30_000);
  const source =
    'kind: Policy\nname: large\nrules:\n  - name: rule\n    when: "true"\n    verdict: deny\n    message: x\n';
  const made = await plane.call<{ id: string }>('POST', '/v1/policies', { source });
  expect(made.status).toBe(201);
  const { client } = plane.controlPlane.app.get(Database, { strict: false });
  await client.$executeRaw`
    update policies set compiled = compiled || jsonb_build_object('rules', (
      select jsonb_agg(compiled->'rules'->0 || jsonb_build_object('name', 'rule-' || n, 'message', repeat('x', 2000)))
      from generate_series(1, 300) n)) where name = 'large'`;
  expect((await plane.call('POST', '/v1/groups', { name: 'after-large' })).status).toBe(201);
  await link.bundleWith('group/after-large', 30_000);
  const { bodies } = await link.bundle();
  expect(bodies.get(`policy/${made.body.id}`)!['rules']).toHaveLength(300);
  const parts = link.received.flatMap(({ chunk }) => (chunk == null ? [] : [chunk.part?.length ?? 0]));
  expect(parts.filter((length) => length === LIMITS.bundleChunkBytesMax).length).toBeGreaterThan(1);
  expect(Math.max(...parts)).toBeLessThanOrEqual(LIMITS.bundleChunkBytesMax);
  expect((await plane.call('DELETE', '/v1/policies/large')).status).toBeLessThan(300);
});

test('a group of 120,000 members reaches an agent in parts, and one that joins moves kilobytes', {
  timeout: 120_000,
}, async () => {
  const members = 120_000;
  const { client } = plane.controlPlane.app.get(Database, { strict: false });
  const { id: project } = await client.project.findFirstOrThrow();
  const group = (await plane.call<{ id: string }>('POST', '/v1/groups', { name: 'everybody' })).body.id;
  await client.$executeRaw`
    with made as (
      insert into principals (id, project_id, name, kind, updated_at)
      select gen_random_uuid(), ${project}::uuid, 'many-' || n, 'service', now() from generate_series(1, ${members}::int) n
      returning id)
    insert into memberships (project_id, group_id, principal_id) select ${project}::uuid, ${group}::uuid, id from made`;
  const link = connect();
  link.hello();
  await link.bundle(60_000);
  expect((await plane.call('POST', '/v1/groups', { name: 'after-everybody' })).status).toBe(201);
  const { bodies } = await link.bundleWith('group/after-everybody', 60_000);
  const read = [...bodies].flatMap(([name, body]) =>
    name.startsWith('members/') && name.endsWith('/everybody') ? (body['members'] as string[]) : [],
  );
  expect(new Set(read).size).toBe(members);
  // Somebody more.
  const one = await plane.call<{ id: string }>('POST', '/v1/principals', { name: 'one-more', kind: 'service' });
  const from = link.received.length;
  expect((await plane.call('PUT', '/v1/groups/everybody/members/one-more')).status).toBeLessThan(300);
  const isIn = (body: Record<string, unknown>): boolean =>
    (body['members'] as string[] | undefined)?.includes(one.body.id) === true;
  for (;;) {
    const bundle = await link.bundle(60_000);
    if ([...bundle.bodies.values()].some(isIn)) break;
    await link.next('manifest', 30_000);
  }
  const bytes = link.received
    .slice(from)
    .reduce((sum, message) => sum + wire.ControlMessage.encode(message).finish().length, 0);
  expect(bytes).toBeLessThan(200_000);
});

test('a state that cannot be compiled is said at the agents it does not reach', { timeout: 30_000 }, async () => {
  const who = await enroll('uncompiled');
  const link = connect(who);
  link.hello();
  await link.bundle();
  const { client } = plane.controlPlane.app.get(Database, { strict: false });
  const { id: project } = await client.project.findFirstOrThrow();
  const errorOf = async (): Promise<string | null> =>
    (await client.agent.findUniqueOrThrow({ where: { id: who.identity.agentId ?? '' } })).bundleError;
  const broken = '0190b3a4-0000-7000-8000-0000000000bd';
  await client.$executeRaw`
    insert into grants (id, project_id, name, group_name, resource, effects, roles, updated_at)
    values (${broken}::uuid, ${project}::uuid, 'broken', 'g', (select name from resources limit 1), '{fly}', '{}', now())`;
  await client.$executeRaw`
    insert into grants (id, project_id, name, group_name, labels, effects, roles, updated_at)
    values (gen_random_uuid(), ${project}::uuid, 'broken-too', 'g', '{}', '{fly}', '{}', now())`;
  expect((await plane.call('POST', '/v1/groups', { name: 'with-a-broken-grant' })).status).toBe(201);
  await expect.poll(errorOf, { timeout: 15_000 }).toMatch(/^bundle\.malformed: .*grant\//);
  await client.$executeRaw`delete from grants where name in ('broken', 'broken-too')`;
  expect((await plane.call('POST', '/v1/groups', { name: 'mended' })).status).toBe(201);
  await link.bundleWith('group/mended', 20_000);
  link.send({ bundle: { epoch: 1, revision: 1, accepted: true } });
  await expect.poll(errorOf, { timeout: 15_000 }).toBeNull();
});

test('what many agents say at once is written together: the last word of each, and nothing that was not said', async () => {
  const states = plane.controlPlane.app.get(AgentStates, { strict: false });
  const { client } = plane.controlPlane.app.get(Database, { strict: false });
  const ids = [(await enroll('says-yes')).identity.agentId!, (await enroll('says-no')).identity.agentId!];
  const seen = new Date(Date.now() - 1_000);
  await Promise.all([
    ...Array.from({ length: 40 }, (_, i) =>
      states.note(ids[i % 2]!, { bundleEpoch: 1, bundleRevision: i, bundleError: i % 2 === 0 ? null : `no ${i}` }),
    ),
    states.note(ids[0]!, { lastSeenAt: seen }),
    // One that is gone harms nobody.
    states.note('0190b3a4-0000-7000-8000-00000000dead', { bundleRevision: 1 }),
  ]);
  await states.note(ids[1]!, { bundleRevision: 50 });
  const rows = await client.agent.findMany({ where: { id: { in: ids } }, orderBy: { bundleRevision: 'asc' } });
  expect(rows).toMatchObject([
    { bundleEpoch: 1, bundleRevision: 38, bundleError: null, lastSeenAt: seen },
    { bundleEpoch: 1, bundleRevision: 50, bundleError: 'no 39' },
  ]);
});
