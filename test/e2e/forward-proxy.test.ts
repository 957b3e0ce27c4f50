/**
 * Programs that keep their URLs: curl, Python and Node through the agent's forward proxy, by hand and under `sallyport run`.
 * What no resource registers is reached by nobody, whatever it is called.
 */
import { execFile, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import net, { type AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import tls from 'node:tls';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { accessToken, restClient } from '../../scripts/stack/rest.ts';
import { type Cli, openCli } from './cli-process.ts';

const dev = inject('dev');
const admin = restClient(dev.rest, dev.principals['admin']?.token ?? '');
const carla = dev.principals['carla']?.token ?? '';
const program = promisify(execFile);
const KEY = 'the-key-of-the-service-behind';
const HOST = 'api.reach.test';
/** Not every machine's Python has it. */
const HAS_REQUESTS = spawnSync('python3', ['-c', 'import requests']).status === 0;

const POLICY = `kind: Policy
name: e2e-reach
resources: { names: [reach-api] }
rules:
  - name: no-exports
    when: http.path.startsWith("/v1/export")
    verdict: deny
    message: Exports go through the data team.
masks:
  - { json: ["ssn"], with: redact }
`;

describe('the forward proxy', () => {
  let service: http.Server;
  let port: number;
  let cli: Cli;
  let dir: string;
  let token: string;
  let other: string;
  const seen: { line: string; headers: http.IncomingHttpHeaders; body: string }[] = [];
  const at = (name: string): string => path.join(dir, name);
  const curl = (args: readonly string[]) =>
    program('curl', ['-sS', '-m', '20', '--cacert', at('interception.pem'), ...args], {
      env: { PATH: process.env['PATH'] },
    });
  const proxied = (args: readonly string[], as = token) =>
    curl(['-x', `https://127.0.0.1:${dev.agent.https}`, '--proxy-cacert', dev.ca, '--proxy-user', `x:${as}`, ...args]);
  const status = async (args: readonly string[], as?: string): Promise<string> =>
    await proxied(['-o', '/dev/null', '-w', '%{http_connect} %{http_code}', ...args], as).then(
      (ran) => ran.stdout,
      (error: { stdout: string }) => error.stdout,
    );

  beforeAll(async () => {
    dir = mkdtempSync(path.join(os.tmpdir(), 'sallyport-e2e-reach-'));
    cli = openCli(dev);
    service = http.createServer((request, response) => void serve(request, response));
    await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve));
    port = (service.address() as AddressInfo).port;
    await admin.call('POST', '/v1/credentials', { name: 'reach-key', kind: 'stored', username: '' });
    await admin.call('PUT', '/v1/credentials/reach-key/secret', { secret: KEY });
    for (const [name, hosts] of [
      ['reach-api', [HOST]],
      ['reach-other', ['other.reach.test']],
    ] as const)
      await admin.call('POST', '/v1/resources', {
        name,
        type: 'http',
        credential: 'reach-key',
        http: {
          url: `http://127.0.0.1:${port}`,
          private: true,
          hosts,
          inject: { as: 'header', name: 'x-service-key' },
        },
      });
    await admin.call('POST', '/v1/grants', {
      name: 'e2e-reach',
      principal: 'carla',
      resource: 'reach-api',
      effects: ['read', 'write'],
    });
    await admin.call('POST', '/v1/grants', {
      name: 'e2e-reach-other',
      principal: 'carla',
      resource: 'reach-other',
      effects: ['read'],
    });
    await admin.call('POST', '/v1/apply', {
      documents: [{ file: 'reach.yaml', text: POLICY }],
      dryRun: false,
      prune: false,
    });
    token = await accessToken(dev.rest, carla, 'reach-api');
    other = await accessToken(dev.rest, carla, 'reach-other');
    const issuer = await fetch(`${dev.rest}/v1/ca/interception`);
    expect(issuer.status).toBe(200);
    writeFileSync(at('interception.pem'), await issuer.text());
    // The resources and the issuer for their hosts are in force a moment after they were made.
    for (let i = 0; i < 200; i++) {
      if ((await status([`https://${HOST}/v1/ok`])) === '200 200') return;
      await new Promise((next) => setTimeout(next, 100));
    }
    throw new Error(`the proxy did not come into force: ${await status([`https://${HOST}/v1/ok`])}`);
  }, 60_000);
  afterAll(async () => {
    for (const what of [
      'policies/e2e-reach',
      'grants/e2e-reach',
      'grants/e2e-reach-other',
      'resources/reach-api',
      'resources/reach-other',
      'credentials/reach-key',
    ])
      await admin.call('DELETE', `/v1/${what}`).catch(() => undefined);
    cli.end();
    service.closeAllConnections();
    service.close();
    rmSync(dir, { recursive: true, force: true });
  });

  async function serve(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const body = Buffer.concat(await request.toArray()).toString();
    const target = request.url ?? '';
    seen.push({ line: `${request.method} ${target}`, headers: request.headers, body });
    if (target === '/v1/moved') response.writeHead(302, { location: `http://127.0.0.1:${port}/v1/there` }).end();
    else if (target === '/v1/big') response.end(Buffer.alloc(3_000_000, 'x'));
    else
      response
        .setHeader('content-type', 'application/json')
        .end(JSON.stringify({ path: target, ssn: '123-45-6789', size: body.length }));
  }

  test('curl calls a service by its own URL, over HTTP/1.1 and HTTP/2: the key is put in, the answer masked', async () => {
    for (const version of ['--http1.1', '--http2']) {
      seen.length = 0;
      const { stdout } = await proxied([version, '-w', ' %{http_version}', `https://${HOST}/v1/people?x=1`]);
      expect(stdout).toContain('"ssn":"[redacted]"');
      expect(stdout.endsWith(version === '--http2' ? ' 2' : ' 1.1')).toBe(true);
      expect(seen).toMatchObject([{ line: 'GET /v1/people?x=1', headers: { 'x-service-key': KEY } }]);
      expect(JSON.stringify(seen[0]!.headers)).not.toContain(token.slice(-40));
    }
  });

  test('large answers and bodies go through whole, and a redirect to the service itself stays on the way in', async () => {
    expect((await proxied(['-o', '/dev/null', '-w', '%{size_download}', `https://${HOST}/v1/big`])).stdout).toBe(
      '3000000',
    );
    writeFileSync(at('body'), 'y'.repeat(2_000_000));
    expect(
      (
        await proxied([
          '--data-binary',
          `@${at('body')}`,
          '-H',
          'content-type: application/octet-stream',
          `https://${HOST}/v1/up`,
        ])
      ).stdout,
    ).toContain('"size":2000000');
    expect((await proxied(['-o', '/dev/null', '-w', '%{redirect_url}', `https://${HOST}/v1/moved`])).stdout).toBe(
      `https://${HOST}/v1/there`,
    );
  });

  test('plain HTTP by the proxy, in absolute form and in a tunnel, is judged alike', async () => {
    expect((await proxied([`http://${HOST}/v1/plain`])).stdout).toContain('"ssn":"[redacted]"');
    expect((await proxied(['--proxytunnel', `http://${HOST}/v1/plain`])).stdout).toContain('"ssn":"[redacted]"');
  });

  test('a page of another site gets nothing by a browser’s proxy, but links', async () => {
    const fields = (text: string): string[] => text.split(', ').flatMap((field) => ['-H', field]);
    const ways = [
      ['--http1.1', 'https'],
      ['--http2', 'https'],
      ['--proxytunnel', 'http'],
      ['-4', 'http'],
    ] as const;
    for (const [option, scheme] of ways) {
      const ask = async (line: string, said: string): Promise<string> =>
        (await status([option, '-X', line, ...fields(said), `${scheme}://${HOST}/v1/page`])).slice(-3);
      seen.length = 0;
      for (const [line, said] of [
        ['POST', 'sec-fetch-site: cross-site, sec-fetch-mode: no-cors, origin: https://evil.example'],
        ['POST', 'sec-fetch-site: cross-site, sec-fetch-mode: navigate, origin: null'],
        ['GET', 'sec-fetch-site: cross-site, sec-fetch-mode: no-cors'],
        ['POST', 'origin: https://evil.example'],
        ['POST', 'origin: null'],
        ['POST', `origin: ${scheme}://${HOST}:81`],
      ] as const)
        expect(await ask(line, said), `${option} ${line} ${said}`).toBe('403');
      expect(seen).toEqual([]);
      for (const [line, said] of [
        ['POST', `sec-fetch-site: same-origin, origin: ${scheme}://${HOST}`],
        ['POST', 'sec-fetch-site: same-site, sec-fetch-mode: cors, origin: https://app.reach.test'],
        ['GET', 'sec-fetch-site: cross-site, sec-fetch-mode: navigate'],
        ['POST', `origin: ${scheme}://${HOST}`],
      ] as const)
        expect(await ask(line, said), `${option} ${line} ${said}`).toBe('200');
    }
  });

  test('a rule’s refusal is read by its own words', async () => {
    const { stdout } = await proxied([`https://${HOST}/v1/export/all`]);
    expect(JSON.parse(stdout)).toMatchObject({
      status: 403,
      title: 'Exports go through the data team.',
      sallyport: { rule: 'e2e-reach/no-exports' },
    });
  });

  test('no host that is not registered is reached, by name or address or in another spelling, and who has no token learns nothing', async () => {
    seen.length = 0;
    const others = [
      'evil.example.com',
      '127.0.0.1',
      '169.254.169.254',
      '[::1]',
      'localhost',
      '2130706433',
      '0x7f000001',
      `x.${HOST}`,
      'metadata.google.internal',
      '127.1',
    ];
    for (const host of others) {
      expect(await status([`https://${host}/`]), host).toMatch(/^4(03|00) 000$/);
      expect(await status([`http://${host}/`]), host).toMatch(/^000 4(03|00)$/);
    }
    expect(await status([`https://127.0.0.1:${port}/`])).toBe('403 000');
    expect(await status([`https://${HOST}:8443/`])).toBe('403 000');
    for (const host of [HOST, 'evil.example.com'])
      for (const wrong of ['wrong', other.slice(0, -4), ''])
        expect(await status([`https://${host}/`], wrong), `${host} ${wrong.slice(0, 5)}`).toBe('407 000');
    expect(seen).toEqual([]);
  });

  test('a token is good for its own resource’s hosts alone', async () => {
    expect(await status([`https://${HOST}/v1/x`], other)).toBe('407 000');
    expect(await status(['https://other.reach.test/v1/x'], token)).toBe('407 000');
    expect(await status(['https://other.reach.test/v1/x'], other)).toBe('200 200');
  });

  test('inside a tunnel no other host is meant, by SNI or by Host, and no second tunnel opens', async () => {
    seen.length = 0;
    expect(
      (await proxied(['-o', '/dev/null', '-w', '%{http_code}', '-H', 'Host: other.reach.test', `https://${HOST}/v1/x`]))
        .stdout,
    ).toBe('421');
    const outer = await connect(`${HOST}:443`);
    const inner = tls.connect({ socket: outer, servername: 'other.reach.test', rejectUnauthorized: false });
    const answer = await ask(inner, `GET /v1/x HTTP/1.1\r\nhost: ${HOST}\r\nconnection: close\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 421 /);
    const again = tls.connect({
      socket: await connect(`${HOST}:443`),
      servername: HOST,
      ca: readFileSync(at('interception.pem')),
    });
    expect(await ask(again, `CONNECT ${HOST}:443 HTTP/1.1\r\nhost: ${HOST}:443\r\nconnection: close\r\n\r\n`)).toMatch(
      /^HTTP\/1\.1 405 /,
    );
    expect(seen).toEqual([]);
  });

  test('over HTTP/2 inside a tunnel each stream says its host, and one of another is misdirected', async () => {
    seen.length = 0;
    const outer = await connect(`${HOST}:443`);
    const inner = tls.connect({
      socket: outer,
      servername: HOST,
      ca: readFileSync(at('interception.pem')),
      ALPNProtocols: ['h2'],
    });
    await new Promise((resolve, reject) => inner.once('secureConnect', resolve).once('error', reject));
    const session = http2.connect(`https://${HOST}`, { createConnection: () => inner });
    const asked = (headers: http2.OutgoingHttpHeaders): Promise<number> =>
      new Promise((resolve, reject) => {
        const stream = session.request(headers, { endStream: true });
        stream.on('response', (answer) => resolve(Number(answer[':status'])));
        stream.on('error', reject);
        stream.resume();
      });
    const own = { 'proxy-authorization': `Bearer ${other}`, authorization: `Bearer ${token}` };
    expect(await asked({ ':authority': HOST, ':path': '/v1/own', ...own })).toBe(200);
    for (const authority of ['other.reach.test', `x.${HOST}`, '127.0.0.1'])
      expect(await asked({ ':authority': authority, ':path': '/v1/x', ...own }), authority).toBe(421);
    expect(await asked({ ':authority': HOST, ':path': '/v1/x', host: 'other.reach.test' })).toBe(400);
    expect(await asked({ ':authority': HOST, ':path': '/r/reach-other/x', ...own })).toBe(200);
    session.destroy();
    // A path is the service's own, whatever it looks like, and no token goes there.
    expect(seen.map(({ line }) => line)).toEqual(['GET /v1/own', 'GET /r/reach-other/x']);
    for (const one of [token, other]) expect(JSON.stringify(seen)).not.toContain(one.slice(-40));
  });

  test('what comes at once behind CONNECT is read inside the tunnel', async () => {
    seen.length = 0;
    const plain = `GET /r/reach-other/x HTTP/1.1\r\nhost: agent\r\nproxy-authorization: Bearer ${other}\r\nconnection: close\r\n\r\n`;
    const socket = await connect(`${HOST}:80`, plain);
    expect(await ask(socket, '')).toMatch(/^HTTP\/1\.1 421 /);
    expect(seen).toEqual([]);
  });

  test('what is no TLS and no HTTP inside a tunnel ends it, and nothing is passed', async () => {
    seen.length = 0;
    const socket = await connect(`${HOST}:443`);
    const answer = await ask(socket, 'SSH-2.0-x\r\n\r\n');
    expect(answer).toMatch(/^(HTTP\/1\.1 400 |$)/);
    expect(seen).toEqual([]);
  });

  test('run: curl, Python and Node call the service by its URL and by the variable, and nothing is left behind', async () => {
    const before = readdirSync(cli.home);
    const script = `
set -e
curl -sS https://${HOST}/v1/curl >/dev/null
curl -sS "$SALLYPORT_REACH_API_URL/v1/by-variable" >/dev/null
python3 -c 'import urllib.request as u; print(u.urlopen("https://${HOST}/v1/urllib").read().decode())'
${HAS_REQUESTS ? `python3 -c 'import requests; print(requests.get("https://${HOST}/v1/requests").json()["ssn"])'` : ':'}
"${process.execPath}" -e 'fetch("https://${HOST}/v1/fetch").then((a) => a.json()).then((a) => console.log(a.path))'
curl -sS -o /dev/null -w "%{http_connect}\\n" https://evil.example.com/ || true
env > "${at('env')}"
exit 7
`;
    seen.length = 0;
    const ran = await cli.run(['--as', 'carla', 'run', 'reach-api', '--', 'sh', '-c', script]);
    expect(ran.err).toMatch(
      /^sallyport run: evil\.example\.com:443 is no host of reach-api\. .*--direct\.\ncurl: \(56\) CONNECT tunnel failed, response 403\n$/,
    );
    expect(ran.code).toBe(7);
    expect(seen.map(({ line }) => line)).toEqual([
      'GET /v1/curl',
      'GET /v1/by-variable',
      'GET /v1/urllib',
      ...(HAS_REQUESTS ? ['GET /v1/requests'] : []),
      'GET /v1/fetch',
    ]);
    expect(seen.every(({ headers }) => headers['x-service-key'] === KEY)).toBe(true);
    expect(ran.out).toContain('[redacted]');
    const env = readFileSync(at('env'), 'utf8');
    expect(env).not.toContain(carla);
    const caFile = /^SSL_CERT_FILE=(.*)$/m.exec(env)?.[1] ?? '';
    expect(caFile).not.toBe('');
    expect(existsSync(caFile)).toBe(false);
    expect(readdirSync(cli.home)).toEqual(before);
  }, 60_000);

  test('run: a signal reaches the program, and its way to end is told as shells tell it', async () => {
    const running = cli.start([
      '--as',
      'carla',
      'run',
      'reach-api',
      '--',
      'sh',
      '-c',
      'trap "echo got; exit 9" TERM; echo ready; while :; do sleep 0.1; done',
    ]);
    while (!running.out().includes('ready')) await new Promise((next) => setTimeout(next, 50));
    running.child.kill('SIGTERM');
    const ended = await running.ended;
    expect(ended).toMatchObject({ code: 9, out: 'ready\ngot\n' });
    expect((await cli.run(['--as', 'carla', 'run', 'reach-api', '--', 'sh', '-c', 'kill -KILL $$'])).code).toBe(137);
  }, 60_000);

  test('run: without a grant, without a program, and for a database it says so and starts nothing', async () => {
    expect((await cli.run(['--as', 'ana', 'run', 'reach-api', '--', 'touch', at('never')])).code).not.toBe(0);
    expect((await cli.run(['--as', 'carla', 'run', 'reach-api'])).code).toBe(2);
    expect(existsSync(at('never'))).toBe(false);
  });

  /** A tunnel of our own. @param behind said in one breath with CONNECT */
  async function connect(authority: string, behind = ''): Promise<tls.TLSSocket> {
    const socket = tls.connect({
      host: '127.0.0.1',
      port: dev.agent.https,
      ca: readFileSync(dev.ca),
      ALPNProtocols: ['http/1.1'],
      checkServerIdentity: () => undefined,
    });
    await new Promise((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject));
    const head = `CONNECT ${authority} HTTP/1.1\r\nhost: ${authority}\r\nproxy-authorization: Bearer ${token}\r\n\r\n`;
    socket.write(head + behind);
    const answer = await new Promise<Buffer>((resolve) => socket.once('data', resolve));
    expect(answer.toString()).toMatch(/^HTTP\/1\.1 200 /);
    // What came with it is read next.
    const end = answer.indexOf('\r\n\r\n') + 4;
    if (end < answer.length) socket.unshift(answer.subarray(end));
    return socket;
  }

  function ask(socket: net.Socket, text: string): Promise<string> {
    return new Promise((resolve) => {
      const got: Buffer[] = [];
      socket.on('data', (chunk) => got.push(chunk));
      socket.on('error', () => socket.destroy());
      socket.on('close', () => resolve(Buffer.concat(got).toString()));
      socket.write(text);
    });
  }
});
