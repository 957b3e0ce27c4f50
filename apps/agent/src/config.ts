/**
 * The agent's settings, from the environment or flags of the same names (`SALLYPORT_DATA_DIR` = `--data-dir`).
 * Parsed once; refuses to start on a bad value or an unknown flag. Refuses to hold anything the control plane decides.
 */
import { hostname } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { GatewayError, isDnsLabel, type LogLevel, requireKnownSettings, Secret } from '@sallyport/core';
import { readIfThere } from './files.ts';

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface AgentConfig {
  readonly dataDir: string;
  /** Folder in which the clouds' SDKs are looked for. */
  readonly sdkDir: string;
  /** Needed at the first start, and to enrol anew. */
  readonly joinToken: Secret<string> | undefined;
  readonly listenPostgres: Address;
  /** Loopback only; undefined = off. */
  readonly listenPostgresPlaintext: Address | undefined;
  /** Undefined = off. */
  readonly listenSsh: Address | undefined;
  /** What clients of SSH may choose from; empty = the modern ones. */
  readonly sshAlgorithms: readonly string[];
  /** The forward proxy ends TLS for the hosts that resources register. */
  readonly interception: boolean;
  /** HTTP services, Kubernetes and MCP; undefined = off. */
  readonly listenHttps: Address | undefined;
  /** `host:port` of the control plane's links and of enrolment, where they are not as told before; empty = as told. */
  readonly linkEndpoints: readonly string[];
  readonly enrollEndpoints: readonly string[];
  /** Host by which clients reach the listeners. */
  readonly advertise: string;
  readonly health: Address;
  readonly logLevel: LogLevel;
  /** The process slot: part of every chain and cancel key of this process. */
  readonly instance: string;
  /** End when stdin closes; for launchers. */
  readonly exitWithParent: boolean;
}

const OPTIONS = {
  'join-token-file': { type: 'string' },
  'data-dir': { type: 'string' },
  'sdk-dir': { type: 'string' },
  'listen-postgres': { type: 'string' },
  'listen-postgres-plaintext': { type: 'string' },
  'listen-ssh': { type: 'string' },
  'ssh-algorithms': { type: 'string' },
  interception: { type: 'string' },
  'listen-https': { type: 'string' },
  'link-endpoints': { type: 'string' },
  'enroll-endpoints': { type: 'string' },
  advertise: { type: 'string' },
  health: { type: 'string' },
  'log-level': { type: 'string' },
  instance: { type: 'string' },
  'exit-with-parent': { type: 'boolean' },
} as const;

const invalid = (setting: string, reason: string): GatewayError =>
  new GatewayError('config.invalid', { setting, reason });

function parseAddress(setting: string, text: string): Address {
  const match = /^(\[[0-9a-fA-F:]+\]|[^:\s]+):(\d{1,5})$/.exec(text);
  const port = Number(match?.[2]);
  if (match === null || port > 65_535) throw invalid(setting, 'host:port is expected');
  return { host: (match[1] as string).replace(/^\[|\]$/g, ''), port };
}

/** Several by comma. */
const parseNames = (text: string | undefined): readonly string[] =>
  (text ?? '')
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');

/** `host:port`, several by comma. */
function parseEndpoints(setting: string, text: string | undefined): readonly string[] {
  const endpoints = parseNames(text);
  for (const endpoint of endpoints)
    if (parseAddress(setting, endpoint).port === 0) throw invalid(setting, 'a port from 1 is expected');
  return endpoints;
}

function parseSwitch(setting: string, text: string | undefined): boolean {
  if (text === undefined || text === 'off') return false;
  if (text === 'on') return true;
  throw invalid(setting, 'on or off is expected');
}

const LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error'];

/**
 * @param env the process's environment; a join token is taken from it or from a file, never from a flag
 * @throws GatewayError `config.invalid` naming the setting
 */
export function parseConfig(env: Readonly<Record<string, string | undefined>>, argv: readonly string[]): AgentConfig {
  requireKnownSettings(env);
  let flags: Readonly<Record<string, string | boolean | undefined>>;
  try {
    flags = parseArgs({ args: [...argv], options: OPTIONS, strict: true, allowPositionals: false }).values;
  } catch (cause) {
    throw new GatewayError('config.invalid', { reason: cause instanceof Error ? cause.message : 'flags' }, { cause });
  }
  const text = (flag: keyof typeof OPTIONS): string | undefined => {
    const given = flags[flag] ?? env[`SALLYPORT_${flag.replaceAll('-', '_').toUpperCase()}`];
    return typeof given === 'string' && given !== '' ? given : undefined;
  };
  const listenPostgres = parseAddress('SALLYPORT_LISTEN_POSTGRES', text('listen-postgres') ?? '127.0.0.1:7432');
  const plaintext = text('listen-postgres-plaintext');
  const ssh = text('listen-ssh');
  const https = text('listen-https');
  const logLevel = (text('log-level') ?? 'info') as LogLevel;
  if (!LEVELS.includes(logLevel)) throw invalid('SALLYPORT_LOG_LEVEL', `one of ${LEVELS.join(', ')} is expected`);
  const instance = text('instance') ?? 'main';
  if (!isDnsLabel(instance)) throw invalid('SALLYPORT_INSTANCE', 'a DNS label is expected');
  const dataDir = path.resolve(text('data-dir') ?? '/var/lib/sallyport-agent');
  return {
    dataDir,
    sdkDir: path.resolve(text('sdk-dir') ?? path.join(dataDir, 'sdk')),
    joinToken: joinToken(env['SALLYPORT_JOIN_TOKEN'], text('join-token-file')),
    listenPostgres,
    listenPostgresPlaintext:
      plaintext === undefined || plaintext === 'off'
        ? undefined
        : parseAddress('SALLYPORT_LISTEN_POSTGRES_PLAINTEXT', plaintext),
    listenSsh: ssh === undefined || ssh === 'off' ? undefined : parseAddress('SALLYPORT_LISTEN_SSH', ssh),
    sshAlgorithms: parseNames(text('ssh-algorithms')),
    interception: parseSwitch('SALLYPORT_INTERCEPTION', text('interception')),
    listenHttps: https === undefined || https === 'off' ? undefined : parseAddress('SALLYPORT_LISTEN_HTTPS', https),
    linkEndpoints: parseEndpoints('SALLYPORT_LINK_ENDPOINTS', text('link-endpoints')),
    enrollEndpoints: parseEndpoints('SALLYPORT_ENROLL_ENDPOINTS', text('enroll-endpoints')),
    advertise: text('advertise') ?? defaultAdvertise(listenPostgres.host),
    health: parseAddress('SALLYPORT_HEALTH', text('health') ?? '127.0.0.1:0'),
    logLevel,
    instance,
    exitWithParent: flags['exit-with-parent'] === true,
  };
}

const defaultAdvertise = (host: string): string => (host === '0.0.0.0' || host === '::' ? hostname() : host);

function joinToken(value: string | undefined, file: string | undefined): Secret<string> | undefined {
  if (value !== undefined && value !== '') return new Secret(value.trim());
  if (file === undefined) return undefined;
  try {
    // Gone is fine: a token works once, and an agent that has enrolled needs none.
    const bytes = readIfThere(file);
    return bytes === undefined ? undefined : new Secret(bytes.toString('utf8').trim());
  } catch (cause) {
    throw new GatewayError(
      'config.invalid',
      { setting: 'SALLYPORT_JOIN_TOKEN_FILE', reason: 'cannot be read' },
      { cause },
    );
  }
}
