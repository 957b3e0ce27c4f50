/** `control-plane ca root-offline|root-online FILE [flags]`: arguments in, one line out. Refuses a passphrase as an argument. */
import { GatewayError, Secret } from '@sallyport/core';
import { parseConfig } from '../config.ts';
import { bringRootBack, takeRootOffline } from './root-key.ts';

const USAGE = 'ca root-offline FILE | ca root-online FILE, then the flags the control plane is started with';

/**
 * @param argv what follows `ca`
 * @returns what to tell the person
 * @throws GatewayError `config.invalid`
 */
export async function runCaCommand(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<string> {
  const [command, path, ...flags] = argv;
  if (path === undefined || path.startsWith('-'))
    throw new GatewayError('config.invalid', { name: 'ca', remedy: USAGE });
  const config = parseConfig(flags, env);
  const words = env['SALLYPORT_ROOT_PASSPHRASE'] || undefined;
  const file = { path, passphrase: words === undefined ? undefined : new Secret(words) };
  switch (command) {
    case 'root-offline':
      return `The root's key (${await takeRootOffline(config, file)}) is in ${path} alone. Keep two copies away from here; backups of the database made before still hold it, sealed.`;
    case 'root-online':
      return `The root's key (${await bringRootBack(config, file)}) is in the database again.`;
    default:
      throw new GatewayError('config.invalid', { name: 'ca', remedy: USAGE });
  }
}
