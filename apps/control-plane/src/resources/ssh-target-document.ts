/**
 * The `ssh` block of a resource as people write it: which host, proven how, and what may be asked of it besides what rules
 * say. Refuses what agents' own parser would refuse, with the field's name. Pure.
 */
import { ParseError } from '@sallyport/core';
import { DETECTORS, SSH_ALSO_KNOWN, SSH_LOGIN, SSH_MODERN, SSH_OPAQUE, SSH_SHELL_MODES } from '@sallyport/model';
import { parsePublicKeyLine } from '@sallyport/ssh-certificates';
import { z } from 'zod';

const PublicKey = z
  .string()
  .max(4_096)
  .superRefine((line, context) => {
    try {
      parsePublicKeyLine(line);
    } catch (error) {
      if (!(error instanceof ParseError)) throw error;
      context.addIssue({ code: 'custom', message: error.message });
    }
  });
const algorithms = (kind: keyof typeof SSH_MODERN) =>
  z
    .array(z.enum([...SSH_MODERN[kind], ...SSH_ALSO_KNOWN[kind]]))
    .min(1)
    .max(20)
    .optional();
/** What OpenSSH's clients send by themselves, and nothing that changes what a program loads. */
const ENV = ['LANG', 'LC_*', 'COLORTERM', 'NO_COLOR'];

export const SshTarget = z
  .strictObject({
    host: z.string().min(1).max(253),
    port: z.number().int().min(1).max(65_535).default(22),
    logins: z
      .array(z.string().regex(SSH_LOGIN, 'a name of an account is expected'))
      .min(1)
      .max(100)
      .describe('Accounts on the host; the first is meant when a client names none.'),
    hostKeys: z.array(PublicKey).max(20).default([]).describe('Pinned, as `ssh-keyscan` prints them after the name.'),
    hostCas: z.array(PublicKey).max(20).default([]).describe('Public keys of CAs that certify the host.'),
    acceptNewHostKey: z
      .boolean()
      .default(false)
      .describe('Trust the key that is shown first, and only that one from then on.'),
    shell: z
      .enum(SSH_SHELL_MODES)
      .default('recorded')
      .describe('What an interactive shell is: recorded, read line by line (command), or refused (none).'),
    inputRecorded: z.boolean().default(false).describe('What is typed is recorded too, without passwords.'),
    env: z
      .array(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*\*?$/))
      .max(100)
      .default(ENV)
      .describe('Environment variables that may be set; `*` at the end.'),
    opaque: z
      .array(z.enum(SSH_OPAQUE))
      .max(SSH_OPAQUE.length)
      .default([])
      .describe('Programs that cannot be read and are let in by name.'),
    maskStreams: z.boolean().default(true).describe('Detectors are asked of stdout and stderr.'),
    downloadBytesMax: z.number().int().min(0).optional().describe('A file that is larger is not let out.'),
    downloadDetect: z
      .array(z.enum(DETECTORS))
      .min(1)
      .max(DETECTORS.length)
      .optional()
      .describe('A download in which one of these is found is cut.'),
    algorithms: z
      .strictObject({
        kex: algorithms('kex'),
        cipher: algorithms('cipher'),
        mac: algorithms('mac'),
        hostKey: algorithms('hostKey'),
      })
      .optional()
      .describe('Towards the host; what this version ships when left out.'),
  })
  .superRefine((target, context) => {
    if (target.hostKeys.length > 0 || target.hostCas.length > 0 || target.acceptNewHostKey) return;
    const message = 'pin a host key, name a CA in hostCas, or set acceptNewHostKey';
    context.addIssue({ code: 'custom', path: ['hostKeys'], message });
  });
