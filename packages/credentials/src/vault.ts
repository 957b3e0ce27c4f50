/**
 * HashiCorp Vault and OpenBao over their HTTP API: KV version 1 and 2, and the database engine with leases.
 * Signs in by token, AppRole or Kubernetes service account; its own token is kept in memory and renewed by use.
 * Refuses redirects, and to follow a path out of its mount. API: "Vault HTTP API", KV v1, KV v2, Database, AppRole,
 * Kubernetes, sys/leases. The SSH engine fits behind `ENGINES` when a protocol needs it.
 */
import { createHash } from 'node:crypto';
import { Secret } from '@sallyport/core';
import { askHttp, type HttpAnswer } from './ask-http.ts';
import {
  ASK_MS_MAX,
  type Ask,
  type CredentialSource,
  ENDPOINT,
  type Fetched,
  FIELD,
  pickFields,
  type Setting,
  type Settings,
  type SourceHost,
  USERNAME_FIELD,
  unavailable,
} from './source.ts';

const KIND = 'vault';
/** A sign-in is made anew this long before it ends. */
const EARLY_MS = 30_000;
const SESSIONS_MAX = 100;
const KUBERNETES_JWT = '/var/run/secrets/kubernetes.io/serviceaccount/token';

const PATH: Setting = { pattern: /(?!.*(^|\/)\.\.?(\/|$))[A-Za-z0-9_.@+=/-]{1,400}/, help: 'a path inside the mount' };
const WORD: Setting = { pattern: /[A-Za-z0-9_.@/-]{1,200}/, help: 'letters, digits and _ . - / @' };

const SETTINGS: Readonly<Record<string, Setting>> = {
  address: { ...ENDPOINT, required: true },
  namespace: { pattern: WORD.pattern, help: 'a namespace' },
  ca: { pattern: /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s-]+/, help: 'PEM of the CAs to trust' },
  engine: { required: true, pattern: /kv1|kv2|database/, help: 'kv1, kv2 or database' },
  mount: { ...PATH, help: 'where the engine is mounted (secret, database)' },
  path: { ...PATH, required: true, help: 'the secret’s path, or the database role' },
  field: FIELD,
  username_field: USERNAME_FIELD,
  auth: { required: true, pattern: /token|approle|kubernetes/, help: 'token, approle or kubernetes' },
  auth_mount: { ...PATH, help: 'where the auth method is mounted' },
  role_id: { pattern: WORD.pattern, help: 'of an AppRole' },
  auth_role: { pattern: WORD.pattern, help: 'of the Kubernetes auth method' },
  jwt_file: { pattern: /\/[^\0]{1,400}/, help: 'the service account’s token; the usual place when absent' },
  key_env: {
    pattern: /(?!SALLYPORT_(?!SECRET_))[A-Za-z_][A-Za-z0-9_]{0,127}/,
    help: 'variable with the token or secret id',
  },
  key_file: { pattern: /\/[^\0]{1,400}/, help: 'file with the token or secret id' },
};

const ENGINES = { kv1: 'secret', kv2: 'secret', database: 'database' } as const;

interface SignedIn {
  readonly token: Secret<string>;
  readonly untilMs: number;
}

export function vaultSource(host: SourceHost): CredentialSource {
  const sessions = new Map<string, Promise<SignedIn>>();

  async function tokenFor(ask: Ask, fresh = false): Promise<SignedIn> {
    const name = whoAsks(ask);
    const known = fresh ? undefined : await sessions.get(name)?.catch(() => undefined);
    if (known !== undefined && known.untilMs - EARLY_MS > host.nowMs()) return known;
    if (sessions.size >= SESSIONS_MAX) sessions.clear();
    const made = signIn(ask, host);
    // What fails is asked again: only sign-ins that stand are kept.
    made.catch(() => sessions.delete(name));
    sessions.set(name, made);
    return await made;
  }

  /** Asks; a token that Vault has forgotten is made anew, once. */
  async function call(ask: Ask, method: 'GET' | 'PUT', path: string, body?: unknown): Promise<HttpAnswer> {
    const once = async (fresh: boolean): Promise<HttpAnswer> => {
      const { token } = await tokenFor(ask, fresh);
      return await request(ask.settings, method, path, { 'x-vault-token': token.reveal() }, body);
    };
    const answer = await once(false);
    return answer.status === 403 && ask.settings['auth'] !== 'token' ? await once(true) : answer;
  }

  return {
    kind: KIND,
    about: 'HashiCorp Vault or OpenBao: KV version 1 and 2, database roles with leases.',
    settings: SETTINGS,
    check: checkTogether,
    perSession: (settings) => settings['engine'] === 'database',
    fetch: async (ask) => {
      const engine = ask.settings['engine'] as keyof typeof ENGINES;
      const mount = ask.settings['mount'] ?? ENGINES[engine];
      const path = ask.settings['path'] ?? '';
      switch (engine) {
        case 'kv1':
          return pickFields(KIND, dataOf(await call(ask, 'GET', `${mount}/${path}`)), ask);
        case 'kv2':
          return pickFields(KIND, objectAt(dataOf(await call(ask, 'GET', `${mount}/data/${path}`)), 'data'), ask);
        case 'database':
          return leased(await call(ask, 'GET', `${mount}/creds/${path}`), host.nowMs());
        default:
          engine satisfies never;
          throw unavailable(KIND, 'engine');
      }
    },
    renew: async (ask, leaseId) => {
      const answer = await call(ask, 'PUT', 'sys/leases/renew', { lease_id: leaseId });
      return host.nowMs() + seconds(requireOk(answer), 'lease_duration');
    },
    revoke: async (ask, leaseId) => {
      const answer = await call(ask, 'PUT', 'sys/leases/revoke', { lease_id: leaseId, sync: true });
      // 400 "invalid lease": it is gone, which is what was wanted.
      if (answer.status !== 400) requireOk(answer, [200, 204]);
    },
  };
}

const AUTH_SETTINGS = 'address namespace ca auth auth_mount role_id auth_role jwt_file key_env key_file'.split(' ');

/** Two credentials share a sign-in only when everything it was made from is the same, the secret too. */
function whoAsks({ settings, key }: Ask): string {
  const secret = key === undefined ? '' : createHash('sha256').update(key.reveal()).digest('base64url');
  return JSON.stringify([...AUTH_SETTINGS.map((name) => settings[name]), secret]);
}

function checkTogether(settings: Settings): { setting: string; message: string } | undefined {
  const { auth, role_id: roleId, auth_role: authRole, key_env: env, key_file: file } = settings;
  if (auth === 'approle' && roleId === undefined) return { setting: 'role_id', message: 'is needed for approle' };
  if (auth === 'kubernetes' && authRole === undefined)
    return { setting: 'auth_role', message: 'is needed for kubernetes' };
  if (env !== undefined && file !== undefined)
    return { setting: 'key_file', message: 'give key_env, key_file, or put the secret: one of them' };
  return undefined;
}

/** The secret that opens Vault: from the sealed box, a variable or a file of the host. */
async function keyOf(ask: Ask, host: SourceHost): Promise<string> {
  const { key_env: env, key_file: file } = ask.settings;
  const given =
    env !== undefined ? host.variable(env) : file !== undefined ? await readKey(file, host) : ask.key?.reveal();
  if (given === undefined || given.trim() === '')
    throw unavailable(KIND, 'the secret that opens the store is not here');
  return given.trim();
}

async function readKey(file: string, host: SourceHost): Promise<string> {
  try {
    return await host.readText(file);
  } catch (cause) {
    throw unavailable(KIND, 'the file with the store’s secret cannot be read', cause);
  }
}

async function signIn(ask: Ask, host: SourceHost): Promise<SignedIn> {
  const { settings } = ask;
  const mount = settings['auth_mount'] ?? settings['auth'];
  const nowMs = host.nowMs();
  switch (settings['auth']) {
    case 'token': {
      const token = new Secret(await keyOf(ask, host));
      // Looked at once a minute, so that a periodic token lives on by being used.
      await request(settings, 'PUT', 'auth/token/renew-self', { 'x-vault-token': token.reveal() }, {});
      return { token, untilMs: nowMs + 60_000 + EARLY_MS };
    }
    case 'approle': {
      const body = { role_id: settings['role_id'], secret_id: await keyOf(ask, host) };
      return authOf(await request(settings, 'PUT', `auth/${mount}/login`, {}, body), nowMs);
    }
    case 'kubernetes': {
      const jwt = await readKey(settings['jwt_file'] ?? KUBERNETES_JWT, host);
      const body = { role: settings['auth_role'], jwt: jwt.trim() };
      return authOf(await request(settings, 'PUT', `auth/${mount}/login`, {}, body), nowMs);
    }
    default:
      throw unavailable(KIND, 'auth');
  }
}

async function request(
  settings: Settings,
  method: 'GET' | 'PUT',
  path: string,
  headers: Readonly<Record<string, string>>,
  body?: unknown,
): Promise<HttpAnswer> {
  const base = (settings['address'] ?? '').replace(/\/+$/, '');
  const url = new URL(`${base}/v1/${path.split('/').map(encodeURIComponent).join('/')}`);
  const namespace = settings['namespace'];
  try {
    return await askHttp({
      method,
      url,
      headers: {
        ...headers,
        'x-vault-request': 'true',
        ...(namespace === undefined ? {} : { 'x-vault-namespace': namespace }),
      },
      body,
      ca: settings['ca'],
      timeoutMs: ASK_MS_MAX / 2,
    });
  } catch (cause) {
    throw unavailable(KIND, 'the store could not be reached', cause);
  }
}

function requireOk(answer: HttpAnswer, wanted: readonly number[] = [200]): Readonly<Record<string, unknown>> {
  if (!wanted.includes(answer.status)) {
    const reason =
      answer.status === 404
        ? 'nothing at that path'
        : answer.status === 403
          ? 'the store refuses'
          : 'the store could not answer';
    throw unavailable(KIND, `${reason} (${answer.status})`);
  }
  return typeof answer.body === 'object' && answer.body !== null ? (answer.body as Record<string, unknown>) : {};
}

function objectAt(value: Readonly<Record<string, unknown>>, name: string): Readonly<Record<string, unknown>> {
  const found = value[name];
  if (typeof found !== 'object' || found === null) throw unavailable(KIND, 'an answer without data');
  return found as Record<string, unknown>;
}

const dataOf = (answer: HttpAnswer): Readonly<Record<string, unknown>> => objectAt(requireOk(answer), 'data');

function seconds(value: Readonly<Record<string, unknown>>, name: string): number {
  const found = value[name];
  if (typeof found !== 'number' || !(found >= 0)) throw unavailable(KIND, 'an answer without a duration');
  return found * 1000;
}

function textOf(value: Readonly<Record<string, unknown>>, name: string): string {
  const found = value[name];
  if (typeof found !== 'string' || found === '') throw unavailable(KIND, 'an answer that is not understood');
  return found;
}

function authOf(answer: HttpAnswer, nowMs: number): SignedIn {
  const auth = objectAt(requireOk(answer), 'auth');
  const lifeMs = seconds(auth, 'lease_duration');
  return {
    token: new Secret(textOf(auth, 'client_token')),
    // 0 = a token that does not end.
    untilMs: lifeMs === 0 ? Number.MAX_SAFE_INTEGER : nowMs + lifeMs,
  };
}

function leased(answer: HttpAnswer, nowMs: number): Fetched {
  const body = requireOk(answer);
  const data = objectAt(body, 'data');
  const expiresAtMs = nowMs + seconds(body, 'lease_duration');
  return {
    username: textOf(data, 'username'),
    secret: new Secret(textOf(data, 'password')),
    lease: { id: textOf(body, 'lease_id'), expiresAtMs },
    expiresAtMs,
  };
}
