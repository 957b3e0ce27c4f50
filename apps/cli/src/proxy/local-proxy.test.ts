import net from 'node:net';
import { expect, test } from 'vitest';
import { accessTokens } from './access-tokens.ts';
import { parseAddress, requireEndpoints } from './agent-endpoint.ts';
import { openLocalProxy } from './local-proxy.ts';
import { encodePassword, encodeStartup } from './startup.ts';

const V30 = 196_608;
const startup = encodeStartup(V30, new Map([['user', 'me']]));
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);

async function openUnreachable() {
  const problems: string[] = [];
  const proxy = await openLocalProxy(
    { port: 0 },
    {
      tokens: accessTokens(
        () => Promise.resolve({ access_token: 't', token_type: 'N_A', expires_in: 60 }),
        () => 0,
      ),
      endpoints: [{ host: '127.0.0.1', port: 1 }],
      root: '',
      user: 'payments-db',
      database: undefined,
      password: 'right',
      onProblem: (problem) => problems.push(problem),
    },
  );
  return { proxy, problems };
}

function talk(port: number, ...packets: readonly Buffer[]): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1');
    const got: Buffer[] = [];
    socket.on('data', (chunk) => got.push(chunk));
    socket.on('error', reject);
    socket.on('close', () => resolve(Buffer.concat(got)));
    for (const packet of packets) socket.write(packet);
  });
}

test('the local port says no to encryption and asks for the password of this run', async () => {
  const { proxy } = await openUnreachable();
  const answer = await talk(proxy.port, SSL_REQUEST, startup, encodePassword('wrong'));
  expect(answer.subarray(0, 1).toString()).toBe('N');
  expect(answer.subarray(1, 10)).toEqual(Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 3]));
  expect(answer.toString()).toContain('C28P01');
  await proxy[Symbol.asyncDispose]();
});

test('with the right password an agent that cannot be reached is an error the client reads', async () => {
  const { proxy, problems } = await openUnreachable();
  const answer = await talk(proxy.port, startup, encodePassword('right'));
  expect(answer.toString()).toContain('C08001');
  expect(problems).toHaveLength(1);
  await proxy[Symbol.asyncDispose]();
});

test('malformed bytes end that connection alone', async () => {
  const { proxy } = await openUnreachable();
  expect(await talk(proxy.port, Buffer.from([0, 0, 0, 4, 0, 0, 0, 0]))).toHaveLength(0);
  expect(await talk(proxy.port, SSL_REQUEST, SSL_REQUEST, SSL_REQUEST, SSL_REQUEST)).toEqual(Buffer.from('NNN'));
  expect((await talk(proxy.port, startup, encodePassword('wrong'))).toString()).toContain('C28P01');
  await proxy[Symbol.asyncDispose]();
});

test('one token is asked for however many wait, and again after half its life', async () => {
  let now = 0;
  let asked = 0;
  const tokens = accessTokens(
    () => {
      asked++;
      return Promise.resolve({ access_token: `t${asked}`, token_type: 'N_A', expires_in: 300 });
    },
    () => now,
  );
  expect(await Promise.all([tokens.get(), tokens.get(), tokens.get()])).toEqual(['t1', 't1', 't1']);
  now = 149_000;
  expect(await tokens.get()).toBe('t1');
  now = 150_001;
  expect(await tokens.get()).toBe('t2');
});

test('a failed exchange is not kept', async () => {
  let fail = true;
  const tokens = accessTokens(
    () =>
      fail
        ? Promise.reject(new Error('no'))
        : Promise.resolve({ access_token: 't', token_type: 'N_A', expires_in: 60 }),
    () => 0,
  );
  await expect(tokens.get()).rejects.toThrow('no');
  fail = false;
  expect(await tokens.get()).toBe('t');
});

test('plaintext endpoints are never dialled', () => {
  const endpoints = [{ protocol: 'postgres', address: '127.0.0.1:7433', plaintext: true, agent: 'a' }];
  expect(() => requireEndpoints('db', endpoints)).toThrow(expect.objectContaining({ exit: 'unavailable' }));
  expect(
    requireEndpoints('db', [
      ...endpoints,
      { protocol: 'postgres', address: '[::1]:7432', plaintext: false, agent: 'a' },
    ]),
  ).toEqual([{ host: '::1', port: 7432 }]);
  expect(() => parseAddress('nowhere')).toThrow(expect.objectContaining({ exit: 'failure' }));
});
