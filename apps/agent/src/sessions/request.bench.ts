/**
 * `node apps/agent/src/sessions/request.bench.ts`: what one request costs the agent's own code, in one process and without
 * sockets or TLS: the real door, dialect, road, rules, masks, recorder and spool between a client and a service that answer
 * from memory, as `npm run bench -- --only http` has them. Modes: plain, everything, and repeated for --cold, which is what
 * statement.bench.ts says of it. Options: --requests N, --runs N (the best counts), --clients N, --mode M, --cold MB, and
 * --http 2 for clients of HTTP/2, with node:http2 over a stream in memory and not over TLS, --streams N at once each.
 * Refuses to say anything of the kernel, of TLS, of the sockets' streams and of shipping the record.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Secret } from '@sallyport/core';
import { staticCredential } from '@sallyport/credentials';
import { createHttpDoor } from '@sallyport/http-session';
import type { Resource } from '@sallyport/model';
import { httpDialect } from '@sallyport/protocol-http';
import type { ProtocolSession, UpstreamOwner } from '@sallyport/protocol-kit';
import { http2Opening, http2Request } from './http2-client.fixture.ts';
import { Caches, openInProcess, RESOURCE, timed } from './in-process.fixture.ts';

const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '4000' },
    runs: { type: 'string', default: '12' },
    clients: { type: 'string', default: '8' },
    mode: { type: 'string', default: 'plain,everything' },
    cold: { type: 'string', default: '0' },
    http: { type: 'string', default: '1' },
    streams: { type: 'string', default: '1' },
  },
});

type Mode = 'plain' | 'everything';

/** As `npm run bench` has it. */
const EVERYTHING = `kind: Policy
name: bench-http
rules:
  - name: no-exports
    when: http.path.startsWith("/export")
    verdict: deny
  - name: large-payments
    when: http.method == "POST" && body.fields.exists(f, f.path == "amount" && f.number > 1000)
    verdict: deny
masks:
  - { json: ["customers[].ssn", "**.token"], with: redact }
  - { detect: [payment_card, email], with: partial }
`;
const customer = (id: number): string =>
  JSON.stringify({ id, name: `Customer ${id}`, ssn: '078-05-1120', email: `c${id}@example.org`, city: 'Delft' });
const BODY = `{"customers":[${Array.from({ length: 9 }, (_, i) => customer(i)).join(',')}`
  .padEnd(1_022, ' ')
  .concat(']}');
const ANSWER = Buffer.from(
  `HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sun, 22 Nov 2026 12:00:00 GMT\r\nContent-Type: application/json\r\nContent-Length: ${BODY.length}\r\nLast-Modified: Sun, 22 Nov 2026 11:00:00 GMT\r\nConnection: keep-alive\r\nETag: "6921a0b0-400"\r\nAccept-Ranges: bytes\r\n\r\n${BODY}`,
);

interface Client {
  readonly session: ProtocolSession;
  /** The next one, until the one after it. */
  readonly request: () => Buffer;
  /** Each of its connections to the service. */
  readonly services: UpstreamOwner[];
  sent: number;
  shown: number;
}

const isHttp2 = values.http === '2';
const streams = isHttp2 ? Number(values.streams) : 1;
const TOKEN = `Bearer ${'t'.repeat(700)}`;
const AUTHORITY = 'agent.example:7443';
/** node:http2 works in later turns. */
const settled = async (): Promise<void> => {
  for (let i = 0; i < 3; i++) await turn();
};

function requests1(target: string): () => Buffer {
  const request = Buffer.from(`GET ${target} HTTP/1.1\r\nHost: ${AUTHORITY}\r\nAuthorization: ${TOKEN}\r\n\r\n`);
  return () => request;
}

function openAgent(mode: Mode): (number: number) => Promise<Client> {
  const name = `bench-http-${mode}`;
  const resource: Resource = {
    ...RESOURCE,
    name,
    kind: 'http',
    http: { url: 'http://127.0.0.1:8080', private: true, inject: { as: 'header', name: 'x-key' } },
    credential: { kind: 'none', username: 'bench' },
    recording: mode === 'plain' ? 'statements' : 'results',
  };
  const secret = { username: 'bench', secret: new Secret('bench-key') };
  const agent = openInProcess(resource, ['read', 'write'], mode === 'plain' ? '' : EVERYTHING, {
    ...secret,
    certificate: false,
    http: staticCredential({ as: 'header', name: 'x-key' }, secret, () => Date.now()),
  });
  agents.push(agent);
  const adapter = createHttpDoor([httpDialect]);
  const quiet = (): void => undefined;
  return async (number) => {
    const { road, recorder, host } = agent.open(number, { database: '', application: 'wrk' });
    const target = `/r/${name}/small.json`;
    const request = isHttp2 ? http2Request(AUTHORITY, target, TOKEN) : requests1(target);
    const client: Omit<Client, 'session'> = { request, services: [], sent: 0, shown: 0 };
    const at = host({
      passed: client,
      service: (owner) => {
        client.services.push(owner);
      },
      signIn: {
        signIn: () => Promise.reject(new Error('sessions are joined')),
        join: () =>
          Promise.resolve({
            road,
            recorder,
            tokenExpiresAtMs: Number.POSITIVE_INFINITY,
            leave: quiet,
            keep: () => quiet,
          }),
        find: (asked) => (asked === name ? resource : undefined),
        domain: () => 'gate.example',
      },
    });
    const opened = Object.assign(client, { session: adapter.openSession(at) });
    opened.session.clientSecured({ serverName: undefined, alpn: isHttp2 ? 'h2' : 'http/1.1' });
    if (isHttp2) opened.session.clientBytes(http2Opening());
    opened.session.clientBytes(request());
    while (opened.sent === 0) await turn();
    client.services[0]?.upstreamBytes(ANSWER);
    if (isHttp2) await settled();
    return opened;
  };
}

const agents: ReturnType<typeof openInProcess>[] = [];
const caches = new Caches(Number(values.cold));

async function run(clients: readonly Client[], requests: number): Promise<void> {
  const before = clients[0]!.shown;
  for (let i = 0; i < requests; i += clients.length * streams) {
    // A turn: some clients ask, the record is written, the service answers them.
    for (const { session, request } of clients) for (let n = 0; n < streams; n++) session.clientBytes(request());
    if (isHttp2) await settled();
    for (const agent of agents) agent.flush();
    caches.leave();
    for (const { services } of clients) for (const service of services) service.upstreamBytes(ANSWER);
    if (isHttp2) await settled();
    caches.leave();
  }
  if (clients[0]!.shown - before < (requests / clients.length) * BODY.length) throw new Error('a session has stopped');
}

const requests = Number(values.requests);
const opened = new Map<Mode, Client[]>();
for (const mode of values.mode.split(',') as Mode[]) {
  let clients = opened.get(mode);
  if (clients === undefined) {
    const open = openAgent(mode);
    clients = [];
    for (let i = 0; i < Number(values.clients); i++) clients.push(await open(i + 16));
    opened.set(mode, clients);
  }
  const asking = clients;
  await timed(mode, Number(values.runs), requests, () => run(asking, requests));
  caches.isCold = true;
}
for (const agent of agents) agent.close();
process.exit(0);
