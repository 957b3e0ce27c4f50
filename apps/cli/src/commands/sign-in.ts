/** login, logout, whoami. A token reaches the profile file alone (0600); it is never printed. */
import { setTimeout as sleep } from 'node:timers/promises';
import { createApiClient, type DeviceAuthorization, type TokenAnswer } from '@sallyport/api-client';
import { clientSecretOf, openAccess } from '../config/access.ts';
import { readSecretFile } from '../config/private-file.ts';
import { configFile, readConfig, saveProfile } from '../config/profiles.ts';
import type { Context } from '../context.ts';
import { CliError } from '../exit-codes.ts';
import { safeLine } from '../output/safe-text.ts';
import { renderFields } from '../output/table.ts';
import { parseSpan, showInstant } from '../output/time.ts';
import { openBrowser, signInOnLoopback } from '../sign-in/loopback.ts';
import { askHidden, readStdin } from '../terminal.ts';
import type { Registry } from './command.ts';

interface LoginOptions {
  readonly clientId?: string;
  readonly secretFile?: string;
  readonly browser?: boolean;
  readonly provider?: string;
  readonly maxAge?: string;
  readonly acr?: string;
}

export function registerSignIn({ program, run }: Registry): void {
  program
    .command('login')
    .description(
      'sign in, in a browser (device flow), with a token from a file, or as a service with client credentials',
    )
    .option(
      '--client-id <id>',
      'sign in as this service or AI agent; its secret comes from SALLYPORT_CLIENT_SECRET, --secret-file or a prompt',
    )
    .option('--secret-file <file>', 'file with the client secret (`-` = stdin); readable by you alone')
    .option('--provider <name>', 'sign in by this identity provider')
    .option('--browser', 'with the browser of this machine: it sends the answer here, and no code has to be compared')
    .option('--max-age <time>', 'prove who you are if you last did longer ago, as 5m (step-up)')
    .option('--acr <levels>', 'ask the provider for one of these levels, parted by spaces (step-up)')
    .action(run(login));
  program
    .command('logout')
    .description('end this sign-in at the control plane, and forget its token')
    .action(run(logout));
  program.command('whoami').description('show who you are, your groups and what your roles allow').action(run(whoami));
}

async function login(context: Context, options: LoginOptions): Promise<void> {
  const { terminal } = context;
  if (context.options.as !== undefined)
    throw new CliError('usage', '--as signs in by itself; there is nothing to log in to.');
  // What an earlier sign-in left is not what this one uses, so only the place is taken from it.
  const { url, caFile, profileName, project } = openAccess(
    { ...context.options, ...profileIfKnown(context) },
    terminal,
  );
  const answer = await obtainToken(context, options, { url, project });
  const api = createApiClient({ baseUrl: url, token: () => answer.access_token, project });
  const [me, root] = await Promise.all([api.whoami(), api.rootCertificate().catch(() => undefined)]);
  saveProfile(terminal.env, profileName, {
    url,
    token: answer.access_token,
    ...(answer.expires_in === undefined ? {} : { tokenExpiresAt: terminal.nowMs() + answer.expires_in * 1000 }),
    ...(caFile === undefined ? {} : { caFile }),
    ...(project === undefined ? {} : { project }),
    ...(root === undefined ? {} : { root }),
  });
  context.answer({ url, profile: profileName, project: me.project.name, principal: me.principal }, () => [
    `Signed in to ${url}, project ${safeLine(me.project.name)}, as ${safeLine(me.principal.name)} (${me.principal.kind}), profile ${profileName}.`,
  ]);
}

/** A profile named for the first time is made by this sign-in. */
function profileIfKnown(context: Context): { readonly profile?: string; readonly url?: string } {
  const { profile, url } = context.options;
  if (profile === undefined || Object.hasOwn(readConfig(context.terminal.env).profiles, profile)) return {};
  const place = url ?? context.terminal.env['SALLYPORT_URL'];
  if (place === undefined) throw new CliError('usage', `Where does the profile ${profile} sign in?`, 'Add --url URL.');
  return { url: place };
}

async function obtainToken(
  context: Context,
  options: LoginOptions,
  place: { readonly url: string; readonly project: string | undefined },
): Promise<TokenAnswer> {
  const { terminal } = context;
  const file = context.options.tokenFile;
  if (file !== undefined) {
    const token = file === '-' ? (await readStdin(terminal)).trim() : readSecretFile(file);
    return { access_token: token, token_type: 'Bearer' };
  }
  const { oauth } = context.api;
  const clientId = options.clientId ?? terminal.env['SALLYPORT_CLIENT_ID'];
  if (clientId !== undefined) return oauth.clientCredentials(clientId, await clientSecret(context, options));
  const asked = {
    ...place,
    provider: options.provider,
    maxAgeS: options.maxAge === undefined ? undefined : Math.floor(parseSpan(options.maxAge) / 1000),
    acrValues: options.acr,
  };
  if (options.browser === true)
    return await signInOnLoopback(oauth, { ...asked, baseUrl: place.url }, (address) => {
      context.note('Signing in with your browser. If it does not open, open this address:', `  ${safeLine(address)}`);
      openBrowser(address);
    });
  const device = await oauth.startDevice(place.project);
  showDevice(context, withSignIn(device, asked));
  return oauth.awaitDevice(device, (ms) => sleep(ms));
}

async function clientSecret(context: Context, options: LoginOptions): Promise<string> {
  const { secretFile } = options;
  if (secretFile === '-') return (await readStdin(context.terminal)).trim();
  if (secretFile !== undefined) return readSecretFile(secretFile);
  return clientSecretOf(context.terminal.env) ?? (await askHidden(context.terminal, 'Client secret: ')).trim();
}

function showDevice(context: Context, device: DeviceAuthorization): void {
  context.note(
    'Open this address in a browser, on any device, and confirm the code:',
    `  ${safeLine(device.verification_uri_complete ?? device.verification_uri)}`,
    `  code: ${safeLine(device.user_code)}`,
    'Waiting …',
  );
}

/** The address that signs in as asked first, and confirms the code after that. */
function withSignIn(
  device: DeviceAuthorization,
  asked: {
    readonly url: string;
    readonly project: string | undefined;
    readonly provider: string | undefined;
    readonly maxAgeS: number | undefined;
    readonly acrValues: string | undefined;
  },
): DeviceAuthorization {
  const { project, provider, maxAgeS, acrValues } = asked;
  if (provider === undefined && maxAgeS === undefined && acrValues === undefined) return device;
  const page = new URL(device.verification_uri_complete ?? device.verification_uri);
  const query = new URLSearchParams({
    ...(project === undefined ? {} : { project }),
    ...(provider === undefined ? {} : { provider }),
    ...(maxAgeS === undefined ? {} : { max_age: String(maxAgeS) }),
    ...(acrValues === undefined ? {} : { acr_values: acrValues }),
    return_to: page.pathname + page.search,
  });
  return { ...device, verification_uri_complete: `${page.origin}/v1/login?${query.toString()}` };
}

async function logout(context: Context): Promise<void> {
  const { env } = context.terminal;
  const { profileName, profile } = openAccess(context.options, context.terminal);
  if (profile === undefined) {
    context.answer({ profile: profileName, signedOut: false }, () => ['You were not signed in.']);
    return;
  }
  // A control plane that is away, or a token that is over or of a service: the token is forgotten all the same.
  const ended = await context.api.signOut().catch(() => undefined);
  saveProfile(env, profileName, undefined);
  const providerUrl = ended?.providerUrl ?? null;
  context.answer({ profile: profileName, signedOut: true, endedThere: ended !== undefined, providerUrl }, () => [
    `Signed out; the token is gone from ${configFile(env)}.`,
    ...(ended === undefined ? ['The control plane was not told: the token ends at its own time.'] : []),
    ...(providerUrl === null ? [] : [`To sign out at your identity provider too: ${safeLine(providerUrl)}`]),
  ]);
}

async function whoami(context: Context): Promise<void> {
  await context.requireToken();
  const me = await context.api.whoami();
  const { profile } = context.access;
  context.answer(me, () =>
    renderFields([
      ['principal', `${safeLine(me.principal.name)} (${me.principal.kind})`],
      ['id', me.principal.id],
      ['control plane', context.access.url],
      ['project', safeLine(me.project.name)],
      ['roles', me.roles?.join(', ')],
      ['groups', me.groups?.join(', ')],
      ['permissions', me.permissions?.join(', ')],
      ['signed in until', profile?.tokenExpiresAt === undefined ? undefined : showInstant(profile.tokenExpiresAt)],
    ]),
  );
}
