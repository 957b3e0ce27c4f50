/** The schema's own law: everything belongs to a project (DESIGN section 4). */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';

const SCHEMA = readFileSync(path.join(import.meta.dirname, '../../prisma/schema.prisma'), 'utf8');
const MODELS = [...SCHEMA.matchAll(/^model (\w+) \{\n([\s\S]*?)^\}/gm)].map(([, name, body]) => ({
  name: name!,
  body: body!,
}));

/** Unique without a project, each with its reason: digests of random secrets, or under an id that is unique by itself. */
const GLOBAL = [
  'ApiToken.hash',
  'BootstrapLink.hash',
  'ClientKey.principalId, kid',
  'ClientSecret.hash',
  'JoinToken.hash',
  'LocalAccount.principalId',
  'LoginAttempt.secretHash',
  'LoginAttempt.userCode',
  'Passkey.credentialId',
  'Project.name',
  'TrailChain.agentId, instance, epoch',
];

test('every table but the projects’ own, and the installation’s master keys, carries the project', () => {
  expect(MODELS.length).toBeGreaterThan(25);
  expect(MODELS.filter(({ body }) => !/^ {2}projectId\s+String /m.test(body)).map(({ name }) => name)).toEqual([
    'Project',
    'WrappedKey',
    'MasterKey',
  ]);
});

test('names are unique within a project, and what is unique beyond it stands in a list', () => {
  const keys = MODELS.flatMap(({ name, body }) =>
    [...body.matchAll(/@@unique\(\[(.*?)\]|^\s+(\w+)\s+.*@unique/gm)].map((found) => ({
      name,
      key: found[1] ?? found[2]!,
    })),
  );
  const beyond = keys.filter(({ key }) => !key.startsWith('projectId')).map(({ name, key }) => `${name}.${key}`);
  expect(beyond.toSorted()).toEqual(GLOBAL.toSorted());
});
