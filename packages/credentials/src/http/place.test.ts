import { Secret } from '@sallyport/core';
import { expect, test } from 'vitest';
import { staticCredential } from './credential.ts';
import type { HeaderField, HttpForm } from './form.ts';

const put = (form: HttpForm, target = '/', headers: readonly HeaderField[] = [], secret = 's3cret', username = 'app') =>
  staticCredential(form, { username, secret: new Secret(secret) }, () => 0).into({
    method: 'GET',
    authority: 'api.example.com',
    target,
    headers,
    body: 'none',
  });

test('a secret stands where its form says, and what a client put there is gone', () => {
  const theirs = [
    ['authorization', 'Bearer theirs'],
    ['accept', '*/*'],
    ['authorization', 'Basic dGhlaXJz'],
  ] as const;
  expect(put({ as: 'bearer' }, '/', theirs).headers).toEqual([
    ['accept', '*/*'],
    ['authorization', 'Bearer s3cret'],
  ]);
  expect(put({ as: 'basic' }, '/', theirs).headers.at(-1)).toEqual([
    'authorization',
    `Basic ${Buffer.from('app:s3cret').toString('base64')}`,
  ]);
  const key = put({ as: 'header', name: 'x-key', prefix: 'Key ' }, '/', [['x-key', 'theirs']]);
  expect(key.headers).toEqual([['x-key', 'Key s3cret']]);
});

test('a query parameter in any spelling a service may read gives way', () => {
  const form = { as: 'query', name: 'api_key' } as const;
  expect(put(form, '/a', [], 'a b&c').target).toBe('/a?api_key=a%20b%26c');
  expect(put(form, '/a?x=1&y').target).toBe('/a?x=1&y&api_key=s3cret');
  for (const theirs of [
    'api_key=t',
    'api_key',
    'API_KEY=t',
    'api%5fkey=t',
    '%61pi_key=t',
    'api%255Fkey=t',
    'api_key[]=t',
    'api_key%5B%5D=t',
    'api_key[0]=t',
    'api_key.x=t',
    '+api_key=t',
    'api_key+=t',
    'api_key%00=t',
    'x=1;api_key=t',
    '%61%70%69%5f%6b%65%79=t',
  ])
    expect(put(form, `/a?q=1&${theirs}&api_key=u`).target, theirs).toBe('/a?q=1&api_key=s3cret');
  expect(put(form, '/a?my_api_key=t').target).toBe('/a?my_api_key=t&api_key=s3cret');
});

test('a cookie gives way, and the others stay', () => {
  const cookies = [
    ['cookie', 'a=1; sid=theirs; b=2'],
    ['cookie', 'SID=theirs, "sid"=x'],
  ] as const;
  expect(put({ as: 'cookie', name: 'sid' }, '/', cookies).headers).toEqual([['cookie', 'a=1; b=2; sid=s3cret']]);
});

test('a secret that does not fit its place is refused before a request is made', () => {
  const refused = (form: HttpForm, secret: string, username = 'app') =>
    expect(() => put(form, '/', [], secret, username)).toThrow(
      expect.objectContaining({ code: 'credential.unavailable' }),
    );
  refused({ as: 'bearer' }, 'a\r\nx: y');
  refused({ as: 'header', name: 'x' }, 'a\nb');
  refused({ as: 'bearer' }, 'a\0b');
  refused({ as: 'bearer' }, '\u2713');
  refused({ as: 'cookie', name: 'sid' }, 'a; b');
  refused({ as: 'basic' }, 'x', 'a:b');
  refused({ as: 'bearer' }, '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----');
  refused({ as: 'sigv4', region: 'r', service: 's' }, 'x y', 'AKIDEXAMPLEAKIDEX');
  refused({ as: 'sigv4', region: 'r', service: 's' }, 'x', 'someone');
});
