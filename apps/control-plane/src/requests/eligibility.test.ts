import { expect, test } from 'vitest';
import { AccessPolicyDocument } from './access-policy.ts';
import { covers, mayAsk, problemsOf } from './eligibility.ts';

const policy = (more: object = {}) =>
  AccessPolicyDocument.parse({
    name: 'prod',
    requesters: { groups: ['developers'], kinds: ['person', 'ai_agent'] },
    resources: { labels: { env: 'prod' } },
    effects: ['read', 'write'],
    durationMax: '2h',
    approve: { groups: ['dba'] },
    ...more,
  });
const who = (kind: 'person' | 'service' | 'ai_agent', ...groups: string[]) => ({
  id: '1',
  name: 'carla',
  kind,
  groups: new Set(groups),
});
const wish = (more: object = {}) => ({
  effects: ['read' as const],
  roles: [],
  durationMs: 3_600_000,
  startsInMs: 0,
  ticket: undefined,
  ...more,
});

test('requesters must fit every part that is given', () => {
  expect(mayAsk(policy(), who('person', 'developers'))).toBe(true);
  expect(mayAsk(policy(), who('service', 'developers'))).toBe(false);
  expect(mayAsk(policy(), who('person', 'analysts'))).toBe(false);
  expect(mayAsk(policy({ requesters: {} }), who('service'))).toBe(true);
  expect(mayAsk(policy({ requesters: { principals: ['carla'] } }), who('person'))).toBe(true);
  expect(mayAsk(policy({ requesters: { principals: ['ben'] } }), who('person'))).toBe(false);
});

test('labels that are asked for must reach nothing that the policy does not', () => {
  const prod = policy();
  const labels = (some: Record<string, string>) => ({ resource: undefined, labels: some });
  expect(covers(prod, labels({ env: 'prod', team: 'pay' }))).toBe(true);
  expect(covers(prod, labels({ team: 'pay' }))).toBe(false);
  expect(covers(prod, labels({}))).toBe(false);
  expect(covers(policy({ resources: { names: ['db'] } }), labels({ env: 'prod' }))).toBe(false);
  expect(covers(policy({ resources: {} }), labels({ team: 'pay' }))).toBe(true);
  const resource = (name: string, some: Record<string, string>) => ({
    resource: { name, labels: some },
    labels: undefined,
  });
  expect(covers(prod, resource('db', { env: 'prod' }))).toBe(true);
  expect(covers(prod, resource('db', { env: 'dev' }))).toBe(false);
  expect(covers(policy({ resources: { names: ['db'] } }), resource('other', {}))).toBe(false);
  expect(covers(policy({ resources: {} }), { resource: undefined, labels: undefined })).toBe(false);
});

test('more than the policy gives is named, field by field', () => {
  const fields = (more: object, document = policy()) => problemsOf(document, wish(more)).map((one) => one.field);
  expect(fields({})).toEqual([]);
  expect(fields({ effects: ['read', 'ddl'] })).toEqual(['effects']);
  expect(fields({ roles: ['dba'] })).toEqual(['roles']);
  expect(fields({ durationMs: 7_200_001 })).toEqual(['duration']);
  expect(fields({ startsInMs: 90_000_000 })).toEqual(['startAt']);
  expect(fields({}, policy({ ticket: { required: true } }))).toEqual(['ticket']);
  const ops = policy({ ticket: { required: true, pattern: 'OPS-[0-9]+' } });
  expect(fields({ ticket: 'OPS-12' }, ops)).toEqual([]);
  expect(fields({ ticket: 'x OPS-12' }, ops)).toEqual(['ticket']);
  expect(fields({ ticket: `OPS-1\n` }, ops)).toEqual(['ticket']);
});

test('a policy with an empty list, which would match nobody or nothing, is refused and says so', () => {
  const valid = { name: 'p', requesters: {}, resources: {}, effects: ['read'], approve: {} };
  for (const part of [
    { requesters: { groups: [] } },
    { requesters: { principals: [] } },
    { requesters: { kinds: [] } },
    { resources: { names: [] } },
  ]) {
    const { error } = AccessPolicyDocument.safeParse({ ...valid, ...part });
    expect(error?.issues.map(({ code }) => code)).toEqual(['too_small']);
    expect(error?.issues[0]?.path).toEqual(
      Object.entries(part).flatMap(([key, value]) => [key, ...Object.keys(value)]),
    );
  }
});

test('a policy that nobody could answer, a bad pattern and an unknown field are refused', () => {
  const valid = { name: 'p', requesters: {}, resources: {}, effects: ['read'] };
  expect(AccessPolicyDocument.safeParse(valid).success).toBe(false);
  expect(AccessPolicyDocument.safeParse({ ...valid, approve: {} }).success).toBe(true);
  expect(AccessPolicyDocument.safeParse({ ...valid, approve: {}, more: 1 }).success).toBe(false);
  expect(AccessPolicyDocument.safeParse({ ...valid, approve: {}, ticket: { pattern: '(a' } }).success).toBe(false);
  expect(AccessPolicyDocument.safeParse({ ...valid, approve: { count: 0 } }).success).toBe(false);
  expect(AccessPolicyDocument.safeParse({ ...valid, approve: {}, durationMax: '400d' }).success).toBe(false);
});
