/**
 * Everything needed to open sessions on one resource: where its agents listen, what they must prove, the name to sign in by
 * and tokens to do it with. Refuses to open anything.
 */
import type { Resource } from '@sallyport/api-client';
import { LIMITS } from '@sallyport/core';
import { openAccess } from '../config/access.ts';
import { readSecretFile } from '../config/private-file.ts';
import type { Context } from '../context.ts';
import { CliError } from '../exit-codes.ts';
import { readStdin } from '../terminal.ts';
import { type AccessTokens, accessTokens } from './access-tokens.ts';
import { type AgentAddress, requireEndpoints } from './agent-endpoint.ts';
import { commandFor } from './command-for.ts';

/** Options of every command that opens sessions. */
export interface WayInOptions {
  readonly role?: string;
  /** Profile (or demo principal) to act for. */
  readonly for?: string;
  readonly forTokenFile?: string;
  /** Why access is asked for. */
  readonly reason?: string;
}

export interface WayIn {
  readonly resource: Resource;
  readonly endpoints: readonly AgentAddress[];
  /** PEM of Sallyport's root. */
  readonly root: string;
  readonly user: string;
  readonly database: string | undefined;
  /** Said to the agent at sign-in, where it is not in the token. */
  readonly reason: string | undefined;
  readonly tokens: AccessTokens;
}

/** @throws ApiError, CliError: not signed in, no such resource, no agent */
export async function openWayIn(context: Context, name: string, options: WayInOptions): Promise<WayIn> {
  await context.requireToken();
  const [resource, root] = await Promise.all([context.api.resources.get(name), context.api.rootCertificate()]);
  if (resource.type !== 'postgres')
    throw new CliError('usage', `${name} is no PostgreSQL resource.`, `Use ${commandFor(resource)}.`);
  return {
    resource,
    endpoints: requireEndpoints(resource.name, resource.endpoints),
    root,
    user: options.role === undefined ? resource.name : `${options.role}+${resource.name}`,
    database: resource.databases?.[0],
    reason: reasonOf(options),
    tokens: accessTokensFor(context, resource.name, options),
  };
}

/** Access tokens for one resource, as oneself or acting for somebody. */
export function accessTokensFor(
  context: Context,
  resource: string,
  options: WayInOptions,
  reason?: string,
): AccessTokens {
  const tokens = exchangeTokens(context, options);
  return accessTokens(
    async () => context.api.oauth.exchange({ resource, role: options.role, reason, ...(await tokens()) }),
    context.terminal.nowMs,
  );
}

/** Whose rights an access token is to have, as the exchange takes them; asked for again at each exchange. */
export function exchangeTokens(
  context: Context,
  options: WayInOptions,
): () => Promise<{ readonly subjectToken: string; readonly actorToken?: string }> {
  const subject = subjectOf(context, options);
  return async () => {
    const own = await context.requireToken();
    const other = await subject?.();
    return other === undefined ? { subjectToken: own } : { subjectToken: other, actorToken: own };
  };
}

/** @throws CliError when it is longer than agents keep */
export function reasonOf({ reason }: WayInOptions): string | undefined {
  const text = reason?.trim();
  if (text === undefined || text === '') return undefined;
  if (Buffer.byteLength(text) > LIMITS.reasonBytesMax)
    throw new CliError('usage', `--reason takes at most ${LIMITS.reasonBytesMax} bytes.`);
  return text;
}

function subjectOf(context: Context, options: WayInOptions): (() => Promise<string>) | undefined {
  const { for: name, forTokenFile: file } = options;
  if (name !== undefined && file !== undefined)
    throw new CliError('usage', 'Give --for or --for-token-file, not both.');
  if (file === '-') {
    let read: Promise<string> | undefined;
    return () => (read ??= readStdin(context.terminal).then((text) => text.trim()));
  }
  if (file !== undefined) return () => Promise.resolve(readSecretFile(file));
  if (name === undefined) return undefined;
  // A profile's own token: what the environment says is about the one who acts.
  const terminal = { ...context.terminal, env: withoutTokens(context.terminal.env) };
  const access = openAccess(context.options.as === undefined ? { profile: name } : { as: name }, terminal);
  return async () => {
    const token = await access.token();
    if (token === undefined)
      throw new CliError(
        'unauthenticated',
        `Nobody is signed in under the profile ${name}.`,
        `sallyport login --profile ${name}`,
      );
    return token;
  };
}

function withoutTokens(
  env: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string | undefined>> {
  const names = ['SALLYPORT_TOKEN', 'SALLYPORT_TOKEN_FILE', 'SALLYPORT_CLIENT_ID', 'SALLYPORT_URL'];
  return Object.fromEntries(Object.entries(env).filter(([name]) => !names.includes(name)));
}
