/**
 * Asking HashiCorp Vault or OpenBao: sign-in by token, AppRole or Kubernetes service account, then one question at a time.
 * Its own token is kept in memory and renewed by use. Refuses redirects, and to know what is asked for.
 * API: "Vault HTTP API", AppRole, Kubernetes, auth/token/renew-self.
 */
import { createHash } from 'node:crypto';
import { Secret } from '@sallyport/core';
import { askHttp, type HttpAnswer } from './ask-http.ts';
import { ASK_MS_MAX, type Ask, ENDPOINT, type Setting, type Settings, type SourceHost, unavailable } from './source.ts';

export const VAULT = 'vault';
/** A sign-in is made anew this long before it ends. */
const EARLY_MS = 30_000;
const SESSIONS_MAX = 100;
const KUBERNETES_JWT = '/var/run/secrets/kubernetes.io/serviceaccount/token';

export const PATH: Setting = {
  pattern: /(?!.*(^|\/)\.\.?(\/|$))[A-Za-z0-9_.@+=/-]{1,400}/,
  help: 'a path inside the mount',
};
const WORD: Setting = { pattern: /[A-Za-z0-9_.@/-]{1,200}/, help: 'letters, digits and _ . - / @' };

/** Where it is and how to sign in. */
export const VAULT_SIGN_IN: Readonly<Record<string, Setting>> = {
  address: { ...ENDPOINT, required: true },
  namespace: { pattern: WORD.pattern, help: 'a namespace' },
  ca: { pattern: /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s-]+/, help: 'PEM of the CAs to trust' },
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

interface SignedIn {
  readonly token: Secret<string>;
  readonly untilMs: number;
}

/** Who asks: settings of `VAULT_SIGN_IN`, and the secret when it was put beside them. */
export type VaultAsk = Pick<Ask, 'settings' | 'key'>;
export interface VaultClient {
  /** A token that Vault has forgotten is made anew, once. @throws GatewayError `credential.unavailable` */
  call(ask: VaultAsk, method: 'GET' | 'PUT', path: string, body?: unknown): Promise<HttpAnswer>;
}

export function vaultClient(host: SourceHost): VaultClient {
  const sessions = new Map<string, Promise<SignedIn>>();

  async function tokenFor(ask: VaultAsk, fresh = false): Promise<SignedIn> {
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

  return {
    call: async (ask, method, path, body) => {
      const once = async (fresh: boolean): Promise<HttpAnswer> => {
        const { token } = await tokenFor(ask, fresh);
        return await request(ask.settings, method, path, { 'x-vault-token': token.reveal() }, body);
      };
      const answer = await once(false);
      return answer.status === 403 && ask.settings['auth'] !== 'token' ? await once(true) : answer;
    },
  };
}

const AUTH_SETTINGS = 'address namespace ca auth auth_mount role_id auth_role jwt_file key_env key_file'.split(' ');

/** Two credentials share a sign-in only when everything it was made from is the same, the secret too. */
function whoAsks({ settings, key }: VaultAsk): string {
  const secret = key === undefined ? '' : createHash('sha256').update(key.reveal()).digest('base64url');
  return JSON.stringify([...AUTH_SETTINGS.map((name) => settings[name]), secret]);
}

/** What sign-in settings are wrong with each other. */
export function checkSignIn(settings: Settings): { setting: string; message: string } | undefined {
  const { auth, role_id: roleId, auth_role: authRole, key_env: env, key_file: file } = settings;
  if (auth === 'approle' && roleId === undefined) return { setting: 'role_id', message: 'is needed for approle' };
  if (auth === 'kubernetes' && authRole === undefined)
    return { setting: 'auth_role', message: 'is needed for kubernetes' };
  if (env !== undefined && file !== undefined)
    return { setting: 'key_file', message: 'give key_env, key_file, or put the secret: one of them' };
  return undefined;
}

/** The secret that opens Vault: from the sealed box, a variable or a file of the host. */
async function keyOf(ask: VaultAsk, host: SourceHost): Promise<string> {
  const { key_env: env, key_file: file } = ask.settings;
  const given =
    env !== undefined ? host.variable(env) : file !== undefined ? await readKey(file, host) : ask.key?.reveal();
  if (given === undefined || given.trim() === '')
    throw unavailable(VAULT, 'the secret that opens the store is not here');
  return given.trim();
}

async function readKey(file: string, host: SourceHost): Promise<string> {
  try {
    return await host.readText(file);
  } catch (cause) {
    throw unavailable(VAULT, 'the file with the store’s secret cannot be read', cause);
  }
}

async function signIn(ask: VaultAsk, host: SourceHost): Promise<SignedIn> {
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
      throw unavailable(VAULT, 'auth');
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
    throw unavailable(VAULT, 'the store could not be reached', cause);
  }
}

export function requireOk(answer: HttpAnswer, wanted: readonly number[] = [200]): Readonly<Record<string, unknown>> {
  if (!wanted.includes(answer.status)) {
    const reason =
      answer.status === 404
        ? 'nothing at that path'
        : answer.status === 403 || answer.status === 400
          ? 'the store refuses'
          : 'the store could not answer';
    throw unavailable(VAULT, `${reason} (${answer.status})`);
  }
  return typeof answer.body === 'object' && answer.body !== null ? (answer.body as Record<string, unknown>) : {};
}

export function objectAt(value: Readonly<Record<string, unknown>>, name: string): Readonly<Record<string, unknown>> {
  const found = value[name];
  if (typeof found !== 'object' || found === null) throw unavailable(VAULT, 'an answer without data');
  return found as Record<string, unknown>;
}

export const dataOf = (answer: HttpAnswer): Readonly<Record<string, unknown>> => objectAt(requireOk(answer), 'data');

export function seconds(value: Readonly<Record<string, unknown>>, name: string): number {
  const found = value[name];
  if (typeof found !== 'number' || !(found >= 0)) throw unavailable(VAULT, 'an answer without a duration');
  return found * 1000;
}

export function textOf(value: Readonly<Record<string, unknown>>, name: string): string {
  const found = value[name];
  if (typeof found !== 'string' || found === '') throw unavailable(VAULT, 'an answer that is not understood');
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
