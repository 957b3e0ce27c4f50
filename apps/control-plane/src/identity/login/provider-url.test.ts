/** Where nothing is asked, by the address alone; provider-reach.test.ts shows what names lead to. */
import { BlockList } from 'node:net';
import { describe, expect, test } from 'vitest';
import { ProviderHttp } from './provider-fetch.ts';

const everywhere = new ProviderHttp({ loopback: true });
const networks = new BlockList();
networks.addSubnet('10.20.0.0', 16);
const projects = new ProviderHttp({ loopback: false, networks });

const refused = (text: string, said?: string, http = everywhere) =>
  expect(() => http.requireUrl(text, said === undefined ? undefined : new URL(said))).toThrow(
    expect.objectContaining({ code: 'auth.provider_unavailable' }),
  );

test.each([
  'https://idp.example/keys',
  'https://10.0.0.7/keys',
  'https://127.0.0.1/keys',
  'http://127.0.0.1:8080/keys',
  'http://localhost:8080/keys',
])('a provider is asked at %s', (text) => {
  expect(everywhere.requireUrl(text).href).toBe(text);
});

test.each([
  'http://idp.example/keys',
  'http://10.0.0.7/keys',
  'https://169.254.169.254/latest/meta-data',
  'https://[fd00:ec2::254]/latest/meta-data',
  'https://[::ffff:169.254.169.254]/latest/meta-data',
  'https://0.0.0.0/keys',
  'https://user:secret@idp.example/keys',
  'file:///etc/passwd',
  'no address',
])('nothing is asked at %s', (text) => {
  refused(text);
  refused(text, undefined, projects);
});

test.each(['https://idp.example/keys', 'https://10.20.0.7/keys', 'https://[::ffff:10.20.0.7]/keys'])(
  'a provider of another project is asked at %s',
  (text) => {
    expect(projects.whyNot(text)).toBeUndefined();
  },
);

test.each([
  'http://127.0.0.1:8080/keys',
  'http://localhost:8080/keys',
  'https://127.0.0.1/keys',
  'https://127.8.9.1/keys',
  'https://2130706433/keys',
  'https://[::1]/keys',
  'https://[::ffff:127.0.0.1]/keys',
  'https://10.21.0.7/keys',
  'https://192.168.1.1/keys',
  'https://[fd12::1]/keys',
])('a provider of another project is not asked at %s', (text) => refused(text, undefined, projects));

describe('what a provider says of its endpoints', () => {
  test.each([
    'http://127.0.0.1:9/token',
    'https://127.0.0.1:9/token',
    'https://[::1]:9/token',
    'http://localhost:9/token',
  ])('leads nobody from elsewhere to this host: %s', (text) => {
    refused(text, 'https://idp.example/');
    refused(text, 'https://idp.example/', projects);
    expect(everywhere.requireUrl(text, new URL('http://127.0.0.1:8080/')).href).toBe(text);
  });

  test('may name other hosts', () => {
    const said = new URL('https://idp.example/');
    expect(everywhere.requireUrl('https://keys.example/', said).hostname).toBe('keys.example');
  });
});
