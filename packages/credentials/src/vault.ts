/**
 * HashiCorp Vault and OpenBao as a source: KV version 1 and 2, the database engine with leases, and the SSH engine, which
 * signs session keys or makes one-time passwords. Refuses to follow a path out of its mount, and a certificate that is not
 * the one asked for. API: KV v1, KV v2, Database, SSH, sys/leases.
 */
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { Secret } from '@sallyport/core';
import type { HttpAnswer } from './ask-http.ts';
import {
  type Ask,
  type CredentialSource,
  type Fetched,
  FIELD,
  pickFields,
  type Setting,
  type Settings,
  type SourceHost,
  USERNAME_FIELD,
  unavailable,
} from './source.ts';
import { type IssuedSshCertificate, type SshCertificateAsk, takeSshCertificate } from './ssh-certificate.ts';
import {
  checkSignIn,
  dataOf,
  objectAt,
  PATH,
  requireOk,
  seconds,
  textOf,
  VAULT,
  VAULT_SIGN_IN,
  type VaultClient,
  vaultClient,
} from './vault-client.ts';

const KIND = VAULT;
/** A spent one-time password has nothing to prolong: its lease stands until the session ends. */
const OTP_LEASE_MS = 24 * 3_600_000;

const ENGINES = { kv1: 'secret', kv2: 'secret', database: 'database', ssh: 'ssh', ssh_otp: 'ssh' } as const;
const PER_SESSION = new Set(['database', 'ssh', 'ssh_otp']);

const SETTINGS: Readonly<Record<string, Setting>> = {
  ...VAULT_SIGN_IN,
  engine: { required: true, pattern: /kv1|kv2|database|ssh_otp|ssh/, help: Object.keys(ENGINES).join(', ') },
  mount: { ...PATH, help: 'where the engine is mounted (secret, database, ssh)' },
  path: { ...PATH, required: true, help: 'the secret’s path, or the role of database and SSH' },
  ip: { pattern: /[0-9a-fA-F.:]{2,45}/, help: 'ssh_otp: the server’s address as Vault’s role has it' },
  field: FIELD,
  username_field: USERNAME_FIELD,
};

export function vaultSource(host: SourceHost): CredentialSource {
  const client = vaultClient(host);
  return {
    kind: KIND,
    about:
      'HashiCorp Vault or OpenBao: KV version 1 and 2, database roles with leases, SSH certificates and one-time passwords.',
    settings: SETTINGS,
    check: (settings) => checkSignIn(settings) ?? checkEngine(settings),
    perSession: (settings) => PER_SESSION.has(settings['engine'] ?? ''),
    fetch: async (ask) => await fetchFrom(client, ask, host.nowMs()),
    sshCertificate: async (ask, wanted) => await sign(client, ask, wanted, host.nowMs()),
    renew: async (ask, leaseId) => {
      if (ask.settings['engine'] === 'ssh_otp') return host.nowMs() + OTP_LEASE_MS;
      const answer = await client.call(ask, 'PUT', 'sys/leases/renew', { lease_id: leaseId });
      return host.nowMs() + seconds(requireOk(answer), 'lease_duration');
    },
    revoke: async (ask, leaseId) => {
      const answer = await client.call(ask, 'PUT', 'sys/leases/revoke', { lease_id: leaseId, sync: true });
      // 400 "invalid lease": it is gone, which is what was wanted.
      if (answer.status !== 400) requireOk(answer, [200, 204]);
    },
  };
}

function checkEngine({ engine, ip }: Settings): { setting: string; message: string } | undefined {
  if (ip !== undefined && (engine !== 'ssh_otp' || isIP(ip) === 0))
    return { setting: 'ip', message: 'is an address, for ssh_otp alone' };
  return undefined;
}

const mountOf = ({ settings }: Ask): string =>
  settings['mount'] ?? ENGINES[settings['engine'] as keyof typeof ENGINES] ?? '';

async function fetchFrom(client: VaultClient, ask: Ask, nowMs: number): Promise<Fetched> {
  const engine = ask.settings['engine'] as keyof typeof ENGINES;
  const mount = mountOf(ask);
  const path = ask.settings['path'] ?? '';
  switch (engine) {
    case 'kv1':
      return pickFields(KIND, dataOf(await client.call(ask, 'GET', `${mount}/${path}`)), ask);
    case 'kv2':
      return pickFields(KIND, objectAt(dataOf(await client.call(ask, 'GET', `${mount}/data/${path}`)), 'data'), ask);
    case 'database':
      return leased(await client.call(ask, 'GET', `${mount}/creds/${path}`), 'password', nowMs);
    case 'ssh_otp': {
      const body = { ip: await addressOf(ask), ...(ask.username === '' ? {} : { username: ask.username }) };
      return leased(await client.call(ask, 'PUT', `${mount}/creds/${path}`, body), 'key', nowMs);
    }
    case 'ssh':
      throw unavailable(KIND, 'this role signs SSH keys: it has no password to give');
    default:
      engine satisfies never;
      throw unavailable(KIND, 'engine');
  }
}

/** Vault's OTP roles are bound to addresses. */
async function addressOf({ settings, target }: Ask): Promise<string> {
  const known = settings['ip'] ?? target?.host ?? '';
  if (isIP(known) !== 0) return known;
  if (known === '') throw unavailable(KIND, 'the server’s address is not known: give the setting `ip`');
  try {
    return (await lookup(known)).address;
  } catch (cause) {
    throw unavailable(KIND, 'the server’s address is not known', cause);
  }
}

/** A certificate is not leased: it ends by its own time. */
async function sign(
  client: VaultClient,
  ask: Ask,
  wanted: SshCertificateAsk,
  nowMs: number,
): Promise<IssuedSshCertificate> {
  if (ask.settings['engine'] !== 'ssh') throw unavailable(KIND, 'this engine signs no keys: engine ssh does');
  if (wanted.principals.length === 0 || wanted.principals.some((name) => !/^[^\s,\0*]{1,255}$/.test(name)))
    throw unavailable(KIND, 'accounts are asked for by name, and at least one');
  const answer = await client.call(ask, 'PUT', `${mountOf(ask)}/sign/${ask.settings['path']}`, {
    public_key: wanted.publicKey,
    valid_principals: wanted.principals.join(','),
    ttl: `${Math.max(1, Math.floor(wanted.ttlMs / 1000))}s`,
    cert_type: 'user',
  });
  return takeSshCertificate(KIND, textOf(dataOf(answer), 'signed_key'), wanted, nowMs);
}

function leased(answer: HttpAnswer, secretField: string, nowMs: number): Fetched {
  const body = requireOk(answer);
  const data = objectAt(body, 'data');
  const expiresAtMs = nowMs + seconds(body, 'lease_duration');
  return {
    username: textOf(data, 'username'),
    secret: new Secret(textOf(data, secretField)),
    lease: { id: textOf(body, 'lease_id'), expiresAtMs },
    expiresAtMs,
  };
}
