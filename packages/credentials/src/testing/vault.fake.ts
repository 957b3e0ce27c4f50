/**
 * A fake: answers as HashiCorp Vault 1.21 does on the few paths Sallyport asks, for machines where Vault itself cannot run.
 * The same cases are run against both, so that the fake is held to what the real one does.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface FakeVault {
  readonly address: string;
  /** KV version 2 data by path below the mount `secret`; KV version 1 below `kv`. */
  readonly secrets: Map<string, Record<string, string>>;
  /** Live leases of the database engine. */
  readonly leases: Set<string>;
  readonly tokens: Set<string>;
  readonly appRole: { readonly roleId: string; readonly secretId: string };
  /** The service account token it believes. */
  readonly jwt: string;
  /** It answers nothing but 503 from here on, or answers again. */
  setAway(away: boolean): void;
  stop(): Promise<void>;
}

type Body = Readonly<Record<string, unknown>>;

export async function startFakeVault(): Promise<FakeVault> {
  const secrets = new Map<string, Record<string, string>>();
  const leases = new Set<string>();
  const tokens = new Set(['root']);
  const appRole = { roleId: 'role-1', secretId: `secret-${randomBytes(8).toString('hex')}` };
  const jwt = `jwt-${randomBytes(8).toString('hex')}`;

  let away = false;
  const transit = startTransit();

  const login = (): Body => {
    const token = `hvs.${randomBytes(12).toString('hex')}`;
    tokens.add(token);
    return { auth: { client_token: token, lease_duration: 3600, renewable: true } };
  };
  const answer = (method: string, path: string, body: Body, token: string): readonly [number, Body | undefined] => {
    const bad = [400, { errors: ['invalid'] }] as const;
    if (away) return [503, { errors: ['sealed'] }];
    if (path === 'auth/approle/login')
      return body['role_id'] === appRole.roleId && body['secret_id'] === appRole.secretId ? [200, login()] : bad;
    if (path === 'auth/kubernetes/login')
      return body['jwt'] === jwt && body['role'] === 'app' ? [200, login()] : [403, { errors: ['permission denied'] }];
    if (!tokens.has(token)) return [403, { errors: ['permission denied'] }];
    if (path === 'auth/token/renew-self') return [200, { auth: { client_token: token, lease_duration: 3600 } }];
    if (path.startsWith('database/creds/')) {
      const id = `${path}/${randomBytes(8).toString('hex')}`;
      leases.add(id);
      const data = { username: `v-app-${randomBytes(4).toString('hex')}`, password: randomBytes(12).toString('hex') };
      return [200, { lease_id: id, lease_duration: 60, renewable: true, data }];
    }
    if (path === 'sys/leases/renew')
      return leases.has(String(body['lease_id'])) ? [200, { lease_id: body['lease_id'], lease_duration: 60 }] : bad;
    if (path === 'sys/leases/revoke')
      return leases.delete(String(body['lease_id'])) ? [204, undefined] : [204, undefined];
    if (path.startsWith('transit/')) return transit(path, body) ?? bad;
    const found = method === 'GET' ? secrets.get(path) : undefined;
    if (found === undefined) return [404, { errors: [] }];
    return [200, { data: path.startsWith('secret/data/') ? { data: found, metadata: { version: 1 } } : found }];
  };

  const server = createServer((request, response) => void serve(request, response, answer));
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    secrets,
    leases,
    tokens,
    appRole,
    jwt,
    setAway: (value) => {
      away = value;
    },
    stop: () => new Promise((done) => server.close(() => done())),
  };
}

/** The transit engine: every key exists, made when it is first used. */
function startTransit(): (path: string, body: Body) => readonly [number, Body] | undefined {
  const keys = new Map<string, Buffer>();
  return (path, body) => {
    const [, verb = '', name = ''] = path.split('/');
    const key = keys.get(name) ?? randomBytes(32);
    keys.set(name, key);
    const associated = Buffer.from(String(body['associated_data']), 'base64');
    if (verb === 'encrypt') {
      const nonce = randomBytes(12);
      const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(associated);
      const text = Buffer.concat([cipher.update(Buffer.from(String(body['plaintext']), 'base64')), cipher.final()]);
      const whole = Buffer.concat([nonce, text, cipher.getAuthTag()]);
      return [200, { data: { ciphertext: `vault:v1:${whole.toString('base64')}` } }];
    }
    if (verb !== 'decrypt') return undefined;
    const whole = Buffer.from(String(body['ciphertext']).replace(/^vault:v1:/, ''), 'base64');
    try {
      const cipher = createDecipheriv('aes-256-gcm', key, whole.subarray(0, 12))
        .setAAD(associated)
        .setAuthTag(whole.subarray(-16));
      const plain = Buffer.concat([cipher.update(whole.subarray(12, -16)), cipher.final()]);
      return [200, { data: { plaintext: plain.toString('base64') } }];
    } catch {
      // As Vault: it does not say what is wrong.
      return undefined;
    }
  };
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  answer: (method: string, path: string, body: Body, token: string) => readonly [number, Body | undefined],
): Promise<void> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  const text = Buffer.concat(parts).toString('utf8');
  const path = decodeURIComponent((request.url ?? '').replace(/^\/v1\//, ''));
  const body = text === '' ? {} : (JSON.parse(text) as Body);
  const [status, said] = answer(request.method ?? '', path, body, String(request.headers['x-vault-token'] ?? ''));
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(said === undefined ? undefined : JSON.stringify(said));
}
