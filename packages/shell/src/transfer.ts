/**
 * Recognises the server halves of file transfers: `scp -t`, `rsync --server`, `sftp-server`, `git-upload-pack`. Their streams are
 * protocols, never masked. Refuses anything with more than that one command in it: then it is an ordinary line.
 */
import type { ShellFacts } from '@sallyport/model';

export interface ShellTransfer {
  readonly kind: 'scp' | 'rsync' | 'sftp-server' | 'git';
  /** As the host sees it: `receive` writes to it. Undefined where both ways are open. */
  readonly direction: 'receive' | 'send' | undefined;
  readonly paths: readonly string[];
}

export function transferOf(facts: ShellFacts): ShellTransfer | undefined {
  const [command] = facts.commands;
  if (!facts.understood || command === undefined || facts.commands.length !== 1 || facts.opaque.length > 0)
    return undefined;
  if (command.dynamic || command.assignments.length > 0 || command.redirects.length > 0 || facts.background)
    return undefined;
  const { program, arguments: args } = command;
  if (program === 'scp') return scp(args);
  if (program === 'rsync') return rsync(args);
  if (program === 'sftp-server') return { kind: 'sftp-server', direction: undefined, paths: [] };
  if (program === 'git-upload-pack' || program === 'git-upload-archive' || program === 'git-receive-pack')
    return git(program, args);
  if (program === 'git' && /^(?:upload-pack|upload-archive|receive-pack)$/.test(args[0] ?? ''))
    return git(`git-${args[0]}`, args.slice(1));
  return undefined;
}

function scp(args: readonly string[]): ShellTransfer | undefined {
  const end = args.findIndex((word) => word === '--' || !/^-./.test(word));
  const options = args.slice(0, end < 0 ? args.length : end).join('');
  const rest = end < 0 ? [] : args.slice(args[end] === '--' ? end + 1 : end);
  // The client sends these letters and no others (OpenSSH scp.c).
  if (!/^(?:-[tfrpdvCq]+)*$/.test(options) || rest.length === 0) return undefined;
  const receive = options.includes('t');
  if (receive === options.includes('f')) return undefined;
  return { kind: 'scp', direction: receive ? 'receive' : 'send', paths: rest };
}

function rsync(args: readonly string[]): ShellTransfer | undefined {
  if (args[0] !== '--server' || args.includes('--daemon') || args.some((word) => word.startsWith('--config')))
    return undefined;
  const dot = args.indexOf('.');
  if (dot < 0) return undefined;
  return { kind: 'rsync', direction: args[1] === '--sender' ? 'send' : 'receive', paths: args.slice(dot + 1) };
}

function git(program: string, args: readonly string[]): ShellTransfer | undefined {
  const paths = args.filter(
    (word) => !/^--(?:strict|no-strict|timeout=\d+|stateless-rpc|advertise-refs|http-backend-info-refs)$/.test(word),
  );
  if (paths.length !== 1 || paths[0]!.startsWith('-')) return undefined;
  return { kind: 'git', direction: program === 'git-receive-pack' ? 'receive' : 'send', paths };
}
