import { expect, test } from 'vitest';
import { requireKnownSettings } from './settings.ts';

test('a setting that nothing reads stops the start and names the one that was meant', () => {
  for (const [variable, remedy] of [
    ['SALLYPORT_HTTP_TLS_CRET', 'SALLYPORT_HTTP_TLS_CERT'],
    ['SALLYPORT_DATADIR', 'SALLYPORT_DATA_DIR'],
    ['SALLYPORT_COMPLETELY_ELSE', 'unset it'],
    ['SALLYPORT_PUBLC_URL', 'SALLYPORT_PUBLIC_URL'],
    ['SALLYPORT_JOIN_TOKE', 'SALLYPORT_JOIN_TOKEN'],
    ['SALLYPORT_JION_TOKEN', 'SALLYPORT_JOIN_TOKEN'],
    ['SALLYPORT_', 'there is no such setting'],
  ] as const) {
    expect(() => requireKnownSettings({ [variable]: '' }), variable).toThrow(
      expect.objectContaining({
        code: 'config.invalid',
        detail: { name: variable, remedy: expect.stringContaining(remedy) },
      }),
    );
  }
});

test('settings of all our programs, other variables and what Kubernetes adds are left alone', () => {
  requireKnownSettings({
    SALLYPORT_DATA_DIR: '/x',
    SALLYPORT_LISTEN_POSTGRES: ':1',
    SALLYPORT_TOKEN_FILE: '/t',
    SALLYPORT_TEST_FLOOR: '1',
    SALLYPORT_SERVICE_HOST: '10.0.0.1',
    SALLYPORT_SERVICE_PORT_HTTPS: '443',
    SALLYPORT_PORT: 'tcp://10.0.0.1:443',
    SALLYPORT_PORT_443_TCP_ADDR: '10.0.0.1',
    SALLYPORT_CONTROL_PLANE_SERVICE_PORT: '7400',
    SALLYPORT_CRM_API_URL: 'http://127.0.0.1:1/x',
    SALLYPORT_CRM_API_TOKEN: 't',
    MY_SALLYPORT_X: '1',
    PATH: '/bin',
  });
});
