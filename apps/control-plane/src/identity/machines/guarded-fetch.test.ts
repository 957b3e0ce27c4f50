/** What a fetch of an issuer's keys may not be talked into. */
import { createServer, type Server } from 'node:http';
import { type AddressInfo, BlockList } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DOCUMENT_BYTES_MAX, fetchJson, isAllowedAddress, whyNotFetched } from './guarded-fetch.ts';

let server: Server;
const url = (path: string): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`;
beforeAll(async () => {
  server = createServer((request, response) => {
    switch (request.url) {
      case '/redirect':
        return response.writeHead(302, { location: url('/good') }).end();
      case '/large':
        return response.end(JSON.stringify('x'.repeat(DOCUMENT_BYTES_MAX)));
      case '/text':
        return response.end('<html>');
      case '/slow':
        return response.write('{');
      default:
        return response.end('{"good":true}');
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

test.each([
  '127.0.0.1',
  '127.8.8.8',
  '::1',
  '0.0.0.0',
  '::',
  '169.254.169.254',
  'fe80::1',
  '::ffff:127.0.0.1',
  '::ffff:7f00:1',
  '::ffff:169.254.169.254',
  '64:ff9b::a9fe:a9fe',
  '2002:7f00:1::',
  'fd00:ec2::254',
  '224.0.0.1',
  'localhost',
  '',
])('%s is not asked', (address) => {
  expect(isAllowedAddress(address, false)).toBe(false);
});

test('private networks are asked, since clusters live there, and loopback only by its setting', () => {
  for (const address of ['10.0.0.1', '192.168.1.1', '8.8.8.8', 'fd12::1', '2a00::1'])
    expect(isAllowedAddress(address, false), address).toBe(true);
  expect(isAllowedAddress('127.0.0.1', true)).toBe(true);
  expect(isAllowedAddress('169.254.169.254', true)).toBe(false);
});

test('where networks are named, no other private address is asked, however it is written', () => {
  const networks = new BlockList();
  networks.addSubnet('10.20.0.0', 16, 'ipv4');
  networks.addSubnet('fd12:3456::', 32, 'ipv6');
  for (const address of ['10.20.3.4', '::ffff:10.20.3.4', 'fd12:3456::9', '8.8.8.8', '2a00::1'])
    expect(isAllowedAddress(address, false, networks), address).toBe(true);
  for (const address of ['10.21.0.1', '192.168.1.1', '::ffff:10.21.0.1', '64:ff9b::10.21.0.1', 'fd13::1', '127.0.0.1'])
    expect(isAllowedAddress(address, false, networks), address).toBe(false);
  expect(whyNotFetched('https://10.21.0.1/x', true, networks)).toBeDefined();
  expect(whyNotFetched('https://10.20.0.1/x', false, networks)).toBeUndefined();
});

test.each([
  'http://issuer.example',
  'ftp://issuer.example',
  'https://u:p@issuer.example',
  'https://127.0.0.1',
  'https://[::1]/x',
  'https://2130706433/',
  'nonsense',
  'file:///etc/passwd',
])('%s is refused as it is written', (text) => {
  expect(whyNotFetched(text, false)).toBeDefined();
});

test('a name that leads to this host is refused where it is looked up', async () => {
  await expect(fetchJson('https://localhost:1/x', { ca: undefined, loopback: false })).rejects.toMatchObject({
    code: 'issuer.unavailable',
    detail: { reason: expect.stringContaining('not asked') },
  });
});

test.each(['/redirect', '/large', '/text'])('%s is no document', async (path) => {
  await expect(fetchJson(url(path), { ca: undefined, loopback: true })).rejects.toMatchObject({
    code: 'issuer.unavailable',
  });
});

test('a document is read, and one that never ends is given up', async () => {
  expect(await fetchJson(url('/good'), { ca: undefined, loopback: true })).toEqual({ good: true });
  await expect(fetchJson(url('/slow'), { ca: undefined, loopback: true })).rejects.toMatchObject({
    code: 'issuer.unavailable',
  });
}, 20_000);
