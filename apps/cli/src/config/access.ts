/**
 * From options, environment and profiles to one control plane and a way to get a token for it.
 * Order: `--as` (demo stack), `--token-file`, SALLYPORT_TOKEN_FILE, SALLYPORT_TOKEN, client id and secret, the profile.
 * Refuses to send a token over plain HTTP to another host, and refuses secrets on a command line: there is no such option.
 */
import { isIP } from 'node:net';
import { createApiClient } from '@sallyport/api-client';
import { CliError } from '../exit-codes.ts';
import { readStdin, type Terminal } from '../terminal.ts';
import { readDemoStack } from './demo-stack.ts';
import { readSecretFile } from './private-file.ts';
import { type Config, type Profile, readConfig } from './profiles.ts';
import { trustedCa } from './trusted-ca.ts';

/** Options every command takes. */
export interface GlobalOptions {
  readonly profile?: string;
  readonly project?: string;
  readonly url?: string;
  readonly tokenFile?: string;
  readonly caFile?: string;
  readonly as?: string;
  readonly json?: boolean;
}

export interface Access {
  readonly url: string;
  readonly caFile: string | undefined;
  readonly profileName: string;
  readonly profile: Profile | undefined;
  /** Said with every call when it was asked for; a token of another project is then refused. */
  readonly project: string | undefined;
  /** An API or session token; undefined when not signed in. Asked again when a long command needs a fresh one. */
  readonly token: () => Promise<string | undefined>;
}

const SESSION_MARGIN_MS = 60_000;
export const DEFAULT_URL = 'http://127.0.0.1:7400';

/** @throws CliError usage */
export function openAccess(options: GlobalOptions, terminal: Terminal): Access {
  const { env } = terminal;
  if (options.as !== undefined) return demoAccess(options, options.as, terminal);
  const config = readConfig(env);
  const project = options.project ?? (env['SALLYPORT_PROJECT'] || undefined);
  const named = options.profile ?? env['SALLYPORT_PROFILE'];
  const profileName = named ?? profileOf(config, project) ?? 'default';
  const profile = Object.hasOwn(config.profiles, profileName) ? config.profiles[profileName] : undefined;
  if (options.profile !== undefined && profile === undefined && options.url === undefined) {
    throw new CliError(
      'usage',
      `There is no profile ${profileName}.`,
      `sallyport login --profile ${profileName} --url URL makes one.`,
    );
  }
  const url = requireSafeUrl(options.url ?? env['SALLYPORT_URL'] ?? profile?.url ?? DEFAULT_URL);
  const caFile = trustedCa(options.caFile ?? env['SALLYPORT_CA_FILE'] ?? profile?.caFile);
  return {
    url,
    caFile,
    profileName,
    profile,
    project: project ?? profile?.project,
    token: tokenSource(options, terminal, url, profile),
  };
}

/** The current profile, unless another project is meant: then the one that was signed in to it, or is named after it. */
function profileOf({ current, profiles }: Config, project: string | undefined): string | undefined {
  const isFor = (name: string | undefined): boolean =>
    name !== undefined && Object.hasOwn(profiles, name) && (profiles[name]?.project ?? 'default') === project;
  if (project === undefined || isFor(current)) return current;
  return Object.keys(profiles).find(isFor) ?? project;
}

function demoAccess(options: GlobalOptions, name: string, terminal: Terminal): Access {
  const demo = readDemoStack(terminal.env, name);
  const url = requireSafeUrl(options.url ?? demo.url);
  const { token, clientId, clientSecret } = demo.principal;
  const get =
    token === undefined ? sessionOf(url, clientId ?? name, clientSecret ?? '', terminal) : () => Promise.resolve(token);
  const caFile = trustedCa(options.caFile ?? terminal.env['SALLYPORT_CA_FILE']);
  return { url, caFile, profileName: `demo:${name}`, profile: undefined, project: options.project, token: get };
}

function tokenSource(
  options: GlobalOptions,
  terminal: Terminal,
  url: string,
  profile: Profile | undefined,
): () => Promise<string | undefined> {
  const { env } = terminal;
  const file = options.tokenFile ?? env['SALLYPORT_TOKEN_FILE'];
  if (file === '-') {
    let read: Promise<string> | undefined;
    return () => (read ??= readStdin(terminal).then((text) => text.trim()));
  }
  // Read at each use: a file that a platform renews (a mounted secret) stays fresh.
  if (file !== undefined) return () => Promise.resolve(readSecretFile(file));
  const token = env['SALLYPORT_TOKEN'];
  if (token !== undefined && token !== '') return () => Promise.resolve(token);
  const clientId = env['SALLYPORT_CLIENT_ID'];
  const secret = clientSecretOf(env);
  if (clientId !== undefined && secret !== undefined) return sessionOf(url, clientId, secret, terminal);
  // A token is for the control plane it came from and for no other.
  if (profile === undefined || new URL(profile.url).origin !== new URL(url).origin)
    return () => Promise.resolve(undefined);
  return () => Promise.resolve(profile.token);
}

/** Client secret from SALLYPORT_CLIENT_SECRET_FILE or SALLYPORT_CLIENT_SECRET. */
export function clientSecretOf(env: Readonly<Record<string, string | undefined>>): string | undefined {
  const file = env['SALLYPORT_CLIENT_SECRET_FILE'];
  if (file !== undefined && file !== '') return readSecretFile(file);
  const secret = env['SALLYPORT_CLIENT_SECRET'];
  return secret === undefined || secret === '' ? undefined : secret;
}

/** Signs in with client credentials when first asked, and again shortly before the session ends. */
function sessionOf(url: string, clientId: string, secret: string, terminal: Terminal): () => Promise<string> {
  const { oauth } = createApiClient({ baseUrl: url });
  let current: { readonly token: string; readonly until: number } | undefined;
  return async () => {
    if (current === undefined || terminal.nowMs() > current.until) {
      const answer = await oauth.clientCredentials(clientId, secret);
      const lifeMs = (answer.expires_in ?? 600) * 1000;
      current = {
        token: answer.access_token,
        until: terminal.nowMs() + Math.max(lifeMs - SESSION_MARGIN_MS, lifeMs / 2),
      };
    }
    return current.token;
  };
}

/** @throws CliError usage for anything but https, and http on this machine */
export function requireSafeUrl(text: string): string {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new CliError('usage', `"${text}" is no URL.`, 'Write it as https://sallyport.example.');
  }
  if (url.username !== '' || url.password !== '')
    throw new CliError('usage', 'A URL with a password in it is not used.');
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isThisMachine(url.hostname))) {
    throw new CliError(
      'usage',
      `${url.origin} would carry your token in clear.`,
      'Use https; plain http is for this machine alone.',
    );
  }
  return url.href.replace(/\/+$/, '');
}

function isThisMachine(host: string): boolean {
  const bare = host.replace(/^\[|\]$/g, '');
  return bare === 'localhost' || bare === '::1' || (isIP(bare) === 4 && bare.startsWith('127.'));
}
