import { expect, test } from 'vitest';
import {
  authorityText,
  canonicalHost,
  interceptedHosts,
  isProxiedAt,
  proxyHosts,
  readAuthority,
} from './intercepted.ts';

test('a host has one spelling, and what is none has no spelling at all', () => {
  expect(canonicalHost('API.Example.COM.')).toBe('api.example.com');
  expect(canonicalHost('[0:0::1]')).toBe('::1');
  expect(canonicalHost('10.0.0.7')).toBe('10.0.0.7');
  for (const wrong of [
    '',
    '*.example.com',
    'a_b',
    'a:80',
    '127.1',
    '0x7f000001',
    '2130706433',
    '010.0.0.1',
    '1.2.3.400',
    'a..b',
    'a b',
    'é.example',
    `${'a'.repeat(64)}.x`,
    'x.0x1',
  ])
    expect(canonicalHost(wrong), wrong).toBeUndefined();
});

test('a host may have a port behind it, and is written as it is read', () => {
  for (const [text, written] of [
    ['API.Example.COM.', 'api.example.com'],
    ['Api.example.com:8443', 'api.example.com:8443'],
    ['0:0::1', '[::1]'],
    ['[0::1]:7', '[::1]:7'],
    ['10.0.0.7:80', '10.0.0.7:80'],
  ] as const) {
    const read = readAuthority(text)!;
    expect(authorityText(read)).toBe(written);
    expect(readAuthority(written)).toEqual(read);
  }
  for (const wrong of [
    'a:0',
    'a:65536',
    'a:',
    ':80',
    'a:80:80',
    '*.a:80',
    'https://a:80',
    '127.1:80',
    '[a]:80',
    'a:8 0',
  ])
    expect(readAuthority(wrong), wrong).toBeUndefined();
});

test('hosts of an issuer are those of TLS, those that are named, and nothing else', () => {
  const resources = [
    { name: 'a', http: { url: 'https://api.example.com/base' } },
    { name: 'b', http: { url: 'http://10.0.0.1:8080' } },
    { name: 'c', mcp: { url: 'http://127.0.0.1:9', hosts: ['Tools.Example.com', 'api.example.com'] } },
    { name: 'd' },
  ];
  expect(interceptedHosts(resources)).toEqual(['api.example.com', 'tools.example.com']);
  expect(resources.map(proxyHosts)).toEqual([
    ['api.example.com:443'],
    ['10.0.0.1:8080'],
    ['tools.example.com', 'api.example.com'],
    [],
  ]);
});

test('a resource is met at its own port, at the ports of the web by a name of its own, and at a port that is named alone', () => {
  const own = { name: 'a', http: { url: 'https://api.example.com/base' } };
  const named = {
    name: 'b',
    http: { url: 'http://127.0.0.1:9', hosts: ['Tools.example.com', 'x.example.com:8443', '[::1]:7', '::2'] },
  };
  const at = (resource: typeof own, host: string, ports: number[]) =>
    ports.map((port) => isProxiedAt(resource, host, port));
  expect(at(own, 'api.example.com', [443, 80, 8443])).toEqual([true, false, false]);
  expect(at(named, 'tools.example.com', [443, 80, 9, 8443])).toEqual([true, true, true, false]);
  expect(at(named, 'x.example.com', [443, 80, 9, 8443])).toEqual([false, false, false, true]);
  expect(at(named, '::1', [7, 443])).toEqual([true, false]);
  expect(at(named, '::2', [9, 443, 7])).toEqual([true, true, false]);
  expect(at(named, '127.0.0.1', [9])).toEqual([false]);
});
