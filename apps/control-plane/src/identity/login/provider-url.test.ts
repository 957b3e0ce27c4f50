import { describe, expect, test } from 'vitest';
import { requireProviderUrl } from './provider-fetch.ts';

const refused = (text: string, said?: string) =>
  expect(() => requireProviderUrl(text, said === undefined ? undefined : new URL(said))).toThrow(
    expect.objectContaining({ code: 'auth.provider_unavailable' }),
  );

test.each([
  'https://idp.example/keys',
  'https://10.0.0.7/keys',
  'http://127.0.0.1:8080/keys',
  'http://localhost:8080/keys',
])('a provider is asked at %s', (text) => {
  expect(requireProviderUrl(text).href).toBe(text);
});

test.each([
  'http://idp.example/keys',
  'http://10.0.0.7/keys',
  'https://169.254.169.254/latest/meta-data',
  'https://[fd00:ec2::254]/latest/meta-data',
  'https://user:secret@idp.example/keys',
  'file:///etc/passwd',
  'no address',
])('nothing is asked at %s', (text) => refused(text));

describe('what a provider says of its endpoints', () => {
  test.each([
    'http://127.0.0.1:9/token',
    'https://127.0.0.1:9/token',
    'https://[::1]:9/token',
    'http://localhost:9/token',
  ])('leads nobody from elsewhere to this host: %s', (text) => {
    refused(text, 'https://idp.example/');
    expect(requireProviderUrl(text, new URL('http://127.0.0.1:8080/')).href).toBe(text);
  });

  test('may name other hosts', () => {
    expect(requireProviderUrl('https://keys.example/', new URL('https://idp.example/')).hostname).toBe('keys.example');
  });
});
