/** One key of masks by hash for all agents of a project, another for another project, and none of it at rest in clear. */
import { readFileSync } from 'node:fs';
import { unseal } from '@sallyport/core';
import { MASK_KEY_BOX } from '@sallyport/model';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Database } from '../db/database.ts';
import { enrollAgent, TestLink } from '../testing/agent-client.ts';
import { startTestControlPlane, type TestControlPlane } from '../testing/control-plane.ts';
import { addProject } from '../testing/second-project.ts';

let plane: TestControlPlane;
const links: TestLink[] = [];
beforeAll(async () => {
  plane = await startTestControlPlane();
});
afterAll(async () => {
  for (const link of links) link.close();
  await plane.stop();
});

/** The key as the agent of that name gets it, hex. */
async function keyAt(name: string, token?: string): Promise<string> {
  const root = readFileSync(plane.controlPlane.ready.ca, 'utf8');
  const join = await plane.call<{ joinToken: string }>('POST', '/v1/agents/join-tokens', { name }, token);
  const agent = await enrollAgent(plane.controlPlane.ready.enroll, root, join.body.joinToken);
  const link = new TestLink(plane.controlPlane.ready.link, root, agent);
  links.push(link);
  const arrived = link.next('credentials');
  link.hello({ instance: name, chainEpoch: Math.floor(Date.now() / 1000) });
  const box = (await arrived)?.credentials?.find(({ id }) => id === MASK_KEY_BOX)?.box;
  return Buffer.from(unseal(box!, agent.seal, `credential/${MASK_KEY_BOX}`)).toString('hex');
}

test('agents of a project have one key, those of another project another, and the database shows none', async () => {
  const [north, south] = [await keyAt('north'), await keyAt('south')];
  expect(north).toHaveLength(64);
  expect(south).toBe(north);
  const blue = await addProject(plane, 'blue');
  const other = await keyAt('west', blue.token);
  expect(other).toHaveLength(64);
  expect(other).not.toBe(north);
  const { client } = plane.controlPlane.app.get(Database, { strict: false });
  const rows = JSON.stringify(await client.$queryRaw`select p::text as row from projects p`);
  expect(rows).not.toContain(north);
  // Making it is no change of an administrator's.
  const acts = await client.controlAct.findMany({ select: { detail: true } });
  expect(JSON.stringify(acts)).not.toContain('maskKey');
});
