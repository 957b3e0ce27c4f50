/**
 * What ssh is told so that it reaches a resource through its agent: as options of one run, and as a block of ssh_config(5).
 * Refuses to weaken anything: hosts are proven by Sallyport's CA alone, and no other key is offered.
 */
import type { Resource } from '@sallyport/api-client';
import { CliError } from '../exit-codes.ts';
import { type AgentAddress, parseAddress } from '../proxy/agent-endpoint.ts';
import { commandFor } from '../proxy/command-for.ts';
import type { KeyFiles } from './key-folder.ts';

/** @throws CliError usage for a resource of another type, unavailable when no agent offers it */
export function requireSshEndpoint(resource: Resource): AgentAddress {
  const { name, type, endpoints } = resource;
  if (type !== 'ssh') throw new CliError('usage', `${name} is no SSH host.`, `Use ${commandFor(resource)}.`);
  const endpoint = endpoints.find(({ protocol }) => protocol === 'ssh');
  if (endpoint !== undefined) return parseAddress(endpoint.address);
  throw new CliError(
    'unavailable',
    `No agent that is connected offers ${name}.`,
    '`sallyport agents ls` shows which agents there are and when they were last seen.',
  );
}

interface Settings {
  readonly address: AgentAddress;
  readonly user: string;
  readonly files: KeyFiles;
}
type Setting = readonly [name: string, value: string];

function settingsOf({ address, user, files }: Settings): readonly Setting[] {
  return [
    ['HostName', address.host],
    ['Port', String(address.port)],
    ['User', user],
    ['IdentityFile', quoted(files.key)],
    ['CertificateFile', quoted(files.certificate)],
    ['IdentitiesOnly', 'yes'],
    ['UserKnownHostsFile', quoted(files.knownHosts)],
    ['GlobalKnownHostsFile', '/dev/null'],
    ['StrictHostKeyChecking', 'yes'],
    ['PreferredAuthentications', 'publickey,keyboard-interactive'],
    ['ForwardAgent', 'no'],
  ];
}

/** Arguments of ssh before the host's name. */
export const sshOptions = (settings: Settings): readonly string[] =>
  settingsOf(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`]);

/**
 * A block for one resource. The certificate is renewed while ssh reads its configuration, before it opens it.
 * @param renew shell command that renews, without the resource's name
 */
export function configBlock(resource: string, settings: Settings, renew: string): readonly string[] {
  return [
    `Match originalhost ${resource} exec "${renew.replaceAll('%', '%%').replaceAll('"', '\\"')} ${resource}"`,
    `Host ${resource}`,
    ...settingsOf(settings).map(([name, value]) => `  ${name} ${value}`),
    '',
  ];
}

/** ssh_config(5): a value with blanks stands in double quotes, `%` is doubled; it knows no way to say a quote. */
function quoted(file: string): string {
  if (file.includes('"') || file.includes('\n'))
    throw new CliError('usage', `ssh cannot be told of a folder with a quote in its name: ${file}.`);
  return `"${file.replaceAll('%', '%%')}"`;
}

/** One word of a POSIX shell's command line. */
export const shellWord = (text: string): string =>
  /^[A-Za-z0-9_@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
