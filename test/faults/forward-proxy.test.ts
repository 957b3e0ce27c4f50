/** The forward proxy without a control plane: certificates for hosts nobody asked for yet are the agent's own to make. */
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, expect, test } from 'vitest';
import { accessToken } from '../../scripts/stack/rest.ts';
import { useStack } from './with-stack.ts';

const running = useStack({});
const service = http.createServer((request, response) => response.end(`key ${String(request.headers['x-key'])}`));
afterAll(() => {
  service.closeAllConnections();
  service.close();
});

test('without the control plane a registered host that was never called is called, another is not', async () => {
  const { stack, dir } = running();
  const { admin, dev } = stack;
  await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve));
  const { port } = service.address() as AddressInfo;
  await admin.call('POST', '/v1/credentials', { name: 'faults-key', kind: 'stored', username: '' });
  await admin.call('PUT', '/v1/credentials/faults-key/secret', { secret: 'of-the-service' });
  await admin.call('POST', '/v1/resources', {
    name: 'faults-api',
    type: 'http',
    credential: 'faults-key',
    http: {
      url: `http://127.0.0.1:${port}`,
      private: true,
      hosts: ['first.faults.test', 'second.faults.test'],
      inject: { as: 'header', name: 'x-key' },
    },
    offline: { sessions: '1h', newSessions: '1h' },
  });
  await admin.call('POST', '/v1/grants', {
    name: 'faults-api',
    principal: 'carla',
    resource: 'faults-api',
    effects: ['read'],
  });
  const token = await accessToken(dev.rest, dev.principals['carla']?.token ?? '', 'faults-api');
  const issuer = path.join(dir, 'interception.pem');
  writeFileSync(issuer, await (await fetch(`${dev.rest}/v1/ca/interception`)).text());
  const tls = ['--cacert', issuer, '--proxy-cacert', dev.ca];
  const fixed = ['-sS', '-m', '20', ...tls, '-x', `https://127.0.0.1:${dev.agent.https}`, '--proxy-user', `x:${token}`];
  const called = (host: string): Promise<string> =>
    promisify(execFile)('curl', [...fixed, `https://${host}/v1/x`]).then(({ stdout }) => stdout, String);
  await expect.poll(() => called('first.faults.test'), { timeout: 40_000 }).toBe('key of-the-service');

  await stack.controlPlane().stop('SIGKILL');
  try {
    expect(await called('second.faults.test')).toBe('key of-the-service');
    expect(await called('first.faults.test')).toBe('key of-the-service');
    expect(await called('third.faults.test')).toMatch(/403/);
  } finally {
    await stack.restartControlPlane();
  }
});
