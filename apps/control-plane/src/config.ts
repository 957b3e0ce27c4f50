/**
 * The process's configuration: environment and flags, read once at start. A wrong value stops the start with its name.
 * Refuses to know what a value is used for. Flag `--data-dir X` is SALLYPORT_DATA_DIR=X, `--database-url X` DATABASE_URL=X.
 */
import { readFileSync } from 'node:fs';
import { BlockList, isIPv4, isIPv6 } from 'node:net';
import path from 'node:path';
import { GatewayError, isDnsLabel, type LogLevel, requireKnownSettings, Secret } from '@sallyport/core';
import { parseKeks } from './keys/kek-sources.ts';
import { type KmsConfig, parseKms } from './keys/kms-config.ts';

export interface HostPort {
  readonly host: string;
  /** 0 = the system picks one. */
  readonly port: number;
}

/** One identity provider by OpenID Connect. */
export interface OidcProviderConfig {
  /** DNS label; memberships it gives have source `oidc:<name>`. */
  readonly name: string;
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: Secret<string> | undefined;
  /** Claim of the id token that lists groups. */
  readonly groupsClaim: string;
}

/** The mail server that notifications go through. */
export interface SmtpConfig {
  readonly host: string;
  readonly port: number;
  readonly implicitTls: boolean;
  /** This machine itself: clear text goes no further. */
  readonly loopback: boolean;
  readonly user: string | undefined;
  readonly password: Secret<string> | undefined;
  /** The address that messages come from. */
  readonly from: string;
}

/** A class only so that Nest can inject it; made by `parseConfig`. */
export class Config {
  readonly http!: HostPort;
  readonly httpTls!: { readonly cert: string; readonly key: Secret<string> } | undefined;
  /** A proxy in front is believed about addresses (X-Forwarded-For). */
  readonly behindProxy!: boolean;
  readonly link!: HostPort;
  readonly enroll!: HostPort;
  /** As browsers and CLIs reach the REST API; '' = from the listening address. */
  readonly publicUrl!: string;
  /** `host:port` that agents dial; empty = the listening address. */
  readonly publicLink!: readonly string[];
  readonly publicEnroll!: readonly string[];
  readonly dataDir!: string;
  /** Where recordings lie; one folder for all replicas. */
  readonly recordingsDir!: string;
  readonly databaseUrl!: Secret<string> | undefined;
  readonly redisUrl!: Secret<string> | undefined;
  /** Newest first when given by environment; otherwise `kekFile` is read or made. */
  readonly keks!: readonly Secret<Buffer>[];
  readonly kekFile!: string;
  /** KMSs that wrap master keys, the preferred one first. */
  readonly kms!: readonly KmsConfig[];
  /** Folder whose files credentials may name when the control plane resolves them; '' = none. */
  readonly secretsDir!: string;
  /** Folder in which the clouds' SDKs are looked for. */
  readonly sdkDir!: string;
  readonly demoIdp!: boolean;
  readonly demoIdpListen!: HostPort;
  readonly oidc!: readonly OidcProviderConfig[];
  /** Keys of trusted issuers may be fetched from this host, over plain HTTP too: for tests and trials. */
  readonly issuerLoopback!: boolean;
  /** Private networks that webhooks and identity providers of projects other than `default` may lead to. */
  readonly projectNetworks!: BlockList;
  /** Undefined = no e-mail. */
  readonly smtp!: SmtpConfig | undefined;
  /** Domain under which SNI names a resource; '' = none. */
  readonly domain!: string;
  /** Agents' forward proxies may end TLS for the hosts that resources register. */
  readonly interception!: boolean;
  /** How long the sums of what principals used are kept, which access reviews are made from. */
  readonly usageDays!: number;
  /** Drift is told of a grant that is unused, and of a stored credential that is unchanged, for so many days. */
  readonly unusedDays!: number;
  readonly credentialDays!: number;
  readonly logLevel!: LogLevel;
  readonly exitWithParent!: boolean;
}

type Env = Readonly<Record<string, string | undefined>>;

const LOOPBACK = new Set(['127.0.0.1', '::1', 'localhost']);
const KNOWN = [
  'HTTP',
  'HTTP_TLS_CERT',
  'HTTP_TLS_KEY',
  'HTTP_PLAINTEXT',
  'LINK',
  'ENROLL',
  'PUBLIC_URL',
  'PUBLIC_LINK',
  'PUBLIC_ENROLL',
  'DATA_DIR',
  'RECORDINGS_DIR',
  'KEK',
  'KEK_FILE',
  'KMS',
  'SECRETS_DIR',
  'SDK_DIR',
  'DEMO_IDP',
  'DEMO_IDP_LISTEN',
  'OIDC_NAME',
  'OIDC_ISSUER',
  'OIDC_CLIENT_ID',
  'OIDC_CLIENT_SECRET',
  'OIDC_GROUPS_CLAIM',
  'ISSUER_LOOPBACK',
  'PROJECT_NETWORKS',
  'SMTP_URL',
  'SMTP_FROM',
  'DOMAIN',
  'INTERCEPTION',
  'LOG_LEVEL',
  'USAGE_DAYS',
  'UNUSED_DAYS',
  'CREDENTIAL_DAYS',
] as const; // prettier-ignore

const refuse = (name: string, remedy: string): never => {
  throw new GatewayError('config.invalid', { name, remedy });
};

/** Flags become the environment variables of the same name and win over them. */
export function mergeFlags(argv: readonly string[], env: Env): { env: Env; exitWithParent: boolean } {
  const merged: Record<string, string | undefined> = { ...env };
  let exitWithParent = false;
  for (let i = 0; i < argv.length; i++) {
    const flag = argv[i]!;
    if (flag === '--exit-with-parent') {
      exitWithParent = true;
      continue;
    }
    const [name, inline] = flag.split(/=(.*)/s, 2) as [string, string | undefined];
    const upper = name.replace(/^--/, '').replaceAll('-', '_').toUpperCase();
    const variable = upper === 'DATABASE_URL' || upper === 'REDIS_URL' ? upper : `SALLYPORT_${upper}`;
    const known = variable === upper || (KNOWN as readonly string[]).includes(upper);
    if (!name.startsWith('--') || !known) refuse(name, 'there is no such flag');
    const value = inline ?? argv[++i];
    if (value === undefined) refuse(name, 'the flag needs a value');
    merged[variable] = value;
  }
  return { env: merged, exitWithParent };
}

function parseHostPort(name: string, text: string): HostPort {
  const match = /^(\[[0-9a-f:]+\]|[^:[\]\s]+):(\d{1,5})$/i.exec(text);
  if (match === null || Number(match[2]) > 65_535)
    return refuse(name, `host:port is expected, as 127.0.0.1:7400, not "${text}"`);
  return { host: match[1]!.replace(/^\[|\]$/g, ''), port: Number(match[2]) };
}

function parseSwitch(name: string, text: string | undefined): boolean {
  if (text === undefined || text === '' || text === 'off') return false;
  return text === 'on' ? true : refuse(name, 'on or off is expected');
}

function readNamed(name: string, file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new GatewayError('config.invalid', { name, file, remedy: 'the file cannot be read' }, { cause });
  }
}

function parseDays(name: string, text: string | undefined, fallback: number): number {
  if (text === undefined) return fallback;
  return /^[1-9]\d{0,3}$/.test(text) ? Number(text) : refuse(name, 'a number of days from 1 to 9999 is expected');
}

function parseUrl(name: string, text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol))
    return refuse(name, `an http or https URL is expected, not "${text}"`);
  return text.replace(/\/+$/, '');
}

function parseOidc(get: (name: string) => string | undefined): OidcProviderConfig[] {
  const issuer = get('OIDC_ISSUER');
  if (issuer === undefined) return [];
  const name = get('OIDC_NAME') ?? 'oidc';
  if (!isDnsLabel(name)) refuse('SALLYPORT_OIDC_NAME', 'a DNS label is expected');
  const secret = get('OIDC_CLIENT_SECRET');
  return [
    {
      name,
      issuer: parseUrl('SALLYPORT_OIDC_ISSUER', issuer),
      clientId: get('OIDC_CLIENT_ID') ?? refuse('SALLYPORT_OIDC_CLIENT_ID', 'it is needed with SALLYPORT_OIDC_ISSUER'),
      clientSecret: secret === undefined ? undefined : new Secret(secret),
      groupsClaim: get('OIDC_GROUPS_CLAIM') ?? 'groups',
    },
  ];
}

/** `10.20.0.0/16`, `fd12:3456::/32`, several by comma. */
function parseNetworks(name: string, text: string): BlockList {
  const networks = new BlockList();
  for (const item of text.split(',').map((part) => part.trim())) {
    if (item === '') continue;
    const [net = '', prefix = '', ...rest] = item.split('/');
    const bits = isIPv4(net) ? 32 : isIPv6(net) ? 128 : 0;
    if (bits === 0 || rest.length > 0 || !/^\d{1,3}$/.test(prefix) || Number(prefix) > bits)
      return refuse(name, `networks by comma are expected, as 10.20.0.0/16, not "${item}"`);
    networks.addSubnet(net, Number(prefix), bits === 32 ? 'ipv4' : 'ipv6');
  }
  return networks;
}

const MAIL_ADDRESS = /^[^\s<>,;:"@]{1,64}@[A-Za-z0-9.-]{1,190}$/;

/** `smtp://user:password@host:587` (STARTTLS) or `smtps://host:465`. The URL is never quoted: it holds a password. */
function parseSmtp(get: (name: string) => string | undefined): SmtpConfig | undefined {
  const text = get('SMTP_URL');
  if (text === undefined) return undefined;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^smtps?:$/.test(url.protocol) || url.hostname === '' || !/^\/?$/.test(url.pathname))
    return refuse('SALLYPORT_SMTP_URL', 'smtp://user:password@host:587 or smtps://host:465 is expected');
  const implicitTls = url.protocol === 'smtps:';
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const from = get('SMTP_FROM') ?? '';
  if (!MAIL_ADDRESS.test(from)) refuse('SALLYPORT_SMTP_FROM', 'the address that messages come from is expected');
  const decode = (name: string, part: string): string => {
    try {
      return decodeURIComponent(part);
    } catch {
      return refuse(name, 'its user or password is not percent-encoded');
    }
  };
  return {
    host,
    port: url.port === '' ? (implicitTls ? 465 : 587) : Number(url.port),
    implicitTls,
    loopback: LOOPBACK.has(host),
    user: url.username === '' ? undefined : decode('SALLYPORT_SMTP_URL', url.username),
    password: url.password === '' ? undefined : new Secret(decode('SALLYPORT_SMTP_URL', url.password)),
    from,
  };
}

/**
 * @param argv flags after the script's name
 * @throws GatewayError `config.invalid` with `name` and `remedy` of the first wrong value
 */
export function parseConfig(argv: readonly string[], environment: Env): Config {
  requireKnownSettings(environment);
  const { env, exitWithParent } = mergeFlags(argv, environment);
  const get = (name: string): string | undefined => env[`SALLYPORT_${name}`] || undefined;
  const address = (name: string, fallback: string): HostPort =>
    parseHostPort(`SALLYPORT_${name}`, get(name) ?? fallback);
  const list = (name: string): string[] => {
    const items = (get(name) ?? '')
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== '');
    for (const item of items) parseHostPort(`SALLYPORT_${name}`, item);
    return items;
  };
  const http = address('HTTP', '127.0.0.1:7400');
  const cert = get('HTTP_TLS_CERT');
  const key = get('HTTP_TLS_KEY');
  if ((cert === undefined) !== (key === undefined))
    refuse('SALLYPORT_HTTP_TLS_CERT', 'certificate and key are given together');
  const plaintext = get('HTTP_PLAINTEXT');
  if (plaintext !== undefined && plaintext !== 'behind-proxy')
    refuse('SALLYPORT_HTTP_PLAINTEXT', 'only behind-proxy is known');
  if (cert === undefined && !LOOPBACK.has(http.host) && plaintext === undefined) {
    refuse(
      'SALLYPORT_HTTP',
      'plain HTTP is for loopback: give SALLYPORT_HTTP_TLS_CERT and _KEY, or SALLYPORT_HTTP_PLAINTEXT=behind-proxy',
    );
  }
  const logLevel = get('LOG_LEVEL') ?? 'info';
  if (!['debug', 'info', 'warn', 'error'].includes(logLevel))
    refuse('SALLYPORT_LOG_LEVEL', 'debug, info, warn or error is expected');
  const dataDir = path.resolve(get('DATA_DIR') ?? '.sallyport/control-plane');
  const databaseUrl = env['DATABASE_URL'] || undefined;
  if (databaseUrl !== undefined && !/^postgres(ql)?:\/\//.test(databaseUrl))
    refuse('DATABASE_URL', 'postgres://… is expected');
  const redisUrl = env['REDIS_URL'] || undefined;
  if (redisUrl !== undefined && !/^rediss?:\/\//.test(redisUrl)) refuse('REDIS_URL', 'redis://… is expected');
  const kek = get('KEK');
  const publicUrl = get('PUBLIC_URL');
  return {
    http,
    httpTls:
      cert === undefined || key === undefined
        ? undefined
        : {
            cert: readNamed('SALLYPORT_HTTP_TLS_CERT', cert),
            key: new Secret(readNamed('SALLYPORT_HTTP_TLS_KEY', key)),
          },
    behindProxy: plaintext === 'behind-proxy',
    link: address('LINK', '127.0.0.1:7401'),
    enroll: address('ENROLL', '127.0.0.1:7402'),
    publicUrl: publicUrl === undefined ? '' : parseUrl('SALLYPORT_PUBLIC_URL', publicUrl),
    publicLink: list('PUBLIC_LINK'),
    publicEnroll: list('PUBLIC_ENROLL'),
    dataDir,
    recordingsDir: path.resolve(get('RECORDINGS_DIR') ?? path.join(dataDir, 'recordings')),
    databaseUrl: databaseUrl === undefined ? undefined : new Secret(databaseUrl),
    redisUrl: redisUrl === undefined ? undefined : new Secret(redisUrl),
    keks: kek === undefined ? [] : parseKeks('SALLYPORT_KEK', kek),
    kekFile: path.resolve(get('KEK_FILE') ?? path.join(dataDir, 'kek')),
    kms: parseKms('SALLYPORT_KMS', get('KMS')),
    secretsDir: get('SECRETS_DIR') === undefined ? '' : path.resolve(get('SECRETS_DIR')!),
    sdkDir: path.resolve(get('SDK_DIR') ?? path.join(dataDir, 'sdk')),
    demoIdp: parseSwitch('SALLYPORT_DEMO_IDP', get('DEMO_IDP')),
    demoIdpListen: address('DEMO_IDP_LISTEN', '127.0.0.1:0'),
    oidc: parseOidc(get),
    issuerLoopback: parseSwitch('SALLYPORT_ISSUER_LOOPBACK', get('ISSUER_LOOPBACK')),
    projectNetworks: parseNetworks('SALLYPORT_PROJECT_NETWORKS', get('PROJECT_NETWORKS') ?? ''),
    smtp: parseSmtp(get),
    domain: get('DOMAIN') ?? '',
    interception: parseSwitch('SALLYPORT_INTERCEPTION', get('INTERCEPTION')),
    usageDays: parseDays('SALLYPORT_USAGE_DAYS', get('USAGE_DAYS'), 400),
    unusedDays: parseDays('SALLYPORT_UNUSED_DAYS', get('UNUSED_DAYS'), 90),
    credentialDays: parseDays('SALLYPORT_CREDENTIAL_DAYS', get('CREDENTIAL_DAYS'), 90),
    logLevel: logLevel as LogLevel,
    exitWithParent,
  };
}
