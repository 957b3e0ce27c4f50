import net from 'node:net';
import { expect, test } from 'vitest';
import { connectionFor, openSql } from '../../scripts/stack/sql-client.ts';
import { useStack } from './with-stack.ts';

/** Where an identity provider should be: nobody answers. */
async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const running = useStack({
  prepare: async () => ({
    controlPlaneEnv: {
      SALLYPORT_DEMO_IDP: 'off',
      SALLYPORT_OIDC_ISSUER: `http://127.0.0.1:${await freePort()}`,
      SALLYPORT_OIDC_CLIENT_ID: 'sallyport',
      SALLYPORT_OIDC_CLIENT_SECRET: 'not-used',
    },
  }),
});

test('without the identity provider nobody signs in anew, and tokens already given work', async () => {
  const { stack } = running();
  const login = await fetch(`${stack.dev.rest}/v1/login?return_to=%2Fdevice`, { redirect: 'manual' });
  expect(login.status).toBe(503);
  expect(login.headers.get('location')).toBeNull();
  // An API token given before, its exchange for one resource, and a session with that.
  const carla = await openSql(stack.dev, 'carla');
  expect((await carla.client.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
  await carla.close();
  // Services never needed it.
  expect((await connectionFor(stack.dev, 'nightly-etl')).password).toMatch(/^ey/);
});
