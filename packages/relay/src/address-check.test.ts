import type net from 'node:net';
import { describe, expect, test } from 'vitest';
import { isForbidden, pinnedAddress } from './address-check.ts';
import type { WebTarget } from './web-target.ts';

describe('addresses behind which no service of a resource is', () => {
  test.each([
    '127.0.0.1',
    '127.255.0.9',
    '::1',
    '0.0.0.0',
    '0.1.2.3',
    '::',
    '169.254.169.254',
    '169.254.0.1',
    'fe80::1',
    'fe80::1%eth0',
    '224.0.0.1',
    '255.255.255.255',
    'ff02::1',
    '100.100.100.200',
    'fd00:ec2::254',
    '::ffff:127.0.0.1',
    '::ffff:7f00:1',
    '::ffff:169.254.169.254',
    '::127.0.0.1',
    '64:ff9b::169.254.169.254',
    '64:ff9b::a9fe:a9fe',
    '2002:7f00:1::',
    '2002:a9fe:a9fe::1',
    'localhost',
    '',
  ])('%s', (address) => {
    expect(isForbidden(address, false)).toBe(true);
  });

  test.each([
    '10.0.0.1',
    '192.168.1.1',
    '172.16.0.9',
    '93.184.216.34',
    'fd12:3456::1',
    '2606:4700::1111',
    '::ffff:10.0.0.1',
  ])('%s may be dialled', (address) => {
    expect(isForbidden(address, false)).toBe(false);
  });

  test('loopback may be meant, metadata never by a name', () => {
    expect(isForbidden('127.0.0.1', true)).toBe(false);
    expect(isForbidden('::1', true)).toBe(false);
    expect(isForbidden('::ffff:127.0.0.1', true)).toBe(false);
    expect(isForbidden('169.254.169.254', true)).toBe(true);
  });
});

describe('what is dialled', () => {
  const target = (host: string, loopback = false): WebTarget => ({
    host,
    port: 443,
    secure: true,
    tls: 'verify-full',
    ca: undefined,
    serverName: undefined,
    loopback,
  });
  const lookup = (host: string, loopback: boolean): Promise<string> =>
    new Promise((resolve, reject) => {
      const options = pinnedAddress(target(host, loopback)) as net.TcpNetConnectOpts;
      options.lookup?.(host, { all: false }, (error, address) =>
        error === null ? resolve(typeof address === 'string' ? address : '') : reject(error),
      );
    });

  test('an address in the resource itself is meant', () => {
    expect(pinnedAddress(target('127.0.0.1'))).toEqual({ host: '127.0.0.1', port: 443 });
  });

  test('a name that resolves to loopback is refused, unless the resource says that it may', async () => {
    await expect(lookup('localhost', false)).rejects.toMatchObject({ code: 'upstream.unreachable' });
    expect(['127.0.0.1', '::1']).toContain(await lookup('localhost', true));
  });
});
