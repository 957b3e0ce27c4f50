import { expect, test } from 'vitest';
import { networkOf } from './network.ts';

test.each([
  ['127.0.0.1', '127.0.0.1'],
  ['ipv4:10.0.0.7', '10.0.0.7'],
  ['::ffff:10.0.0.7', '10.0.0.7'],
  ['::1', '0:0:0:0::/64'],
  ['2001:db8::1', '2001:db8:0:0::/64'],
  ['2001:0DB8:0:0:1:2:3:4', '2001:db8:0:0::/64'],
  ['2001:db8:1:2::', '2001:db8:1:2::/64'],
  ['2001:db8:1:2:ffff::9', '2001:db8:1:2::/64'],
  ['1::2:3:4:5:6:7', '1:0:2:3::/64'],
  ['64:ff9b::10.0.0.7', '64:ff9b:0:0::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ['ipv6:[2001:db8::7]', '2001:db8:0:0::/64'],
])('%s counts as %s', (address, network) => {
  expect(networkOf(address)).toBe(network);
});

test('what is no address counts as itself, in bounds', () => {
  expect(networkOf('unix:')).toBe('unix:');
  expect(networkOf('x'.repeat(500))).toHaveLength(64);
});
