/**
 * The signer against AWS's published vectors (the Signature Version 4 test suite, and the examples of the S3 API reference),
 * and against the official SDK's own signer where it is installed (test/sdks).
 */
import { createHash, createHmac } from 'node:crypto';
import { createRequire } from 'node:module';
import path from 'node:path';
import { expect, test } from 'vitest';
import type { HeaderField, Uncredentialed } from './form.ts';
import { signedV4 } from './sigv4.ts';

const KEYS = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' };
const SERVICE = { region: 'us-east-1', service: 'service' };
const AT = Date.parse('2015-08-30T12:36:00Z');
const request = (more: Partial<Uncredentialed>): Uncredentialed => ({
  method: 'GET',
  authority: 'example.amazonaws.com',
  target: '/',
  headers: [],
  body: 'none',
  ...more,
});
const signatureOf = (headers: readonly HeaderField[]): string =>
  /Signature=([0-9a-f]{64})$/.exec(headers.find(([name]) => name === 'authorization')?.[1] ?? '')?.[1] ?? '';
const signed = (more: Partial<Uncredentialed>): string =>
  signatureOf(signedV4(request(more), KEYS, SERVICE, AT).headers);

test.each([
  ['get-vanilla', {}, '5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31'],
  ['post-vanilla', { method: 'POST' }, '5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b'],
  [
    'get-vanilla-query-order-key-case',
    { target: '/?Param2=value2&Param1=value1' },
    'b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500',
  ],
])('%s of the test suite', (_, more, signature) => {
  expect(signed(more)).toBe(signature);
});

test('the examples of the S3 API reference', () => {
  const keys = { accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY' };
  const s3 = (more: Partial<Uncredentialed>): string =>
    signatureOf(
      signedV4(
        request({ authority: 'examplebucket.s3.amazonaws.com', ...more }),
        keys,
        { region: 'us-east-1', service: 's3' },
        Date.parse('2013-05-24T00:00:00Z'),
      ).headers,
    );
  expect(s3({ target: '/?lifecycle' })).toBe('fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543');
  expect(s3({ target: '/?max-keys=2&prefix=J' })).toBe(
    '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7',
  );
});

test('a client’s own signature is gone in every place, and its key is in none', () => {
  const { target, headers } = signedV4(
    request({
      target: '/a?X-Amz-Signature=abc&x-amz-credential=theirs&X-Amz-Algorithm=x&keep=1',
      headers: [
        ['authorization', 'AWS4-HMAC-SHA256 Credential=theirs'],
        ['x-amz-date', '20000101T000000Z'],
        ['x-amz-security-token', 'theirs'],
        ['x-amz-target', 'Table.Get'],
      ],
    }),
    { ...KEYS, sessionToken: 'ours' },
    SERVICE,
    AT,
  );
  expect(target).toBe('/a?keep=1');
  const of = (name: string) => headers.filter(([other]) => other === name).map(([, value]) => value);
  expect(of('x-amz-security-token')).toEqual(['ours']);
  expect(of('x-amz-date')).toEqual(['20150830T123600Z']);
  expect(of('authorization')).toHaveLength(1);
  expect(of('authorization')[0]).toContain('SignedHeaders=host;x-amz-date;x-amz-security-token;x-amz-target,');
  expect(JSON.stringify(headers)).not.toContain('theirs');
});

test('a body nobody knows is refused, unless the service takes it unsigned or the client told its digest', () => {
  const hash = createHash('sha256').update('x').digest('hex');
  const sign = (service: string, told?: string) =>
    signedV4(
      request({ method: 'PUT', body: 'streams', headers: told === undefined ? [] : [['x-amz-content-sha256', told]] }),
      KEYS,
      { region: 'r', service },
      AT,
    ).headers.find(([name]) => name === 'x-amz-content-sha256')?.[1];
  const refused = expect.objectContaining({ code: 'http.body_unsigned' });
  expect(() => sign('dynamodb')).toThrow(refused);
  expect(() => sign('dynamodb', 'UNSIGNED-PAYLOAD')).toThrow(refused);
  expect(sign('dynamodb', hash)).toBe(hash);
  expect(sign('s3')).toBe('UNSIGNED-PAYLOAD');
  expect(sign('s3', 'STREAMING-UNSIGNED-PAYLOAD-TRAILER')).toBe('STREAMING-UNSIGNED-PAYLOAD-TRAILER');
  expect(() => sign('s3', 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD')).toThrow(refused);
});

interface SdkSigner {
  sign(
    request: object,
    options: { readonly signingDate: Date },
  ): Promise<{ readonly headers: Readonly<Record<string, string>> }>;
}
function sdkSigner(): { SignatureV4: new (options: object) => SdkSigner } | undefined {
  try {
    const sdk = createRequire(path.join(import.meta.dirname, '../../../../test/sdks/package.json'));
    return createRequire(sdk.resolve('@aws-sdk/rds-signer'))('@smithy/signature-v4') as ReturnType<typeof sdkSigner>;
  } catch {
    // Only `npm test` brings the SDKs.
    return undefined;
  }
}
const sdk = sdkSigner();

/** What the official signer takes for a digest (its Checksum interface). */
class Sha256 {
  readonly #hash: ReturnType<typeof createHash> | ReturnType<typeof createHmac>;
  constructor(key?: Uint8Array | string) {
    this.#hash = key === undefined ? createHash('sha256') : createHmac('sha256', key);
  }
  update(data: Uint8Array | string): void {
    this.#hash.update(data);
  }
  digest(): Promise<Uint8Array> {
    return Promise.resolve(this.#hash.digest());
  }
}

test.skipIf(sdk === undefined)('what the official SDK signs is signed alike here', async () => {
  const official = (service: string) =>
    new sdk!.SignatureV4({
      service,
      region: 'eu-central-1',
      credentials: { ...KEYS, sessionToken: 'token/+=' },
      sha256: Sha256,
      uriEscapePath: service !== 's3',
    });
  for (const service of ['dynamodb', 's3'])
    for (const [method, pathname, query, body] of [
      ['GET', '/', {}, undefined],
      ['POST', '/', {}, '{"TableName":"t"}'],
      ['GET', '/a%20b/%C3%A9~!/x', { 'list-type': '2', prefix: 'a/b c', empty: '' }, undefined],
      ['PUT', '/key%28with%29%2Aparens', {}, 'body'],
    ] as const) {
      const host = `${service}.eu-central-1.amazonaws.com`;
      const theirs = await official(service).sign(
        {
          method,
          protocol: 'https:',
          hostname: host,
          path: pathname.replaceAll('!', '%21'),
          query,
          headers: { host, 'x-amz-target': 'A.B' },
          ...(body === undefined ? {} : { body }),
        },
        { signingDate: new Date(AT) },
      );
      const search = Object.entries(query)
        .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
        .join('&');
      const digest = theirs.headers['x-amz-content-sha256']!;
      const ours = signedV4(
        {
          method,
          authority: host,
          target: search === '' ? pathname : `${pathname}?${search}`,
          headers: [
            ['x-amz-target', 'A.B'],
            ['x-amz-content-sha256', digest],
          ],
          body: body === undefined ? 'none' : Buffer.from(body),
        },
        { ...KEYS, sessionToken: 'token/+=' },
        { region: 'eu-central-1', service },
        AT,
      );
      expect(signatureOf(ours.headers), `${service} ${method} ${pathname}`).toBe(
        /Signature=([0-9a-f]{64})/.exec(theirs.headers['authorization']!)?.[1],
      );
    }
});
