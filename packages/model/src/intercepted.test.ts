import { expect, test } from 'vitest';
import { canonicalHost, interceptedHosts, proxyHosts, proxyPorts } from './intercepted.ts';

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

test('hosts of an issuer are those of TLS, those that are named, and nothing else', () => {
  const resources = [
    { name: 'a', http: { url: 'https://api.example.com/base' } },
    { name: 'b', http: { url: 'http://10.0.0.1:8080' } },
    { name: 'c', mcp: { url: 'http://127.0.0.1:9', hosts: ['Tools.Example.com', 'api.example.com'] } },
    { name: 'd' },
  ];
  expect(interceptedHosts(resources)).toEqual(['api.example.com', 'tools.example.com']);
  expect(proxyHosts(resources[1]!)).toEqual(['10.0.0.1']);
  expect(proxyPorts(resources[1]!)).toEqual([8080]);
  expect(proxyPorts(resources[0]!)).toEqual([443]);
  expect(proxyPorts(resources[2]!)).toEqual([9, 443, 80]);
});
