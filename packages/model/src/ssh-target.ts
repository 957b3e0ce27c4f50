/**
 * How an SSH host is reached, whom it proves to be, and what may be asked of it besides what rules say.
 * Refuses to hold a secret. Lists that are left out mean the ones this version ships.
 */
import { listOf, objectOf, oneOf, optional, parseBoolean, parseInteger, parseString } from '@sallyport/core';
import { DETECTORS } from './policy.ts';

export const SSH_SHELL_MODES = ['recorded', 'command', 'none'] as const;
/** What is opaque by nature and let in by name: docs/adr on SSH, "Opaque programs". */
export const SSH_OPAQUE = ['ansible', 'vscode'] as const;

export const parseSshTarget = objectOf({
  host: parseString,
  port: parseInteger,
  /** Accounts on the host; the first is meant when a client names none. */
  logins: listOf(parseString, 100),
  /** Pinned: `ssh-ed25519 AAAA…`. */
  hostKeys: listOf(parseString, 20),
  /** Public keys of CAs that certify the host. */
  hostCas: listOf(parseString, 20),
  /** Trust the key that is shown first, and only that one from then on. */
  acceptNewHostKey: parseBoolean,
  shell: oneOf(...SSH_SHELL_MODES),
  /** What is typed is recorded, too. */
  inputRecorded: parseBoolean,
  /** Patterns (`LC_*`) of environment variables that may be set. */
  env: listOf(parseString, 100),
  opaque: listOf(oneOf(...SSH_OPAQUE), SSH_OPAQUE.length),
  /** Detectors are asked of stdout and stderr. */
  maskStreams: parseBoolean,
  /** A file that is larger is not let out. */
  downloadBytesMax: optional(parseInteger),
  /** A download in which one of these is found is cut. */
  downloadDetect: optional(listOf(oneOf(...DETECTORS), DETECTORS.length)),
  algorithms: optional(
    objectOf({
      kex: optional(listOf(parseString, 20)),
      cipher: optional(listOf(parseString, 20)),
      mac: optional(listOf(parseString, 20)),
      hostKey: optional(listOf(parseString, 20)),
    }),
  ),
});
export type SshTarget = ReturnType<typeof parseSshTarget>;

/** A login that cannot be mistaken for anything else in `<login>+<resource>`, on a command line or in a log. */
export const SSH_LOGIN = /^[a-z_][a-z0-9_.-]{0,31}$/i;

/** What is wrong with a target in itself; undefined when nothing is. */
export function sshTargetProblem(target: SshTarget | undefined): string | undefined {
  if (target === undefined) return 'an ssh resource needs its target';
  if (target.host === '') return 'host is missing';
  if (target.port < 1 || target.port > 65_535) return 'port is not a port';
  if (target.logins.length === 0) return 'name at least one login';
  if (!target.logins.every((login) => SSH_LOGIN.test(login))) return 'a login is not a name of an account';
  if (target.hostKeys.length === 0 && target.hostCas.length === 0 && !target.acceptNewHostKey)
    return 'pin a host key, name a host CA, or accept a new host key by name';
  return undefined;
}
