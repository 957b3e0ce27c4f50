/**
 * What one thing asked over SSH is, in the words rules read: the channel, the command line as a shell reads it, the file.
 * Refuses to know bytes; packages/shell makes ShellFacts, packages/protocol-ssh the rest.
 */

export const SSH_CHANNELS = ['exec', 'shell', 'line', 'sftp', 'forward', 'subsystem'] as const;
export type SshChannel = (typeof SSH_CHANNELS)[number];

export interface SshForward {
  /** `local`: the client reaches out through the host; `remote`: others reach the client; `streamlocal`: a unix socket. */
  readonly kind: 'local' | 'remote' | 'streamlocal';
  /** The address asked for; the socket's path for `streamlocal`. */
  readonly host: string;
  /** 0 for `streamlocal`, and for a remote port that the host is to choose. */
  readonly port: number;
}

export interface SshFacts {
  readonly channel: SshChannel;
  /** The account on the host. */
  readonly login: string;
  readonly pty: boolean;
  /** '' for none. */
  readonly subsystem: string;
  readonly forward?: SshForward;
}

/** One simple command, wherever in the line it stands. */
export interface ShellCommand {
  /** Base name of what runs. Where it is not `resolved`: what it would be with every unknown variable unset. */
  readonly program: string;
  /** As it is written, after quotes. */
  readonly path: string;
  readonly arguments: readonly string[];
  /** The program is known for sure. */
  readonly resolved: boolean;
  /** Of substitutions and wrappers around it. */
  readonly depth: number;
  /** The wrappers around it, outermost first: `sudo`, `env`, `sh`, … */
  readonly via: readonly string[];
  readonly assignments: readonly { readonly name: string; readonly value: string }[];
  readonly redirects: readonly { readonly op: string; readonly path: string }[];
  /** Something in it is only known when it runs; such arguments stand as they are written (`$DIR`). */
  readonly dynamic: boolean;
  /** Of this command alone: redirections, and what a known program does with its arguments. `~` is the home directory. */
  readonly pathsWritten: readonly string[];
  readonly pathsRead: readonly string[];
}

/** A command line as a shell reads it. */
export interface ShellFacts {
  /** False: unreadable; the statement is refused. */
  readonly understood: boolean;
  readonly commands: readonly ShellCommand[];
  /** Distinct base names. */
  readonly programs: readonly string[];
  readonly pathsWritten: readonly string[];
  readonly pathsRead: readonly string[];
  readonly privilege: boolean;
  readonly network: boolean;
  readonly background: boolean;
  /** Why something cannot be told before it runs: `variable_program`, `decode_to_shell`, `interpreter_code`, … */
  readonly opaque: readonly string[];
}

export const FILE_OPERATIONS = [
  'open',
  'read',
  'write',
  'rename',
  'remove',
  'mkdir',
  'rmdir',
  'setstat',
  'symlink',
  'link',
  'list',
  'stat',
] as const;
export type FileOperation = (typeof FILE_OPERATIONS)[number];

export interface FileFacts {
  readonly op: FileOperation;
  /** Absolute, `.` and `..` resolved; the server's own real path where it told one. */
  readonly path: string;
  /** The other path of a rename, link or symlink; '' for none. */
  readonly target: string;
  /** Bytes, as far as they are known before; 0 otherwise. */
  readonly size: number;
  readonly via: 'sftp' | 'scp' | 'rsync' | 'git';
}
