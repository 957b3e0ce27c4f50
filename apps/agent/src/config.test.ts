import { expect, test } from 'vitest';
import { parseConfig } from './config.ts';

test('settings come from the environment, and a flag of the same name wins', () => {
  const config = parseConfig(
    { SALLYPORT_DATA_DIR: '/a', SALLYPORT_LISTEN_POSTGRES: '[::1]:5000', SALLYPORT_JOIN_TOKEN: 'spj1.x\n' },
    ['--data-dir', '/b', '--exit-with-parent'],
  );
  expect(config).toMatchObject({
    dataDir: '/b',
    listenPostgres: { host: '::1', port: 5000 },
    listenPostgresPlaintext: undefined,
    listenSsh: undefined,
    sshAlgorithms: [],
    advertise: '::1',
    exitWithParent: true,
    instance: 'main',
  });
  expect(String(config.joinToken)).toBe('[secret]');
});

test('a bad value or an unknown flag is refused by name', () => {
  for (const [env, argv] of [
    [{ SALLYPORT_LISTEN_POSTGRES: '7432' }, []],
    [{ SALLYPORT_LISTEN_POSTGRES: 'a:70000' }, []],
    [{ SALLYPORT_LOG_LEVEL: 'loud' }, []],
    [{ SALLYPORT_INSTANCE: 'Main_1' }, []],
    [{}, ['--join-token', 'x']],
    [{}, ['stray']],
  ] as const) {
    expect(() => parseConfig(env, argv), JSON.stringify([env, argv])).toThrow(
      expect.objectContaining({ code: 'config.invalid' }),
    );
  }
});

test('where the control plane is may be said anew, and a misspelt setting stops the start', () => {
  expect(parseConfig({ SALLYPORT_LINK_ENDPOINTS: 'a:1, [::1]:2' }, ['--enroll-endpoints', 'b:3'])).toMatchObject({
    linkEndpoints: ['a:1', '[::1]:2'],
    enrollEndpoints: ['b:3'],
  });
  for (const env of [
    { SALLYPORT_LINK_ENDPOINTS: 'a' },
    { SALLYPORT_LINK_ENDPOINTS: 'a:0' },
    { SALLYPORT_DATADIR: '/a' },
  ])
    expect(() => parseConfig(env, []), JSON.stringify(env)).toThrow(
      expect.objectContaining({ code: 'config.invalid' }),
    );
});

test('a join token file that is gone is no error', () => {
  expect(parseConfig({ SALLYPORT_JOIN_TOKEN_FILE: '/nowhere/token' }, []).joinToken).toBeUndefined();
});
