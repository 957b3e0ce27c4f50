/** People, groups, a resource and a policy for tests of access requests; each person with a token. */
import type { Answer, TestControlPlane } from './control-plane.ts';

export interface Town {
  readonly ids: Readonly<Record<string, string>>;
  as<T = Record<string, unknown>>(who: string, method: string, path: string, body?: unknown): Promise<Answer<T>>;
  policy(name: string, more: object): Promise<void>;
}

export interface Person {
  readonly name: string;
  readonly kind?: 'person' | 'ai_agent' | 'service';
  readonly roles?: readonly string[];
  readonly groups: readonly string[];
  readonly email?: string;
  /** Of whom it is a second account, as an administrator has said. */
  readonly sameAs?: string;
}

export const PEOPLE: readonly Person[] = [
  { name: 'ana', roles: ['member', 'approver'], groups: ['dba', 'security'], email: 'ana@corp.example' },
  { name: 'ben', roles: ['member', 'approver'], groups: ['dba'], email: 'ben@corp.example' },
  { name: 'sue', roles: ['member', 'approver'], groups: ['security'] },
  { name: 'carla', groups: ['developers'], email: 'carla@corp.example' },
  { name: 'dora', roles: ['member', 'approver'], groups: ['developers', 'dba'] },
  { name: 'dora-too', roles: ['member', 'approver'], groups: ['dba'], sameAs: 'dora' },
  { name: 'drone', kind: 'ai_agent', groups: ['developers'] },
  { name: 'bot', kind: 'ai_agent', roles: ['member', 'approver'], groups: ['developers', 'dba'] },
];

export async function settle(plane: TestControlPlane, people: readonly Person[] = PEOPLE): Promise<Town> {
  const ids: Record<string, string> = {};
  const tokens: Record<string, string> = {};
  const made = async (path: string, body: object): Promise<Record<string, unknown>> => {
    const answer = await plane.call('POST', path, body);
    if (answer.status !== 201) throw new Error(`${path}: ${JSON.stringify(answer.body)}`);
    return answer.body;
  };
  for (const group of new Set(people.flatMap((one) => one.groups))) await made('/v1/groups', { name: group });
  for (const { name, kind = 'person', roles = ['member'], groups, email, sameAs } of people) {
    ids[name] = String(
      (await made('/v1/principals', { name, kind, roles, ...(email === undefined ? {} : { email }) }))['id'],
    );
    if (sameAs !== undefined) await plane.call('PATCH', `/v1/principals/${name}`, { sameAs });
    for (const group of groups) await plane.call('PUT', `/v1/groups/${group}/members/${name}`);
    tokens[name] = String((await made(`/v1/principals/${name}/tokens`, { name: 'test' }))['token']);
  }
  for (const [name, env] of [
    ['orders', 'prod'],
    ['sandbox', 'dev'],
  ])
    await made('/v1/resources', { name, type: 'postgres', labels: { env }, postgres: { host: 'db.internal' } });
  return {
    ids,
    as: (who, method, path, body) => plane.call(method, path, body, tokens[who]),
    policy: async (name, more) => {
      await made('/v1/access-policies', {
        name,
        requesters: { groups: ['developers'] },
        resources: { names: ['orders'] },
        effects: ['read', 'write'],
        durationMax: '2h',
        approve: { groups: ['dba'] },
        ...more,
      });
    },
  };
}
