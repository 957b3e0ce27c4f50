import { expect, test } from 'vitest';
import { canonicalHost } from './classify.ts';

test.each([
  ['127.0.0.1', '127.0.0.1'],
  ['127.1', '127.0.0.1'],
  ['0x7f000001', '127.0.0.1'],
  ['2130706433', '127.0.0.1'],
  ['0177.0.0.1', '127.0.0.1'],
  ['127.0.0.1.', '127.0.0.1'],
  ['::ffff:127.0.0.1', '127.0.0.1'],
  ['[::ffff:7f00:1]', '127.0.0.1'],
  ['::FFFF:a9fe:a9fe', '169.254.169.254'],
  ['0:0:0:0:0:0:0:1', '::1'],
  ['LocalHost.', 'localhost'],
  ['db_1.Internal', 'db_1.internal'],
  ['10.0.0.5', '10.0.0.5'],
])('an address has one spelling for rules: %s is %s', (spelled, expected) => {
  expect(canonicalHost(spelled)).toBe(expected);
});

test.each(['', 'a b', 'x@127.0.0.1', '127.0.0.1/x', '127.0.0.1:80', 'fe80::1%eth0', '::ffff:1.2.3.4.5'])(
  'what is no address stays as it came: %j',
  (spelled) => {
    expect(canonicalHost(spelled)).toBe(spelled);
  },
);
