/** How this program was started, for files that start it again: ssh_config, kubeconfig. */
import path from 'node:path';
import { demoFile } from './config/demo-stack.ts';
import type { Context } from './context.ts';

/** The program and the options that say who one is; without the environment. */
export const ownWords = ({ options }: Context): readonly string[] => [
  process.execPath,
  ...process.execArgv,
  process.argv[1] ?? 'sallyport',
  ...(options.profile === undefined ? [] : ['--profile', options.profile]),
  ...(options.project === undefined ? [] : ['--project', options.project]),
  ...(options.url === undefined ? [] : ['--url', options.url]),
  ...(options.as === undefined ? [] : ['--as', options.as]),
];

/** What has to stand in its environment for it to be the same again, in whatever folder. */
export function ownEnvironment({ terminal, options }: Context): Readonly<Record<string, string>> {
  const config = terminal.env['SALLYPORT_CONFIG'];
  const demo = options.as === undefined ? undefined : demoFile(terminal.env);
  return {
    ...(config === undefined || config === '' ? {} : { SALLYPORT_CONFIG: path.resolve(config) }),
    ...(demo === undefined ? {} : { SALLYPORT_DEV_FILE: demo }),
  };
}
