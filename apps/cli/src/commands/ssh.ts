/** ssh, ssh-cert, ssh-config: hosts by OpenSSH's own, unchanged programs. */
import path from 'node:path';
import type { Resource } from '@sallyport/api-client';
import { writePrivateFile } from '../config/private-file.ts';
import type { Context } from '../context.ts';
import { CliError } from '../exit-codes.ts';
import { ownEnvironment, ownWords } from '../own-words.ts';
import type { WayInOptions } from '../proxy/way-in.ts';
import { spawnClient } from '../spawn-client.ts';
import { certify } from '../ssh/certify.ts';
import { configBlock, requireSshEndpoint, shellWord, sshOptions } from '../ssh/client-config.ts';
import { keyFiles, keyFolder } from '../ssh/key-folder.ts';
import { splitSshWords } from '../ssh/ssh-words.ts';
import type { Registry } from './command.ts';
import { withWayIn } from './connect.ts';

export function registerSsh({ program, run }: Registry): void {
  withWayIn(program.command('ssh').argument('<resource>').argument('[command...]', 'options and command for ssh'))
    .description('open a shell or run a command on a host, with ssh itself')
    .option('--login <account>', 'account on the host; the same as --role')
    .addHelpText(
      'after',
      '\nExamples:\n  sallyport ssh web-1\n  sallyport ssh web-1 -- systemctl status app\n  sallyport ssh web-1 --login deploy -- -t top',
    )
    .action(run(ssh));
  withWayIn(program.command('ssh-cert').argument('<resource>'))
    .description('get a certificate for ssh, good for minutes; nothing is asked while the one there is good')
    .option('--login <account>', 'account on the host; the same as --role')
    .option('--renew', 'get a new one in any case')
    .option('--add', 'give it to the running ssh-agent too')
    .option('--quiet', 'say nothing when it went well')
    .action(run(sshCert));
  program
    .command('ssh-config')
    .argument('[resources...]', 'all that can be reached when none is named')
    .description(
      'print a block of ssh_config for each host, so that plain `ssh <resource>`, scp, rsync, git and Ansible work',
    )
    .option('--write', 'write it beside the keys, and say the one line that ~/.ssh/config needs')
    .action(run(sshConfig));
}

type SshOptions = WayInOptions & { readonly login?: string };

function roleOf({ role, login }: SshOptions): string | undefined {
  if (role !== undefined && login !== undefined && role !== login)
    throw new CliError('usage', 'Give --login or --role, not both.');
  return login ?? role;
}

const userOf = (resource: string, role: string | undefined): string =>
  role === undefined ? resource : `${role}+${resource}`;

async function ssh(context: Context, name: string, rest: readonly string[], options: SshOptions): Promise<void> {
  await context.requireToken();
  const resource = await context.api.resources.get(name);
  const address = requireSshEndpoint(resource);
  const role = roleOf(options);
  const files = await certify(context, resource.name, { ...options, role });
  const words = splitSshWords(rest);
  const code = await spawnClient(
    context,
    'ssh',
    [
      ...sshOptions({ address, user: userOf(resource.name, role), files }),
      ...words.options,
      address.host,
      ...(words.command.length === 0 ? [] : ['--', ...words.command]),
    ],
    { missing: 'Install OpenSSH’s client.' },
  );
  if (code !== 0) context.finish(code);
}

interface CertOptions extends SshOptions {
  readonly renew?: boolean;
  readonly add?: boolean;
  readonly quiet?: boolean;
}

async function sshCert(context: Context, name: string, options: CertOptions): Promise<void> {
  const files = await certify(context, name, { ...options, role: roleOf(options) });
  if (options.add === true) {
    const code = await spawnClient(context, 'ssh-add', ['-q', '-t', '600', files.key], {
      missing: 'Install OpenSSH’s client.',
    });
    if (code !== 0)
      throw new CliError('failure', 'ssh-add did not take it.', 'Is an ssh-agent running? eval "$(ssh-agent)"');
  }
  if (options.quiet === true) return;
  const { key, certificate, knownHosts, renewed } = files;
  context.answer({ key, certificate, knownHosts, renewed }, () => [certificate]);
}

async function sshConfig(
  context: Context,
  names: readonly string[],
  options: { readonly write?: boolean },
): Promise<void> {
  await context.requireToken();
  const resources: Resource[] = [];
  if (names.length > 0) for (const name of names) resources.push(await context.api.resources.get(name));
  else
    for await (const resource of context.api.resources.list({ reachable: 'true', type: 'ssh' }))
      if (resource.endpoints.some(({ protocol }) => protocol === 'ssh')) resources.push(resource);
  const folder = keyFolder(context.terminal.env, context.access.profileName);
  const renew = [...startAgain(context), 'ssh-cert', '--quiet'].map(shellWord).join(' ');
  const lines = resources.flatMap((resource) =>
    configBlock(
      resource.name,
      {
        address: requireSshEndpoint(resource),
        user: userOf(resource.name, undefined),
        files: keyFiles(folder, resource.name),
      },
      renew,
    ),
  );
  if (options.write !== true) {
    context.answer({ config: lines.join('\n') }, () => lines);
    return;
  }
  const file = path.join(folder, 'config');
  writePrivateFile(file, `${lines.join('\n')}\n`);
  const include = `Include "${file}"`;
  context.answer({ file, include }, () => [
    `Wrote ${file} for ${resources.length} ${resources.length === 1 ? 'host' : 'hosts'}.`,
    'Put this line at the top of ~/.ssh/config:',
    `  ${include}`,
  ]);
}

/** As a shell is told it. */
function startAgain(context: Context): readonly string[] {
  const env = Object.entries(ownEnvironment(context)).map(([name, value]) => `${name}=${value}`);
  return [...(env.length === 0 ? [] : ['env', ...env]), ...ownWords(context)];
}
