import { parseResource } from '@sallyport/model';
import { expect, test } from 'vitest';
import { ResourceDocument, specOf } from './resource-document.ts';

const document = { name: 'payments-db', type: 'postgres', postgres: { host: 'db.internal' } };

test('limits of a session are durations, and left out where there are none', () => {
  const limited = specOf(ResourceDocument.parse({ ...document, idleMsMax: '30m', sessionMsMax: '12h' }));
  expect(limited).toMatchObject({ idleMsMax: 1_800_000, sessionMsMax: 43_200_000 });
  const free = specOf(ResourceDocument.parse({ ...document, idleMsMax: null }));
  expect(Object.keys(free)).not.toEqual(expect.arrayContaining(['idleMsMax']));
  expect(Object.keys(free)).not.toEqual(expect.arrayContaining(['sessionMsMax']));
});

test('a limit that would end every session at once, or that no timer can wait for, is refused', () => {
  for (const value of ['0s', 999, '25d']) {
    expect(ResourceDocument.safeParse({ ...document, idleMsMax: value }).success).toBe(false);
    expect(ResourceDocument.safeParse({ ...document, sessionMsMax: value }).success).toBe(false);
  }
});

const HOST_KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIL31pHrCRCWh2f57RQ5UlfqXN9+1xjsQLjp5UCMBOTZ6';
const host = { name: 'web-1', type: 'ssh', ssh: { host: 'web.internal', logins: ['deploy'], hostKeys: [HOST_KEY] } };
const wrongOf = (value: object): string[] =>
  (ResourceDocument.safeParse(value).error?.issues ?? []).map(({ path }) => path.join('.'));

test('an SSH host has its block and no other, with what agents can read', () => {
  expect(wrongOf(host)).toEqual([]);
  const spec = specOf(ResourceDocument.parse(host));
  const resource = {
    ...spec,
    id: 'r',
    projectId: 'p',
    name: 'web-1',
    kind: 'ssh',
    labels: {},
    credential: { kind: 'none', username: '' },
  };
  expect(parseResource(JSON.parse(JSON.stringify(resource)), '').ssh).toMatchObject({ port: 22, shell: 'recorded' });
  expect(wrongOf({ ...host, postgres: { host: 'db' } })).toEqual(['postgres']);
  expect(wrongOf({ ...document, ssh: host.ssh })).toEqual(['ssh']);
  expect(wrongOf({ ...host, ssh: undefined })).toEqual(['ssh']);
});

test('a host that proves nothing, and names that are no names, are refused', () => {
  const wrong = (ssh: object): string[] => wrongOf({ ...host, ssh: { ...host.ssh, ...ssh } });
  expect(wrong({ hostKeys: [] })).toEqual(['ssh.hostKeys']);
  expect(wrong({ hostKeys: [], acceptNewHostKey: true })).toEqual([]);
  expect(wrong({ hostKeys: ['ssh-rsa AAAA'] })).toEqual(['ssh.hostKeys.0']);
  expect(wrong({ logins: [] })).toEqual(['ssh.logins']);
  expect(wrong({ logins: ['-oProxyCommand=id'] })).toEqual(['ssh.logins.0']);
  expect(wrong({ env: ['LD_*PRELOAD'] })).toEqual(['ssh.env.0']);
});
