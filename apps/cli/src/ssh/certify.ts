/**
 * A fresh certificate for a resource's key, and the agents' host CA beside it. Refuses to open a connection to an agent.
 */
import { jwkThumbprint } from '@sallyport/ssh-certificates';
import { writePrivateFile } from '../config/private-file.ts';
import type { Context } from '../context.ts';
import { exchangeTokens, reasonOf, type WayInOptions } from '../proxy/way-in.ts';
import { ensureKey, isCertified, type KeyFiles, keyFiles, keyFolder } from './key-folder.ts';

export interface Certified extends KeyFiles {
  /** False when the one on the disk was still good. */
  readonly renewed: boolean;
}

/** @throws ApiError when no grant gives the resource, CliError when nobody is signed in */
export async function certify(
  context: Context,
  resource: string,
  options: WayInOptions & { readonly renew?: boolean },
): Promise<Certified> {
  const files = keyFiles(keyFolder(context.terminal.env, context.access.profileName), resource);
  const key = ensureKey(files);
  // Another person, role or reason than last time is another certificate.
  const isPlain = options.for === undefined && options.forTokenFile === undefined && options.reason === undefined;
  if (options.renew !== true && isPlain && isCertified(files, key, context.terminal.nowMs()))
    return { ...files, renewed: false };
  await context.requireToken();
  const { access_token } = await context.api.oauth.exchange({
    resource,
    role: options.role,
    reason: reasonOf(options),
    keyThumbprint: jwkThumbprint(key.key),
    ...(await exchangeTokens(context, options)()),
  });
  const line = `${key.type} ${key.blob.toString('base64')}`;
  const [{ certificate }, { knownHosts }] = await Promise.all([
    context.api.ssh.certify(line, access_token),
    context.api.ssh.authorities(),
  ]);
  writePrivateFile(files.knownHosts, knownHosts);
  writePrivateFile(files.certificate, `${certificate}\n`);
  return { ...files, renewed: true };
}
