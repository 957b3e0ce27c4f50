/**
 * What is asked, as statements: a command line, a shell, a subsystem, a file operation, a forward. The digest is what an
 * approval is bound to: protocol, login, channel, the words themselves. Refuses to know rules and bytes.
 * A line that cannot be read has `understood: false`, and is refused whatever the rules say.
 */
import { hash } from 'node:crypto';
import {
  EFFECTS,
  type Effect,
  type FileFacts,
  type ShellCommand,
  type ShellFacts,
  type SshFacts,
  type SshTarget,
  type Statement,
} from '@sallyport/model';
import { effectsOfShell, parseCommandLine, type ShellTransfer, transferOf } from '@sallyport/shell';

/** A program that moves files and speaks its own protocol over stdin and stdout. */
export interface Transfer {
  readonly kind: ShellTransfer['kind'];
  /** `read` = files leave the host. */
  readonly op: 'read' | 'write';
  readonly paths: readonly string[];
}

/** Files that Ansible copies and runs: nobody reads what is in them. */
const ANSIBLE_MODULE = /\/\.ansible\/tmp\/ansible-tmp-[\d.-]+\/(?:AnsiballZ_)?\w+(?:\.py)?$/;

/**
 * A line as a shell reads it. What is opaque by nature and let in by name is not said to be opaque: Ansible's modules, and
 * the bare shell that VS Code's server is started through.
 */
export function readCommand(text: string, letIn: readonly SshTarget['opaque'][number][] = []): ShellFacts {
  const facts = parseCommandLine(text, { dialect: 'posix' });
  if (facts.opaque.length === 0 || letIn.length === 0) return facts;
  const isLetIn =
    (letIn.includes('ansible') && facts.opaque.every((why) => why === 'script') && facts.commands.every(isAnsible)) ||
    (letIn.includes('vscode') && /^(?:\/bin\/)?(?:ba)?sh(?: -l)?$/.test(text.trim()));
  return isLetIn ? { ...facts, opaque: [] } : facts;
}

/** An interpreter of a module, or a command that runs no file of its own. */
const isAnsible = ({ program, arguments: args }: ShellCommand): boolean =>
  /^python[\d.]*$/.test(program) ? ANSIBLE_MODULE.test(args[0] ?? '') : /^(?:sh|sleep|true|echo)$/.test(program);

/** Where such a program lies on a host; one of that name elsewhere may be anything. */
const PROGRAM_PLACE =
  /^(?:\/(?:usr\/(?:local\/)?)?(?:bin|libexec(?:\/[a-z-]+)?|lib\/(?:openssh|ssh|git-core)|sbin)\/)?[a-z-]+$/;
/** What rsync's client asks of its server without reaching for files that the line does not name; all else is a command. */
const RSYNC_OPTION =
  /^(?:--server|--sender|-[a-zA-Z]*(?:\.[a-zA-Z.]*)?|--(?:no-)?(?:delete(?:-[a-z]+)?|numeric-ids|inplace|partial|size-only|ignore-times|ignore-existing|existing|checksum|recursive|dirs|links|perms|times|group|owner|devices|specials|hard-links|sparse|whole-file|one-file-system|compress|inc-recursive|implied-dirs|omit-dir-times|safe-links|copy-links|keep-dirlinks|protect-args|secluded-args|stats|fsync|preallocate|msgs2stderr|use-qsort|force|max-delete=\d+|timeout=\d+|bwlimit=[\d.]+[a-zA-Z]*|block-size=\d+|modify-window=-?\d+|compress-level=\d+|compress-choice=[a-z0-9]+|checksum-choice=[a-z0-9,]+|skip-compress=[a-z0-9/]+|log-format=[%a-zA-Z]*|out-format=[%a-zA-Z]*|debug=[A-Z0-9,]*|info=[A-Z0-9,]*))$/i;

/** No pattern that the host would fill in; scp names what it found, so its last part may be one. */
const isPlain = (path: string): boolean => !/[*?[\]{}$`\\]/.test(path);

/** A line that is one transfer program and nothing else. */
export function transferIn(shell: ShellFacts): Transfer | undefined {
  const found = transferOf(shell);
  const [command] = shell.commands;
  if (found === undefined || command === undefined) return undefined;
  if (command.via.length > 0 || !PROGRAM_PLACE.test(command.path)) return undefined;
  if (!found.paths.every((path) => isPlain(found.kind === 'scp' ? path.slice(0, path.lastIndexOf('/') + 1) : path)))
    return undefined;
  if (found.kind === 'rsync') {
    const options = command.arguments.slice(0, command.arguments.indexOf('.'));
    if (!options.every((option) => RSYNC_OPTION.test(option))) return undefined;
  }
  return { kind: found.kind, op: found.direction === 'send' ? 'read' : 'write', paths: found.paths };
}

export interface Asker {
  readonly login: string;
  readonly pty: boolean;
  /** See `Statement.meaning`. */
  readonly meaning?: string | undefined;
}

const effectsIn = (wanted: readonly Effect[]): readonly Effect[] => EFFECTS.filter((effect) => wanted.includes(effect));

function statement(
  text: string,
  effects: readonly Effect[],
  facts: Statement['facts'],
  ssh: SshFacts,
  understood = true,
  meaning?: string,
): Statement {
  return {
    protocol: 'ssh',
    digest: hash('sha256', JSON.stringify(['ssh', ssh.channel, ssh.login, ssh.subsystem, text]), 'hex'),
    text,
    parameters: [],
    effects: effectsIn(effects),
    understood,
    facts: { ...facts, ssh },
    inTransaction: false,
    wroteInTransaction: false,
    ...(meaning === undefined ? {} : { meaning }),
  };
}

const sshFacts = (channel: SshFacts['channel'], { login, pty }: Asker, subsystem = ''): SshFacts => ({
  channel,
  login,
  pty,
  subsystem,
});

/** Decoding replaced bytes that are no UTF-8, or a NUL ends the line earlier for a shell than for us. */
const isReadable = (text: string): boolean => !text.includes('\ufffd') && !text.includes('\0');

/** @param channel `exec`, or `line` of a shell that is judged line by line */
export function commandStatement(
  text: string,
  shell: ShellFacts,
  asker: Asker,
  channel: 'exec' | 'line' = 'exec',
): Statement {
  return statement(
    text,
    effectsOfShell(shell),
    { shell },
    sshFacts(channel, asker),
    isReadable(text) && shell.understood,
    asker.meaning,
  );
}

/** One statement for each file a transfer program names; the program itself does nothing else. */
export function transferStatements(
  text: string,
  transfer: Transfer,
  shell: ShellFacts,
  asker: Asker,
): readonly Statement[] {
  const via = transfer.kind === 'sftp-server' ? 'sftp' : transfer.kind;
  const { op } = transfer;
  const ssh = sshFacts('exec', asker);
  if (transfer.kind === 'sftp-server') return [statement(text, [], { shell }, ssh, true, asker.meaning)];
  const paths = transfer.paths.length === 0 ? ['.'] : transfer.paths;
  return paths.map((path) =>
    statement(
      text,
      [op],
      { shell, file: { op, path: normalPath(path), target: '', size: 0, via } },
      ssh,
      true,
      asker.meaning,
    ),
  );
}

export const shellStatement = (asker: Asker): Statement =>
  statement('(shell)', ['exec'], {}, sshFacts('shell', asker), true, asker.meaning);

/** Opening it does nothing yet: its operations are statements. Only sftp is opened at all. */
export const subsystemStatement = (name: string, asker: Asker): Statement =>
  name === 'sftp'
    ? statement('(sftp)', [], {}, sshFacts('sftp', asker, name))
    : statement(`(subsystem ${name})`, ['exec'], {}, sshFacts('subsystem', asker, name), false);

const MAPPED = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/;

/**
 * One spelling for an address that a client asks for: small letters, no dot at the end, IPv4 in four decimal numbers however
 * it came (`127.1`, `0x7f000001`, `::ffff:127.0.0.1`). Names are not looked up.
 */
export function canonicalHost(spelled: string): string {
  const name = spelled.toLowerCase().replace(/(?<=.)\.$/, '');
  const bracketed = name.includes(':') && !name.startsWith('[') ? `[${name}]` : name;
  // What a URL would end at is no host; the name stays as it came, and a rule sees that.
  if (!/^[\w.:[\]-]+$/.test(bracketed) || !URL.canParse(`http://${bracketed}/`)) return name;
  const host = new URL(`http://${bracketed}/`).hostname.replace(/^\[|\]$/g, '');
  const mapped = MAPPED.exec(host);
  if (mapped === null) return host === '' ? name : host;
  const [high, low] = [Number.parseInt(mapped[1]!, 16), Number.parseInt(mapped[2]!, 16)];
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
}

export function forwardStatement(forward: NonNullable<SshFacts['forward']>, login: string): Statement {
  const at = forward.kind === 'streamlocal' ? forward.host : `${forward.host}:${forward.port}`;
  return statement(
    `(forward ${forward.kind} ${at})`,
    ['forward'],
    {},
    {
      ...sshFacts('forward', { login, pty: false }),
      forward,
    },
  );
}

const FILE_EFFECTS: Readonly<Record<FileFacts['op'], readonly Effect[]>> = {
  open: ['read'],
  read: ['read'],
  list: ['read'],
  stat: ['read'],
  write: ['write'],
  rename: ['write'],
  remove: ['write'],
  mkdir: ['write'],
  rmdir: ['write'],
  setstat: ['write'],
  symlink: ['write'],
  link: ['write'],
};

/** @param alsoReads a file that is opened for both */
export function fileStatement(file: FileFacts, login: string, alsoReads = false): Statement {
  const words = [file.op, file.path, ...(file.target === '' ? [] : [file.target])].map((word, at) =>
    at === 0 ? word : JSON.stringify(word),
  );
  const effects = [...FILE_EFFECTS[file.op], ...(alsoReads ? (['read'] as const) : [])];
  const readable = isReadable(file.path) && isReadable(file.target);
  return statement(
    `(${file.via} ${words.join(' ')})`,
    effects,
    { file },
    sshFacts('sftp', { login, pty: false }),
    readable,
  );
}

/** `.`, `..` and doubled slashes resolved as text; a relative path stays relative, and never climbs out of sight. */
export function normalPath(path: string): string {
  const absolute = path.startsWith('/');
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue;
    if (part === '..' && parts.length > 0 && parts.at(-1) !== '..') parts.pop();
    else if (part !== '..' || !absolute) parts.push(part);
  }
  return absolute ? `/${parts.join('/')}` : parts.join('/') || '.';
}
