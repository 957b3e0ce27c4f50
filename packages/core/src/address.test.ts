import { isIP } from 'node:net';
import { expect, test } from 'vitest';
import { addressKind } from './address.ts';

test.each([
  ['loopback', '127.0.0.1 127.255.0.9 ::1 ::ffff:127.0.0.1 ::ffff:7f00:1 ::127.0.0.1 2002:7f00:1:: 64:ff9b::127.0.0.1'],
  [
    'nowhere',
    '0.0.0.0 0.1.2.3 :: 224.0.0.1 255.255.255.255 ff02::1 ::ffff:0.0.0.0 localhost 127.1 1.2.3 0x7f.0.0.1 127.0.0.01 1.2.3.256 [::1] 1::2::3 1:2:3:4:5:6:7 1:2:3:4:5:6:7:8:9 ::12345 ::1.2.3 :::',
  ],
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

test('every address that Node reads is read, and no other', () => {
  const pieces = ['', '0', '1', 'ffff', '12345', 'g', '1.2.3.4', '256.1.1.1', ':', '::'];
  let seed = 1;
  const next = (max: number): number => (seed = (seed * 48_271) % 2_147_483_647) % max;
  for (let round = 0; round < 20_000; round++) {
    const text = Array.from({ length: 1 + next(9) }, () => pieces[next(pieces.length)]).join(next(3) === 0 ? '' : ':');
    if (isIP(text) === 0) expect(addressKind(text), text).toBe('nowhere');
    else if (/^[1-9a-f]/.test(text) && !text.startsWith('ffff')) expect(addressKind(text), text).not.toBe('nowhere');
  }
});
