/** The configuration: what is refused, and by which name. */
import { expect, test } from 'vitest';
import { parseConfig } from './config.ts';

const refused = (argv: string[], env: Record<string, string> = {}): unknown => {
  try {
    parseConfig(argv, env);
  } catch (error) {
    return (error as { detail: { name: string } }).detail.name;
  }
  return 'accepted';
};
const KMS = '{"kind":"vault_transit","address":"https://vault","auth":"token","key":"k"}';

test('without any setting it listens on loopback, in a folder of its own', () => {
  const config = parseConfig([], {});
  expect(config).toMatchObject({
    http: { host: '127.0.0.1', port: 7400 },
    link: { port: 7401 },
    enroll: { port: 7402 },
    demoIdp: false,
  });
});

test('a KMS has a name, a kind and settings, and there may be several', () => {
  const second = KMS.replace('{', '{"name":"second",');
  expect(parseConfig([], { SALLYPORT_KMS: `[${KMS},${second}]` }).kms).toMatchObject([
    { name: 'kms', kind: 'vault_transit', settings: { key: 'k' } },
    { name: 'second' },
  ]);
});

test('flags win over the environment', () => {
  expect(parseConfig(['--http', '127.0.0.1:1234', '--demo-idp=on'], { SALLYPORT_HTTP: '127.0.0.1:1' })).toMatchObject({
    http: { port: 1234 },
    demoIdp: true,
  });
});

test.each([
  [[], { SALLYPORT_HTTP: '0.0.0.0:7400' }, 'SALLYPORT_HTTP'],
  [[], { SALLYPORT_HTTP: 'nonsense' }, 'SALLYPORT_HTTP'],
  [[], { SALLYPORT_LINK: '127.0.0.1:99999' }, 'SALLYPORT_LINK'],
  [[], { SALLYPORT_HTTP_TLS_CRET: '/tmp/x' }, 'SALLYPORT_HTTP_TLS_CRET'],
  [[], { SALLYPORT_HTTP_PLAINTEXT: 'yes' }, 'SALLYPORT_HTTP_PLAINTEXT'],
  [[], { SALLYPORT_HTTP_TLS_CERT: '/tmp/x' }, 'SALLYPORT_HTTP_TLS_CERT'],
  [[], { SALLYPORT_KEK: 'short' }, 'SALLYPORT_KEK'],
  [[], { SALLYPORT_KMS: 'vault' }, 'SALLYPORT_KMS'],
  [[], { SALLYPORT_KMS: '[]' }, 'SALLYPORT_KMS'],
  [[], { SALLYPORT_KMS: '{"kind":"magic"}' }, 'SALLYPORT_KMS'],
  [[], { SALLYPORT_KMS: '{"kind":"vault_transit","auth":"token","key":"k"}' }, 'SALLYPORT_KMS'],
  [[], { SALLYPORT_KMS: KMS.replace('"k"', '"../sys/raw"') }, 'SALLYPORT_KMS'],
  [[], { SALLYPORT_KMS: KMS.replace('{', '{"token":"t",') }, 'SALLYPORT_KMS'],
  [[], { SALLYPORT_KMS: KMS.replace('{', '{"key_env":"SALLYPORT_KEK",') }, 'SALLYPORT_KMS'],
  [[], { SALLYPORT_KMS: KMS.replace('{', '{"name":"file",') }, 'SALLYPORT_KMS'],
  [[], { SALLYPORT_KMS: `[${KMS},${KMS}]` }, 'SALLYPORT_KMS'],
  [[], { DATABASE_URL: 'mysql://x' }, 'DATABASE_URL'],
  [[], { REDIS_URL: 'http://x' }, 'REDIS_URL'],
  [[], { SALLYPORT_DEMO_IDP: 'maybe' }, 'SALLYPORT_DEMO_IDP'],
  [[], { SALLYPORT_OIDC_ISSUER: 'https://idp' }, 'SALLYPORT_OIDC_CLIENT_ID'],
  [[], { SALLYPORT_LOG_LEVEL: 'loud' }, 'SALLYPORT_LOG_LEVEL'],
  [[], { SALLYPORT_PUBLIC_LINK: 'a:1,b' }, 'SALLYPORT_PUBLIC_LINK'],
  [[], { SALLYPORT_PROJECT_NETWORKS: '10.0.0.0/8,10.1.0.0' }, 'SALLYPORT_PROJECT_NETWORKS'],
  [[], { SALLYPORT_PROJECT_NETWORKS: '10.0.0.0/33' }, 'SALLYPORT_PROJECT_NETWORKS'],
  [[], { SALLYPORT_PROJECT_NETWORKS: 'intranet/8' }, 'SALLYPORT_PROJECT_NETWORKS'],
  [['--nonsense', 'x'], {}, '--nonsense'],
  [['--http'], {}, '--http'],
] as const)('%j with %j is refused and %s named', (argv, env, name) => {
  expect(refused([...argv], { ...env })).toBe(name);
});

test('plain HTTP beyond loopback needs the operator to say that a proxy stands in front', () => {
  expect(parseConfig([], { SALLYPORT_HTTP: '0.0.0.0:7400', SALLYPORT_HTTP_PLAINTEXT: 'behind-proxy' }).http.host).toBe(
    '0.0.0.0',
  );
});
