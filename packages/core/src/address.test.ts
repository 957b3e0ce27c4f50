import { expect, test } from 'vitest';
import { addressKind } from './address.ts';

test.each([
  ['loopback', '127.0.0.1 127.255.0.9 ::1 ::ffff:127.0.0.1 ::ffff:7f00:1 ::127.0.0.1 2002:7f00:1:: 64:ff9b::127.0.0.1'],
  ['nowhere', '0.0.0.0 0.1.2.3 :: 224.0.0.1 255.255.255.255 ff02::1 ::ffff:0.0.0.0 localhost 127.1 1.2.3 [::1]'],
  [
    'metadata',
    '169.254.169.254 169.254.0.1 fe80::1 fe80::1%eth0 100.100.100.200 192.0.0.192 fd00:ec2::254 ::ffff:169.254.169.254 64:ff9b::a9fe:a9fe 2002:a9fe:a9fe::1',
  ],
  ['private', '10.0.0.1 192.168.1.1 172.16.0.9 172.31.255.255 100.64.0.1 fd12:3456::1 ::ffff:10.0.0.1'],
  ['public', '93.184.216.34 172.32.0.1 2606:4700::1111 64:ff9b::5db8:d822 2002:5db8:d822::1'],
])('%s: %s', (kind, addresses) => {
  for (const address of addresses.split(' ')) expect(addressKind(address), address).toBe(kind);
});

test('no text at all is nowhere', () => {
  expect(addressKind('')).toBe('nowhere');
});
