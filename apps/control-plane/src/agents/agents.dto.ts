/** Requests and answers about agents. */
import { z } from 'zod';
import { Instant, Name, open, secret, sensitive } from '../http/schema.ts';
import { isListenerName } from '../keys/ca.ts';

const DAY_SECONDS = 86_400;

export const AgentView = z
  .object({
    id: open(z.string()),
    name: open(z.string()),
    version: open(z.string()),
    connected: open(z.boolean()).describe('Heard of in the last 15 seconds.'),
    lastSeenAt: open(Instant.nullable()),
    instance: open(z.string().nullable()),
    names: sensitive(z.array(z.string())).describe('DNS names and addresses its listener certificate carries.'),
    endpoints: sensitive(z.array(z.object({ protocol: z.string(), address: z.string(), plaintext: z.boolean() }))),
    capabilities: open(z.array(z.string())),
    bundle: open(
      z.object({
        epoch: z.number(),
        revision: z.number(),
        current: z.boolean().describe('The newest revision is in force.'),
        error: z.string().nullable().describe('Why the last bundle was refused.'),
      }),
    ),
    certificateExpiresAt: open(Instant.nullable()),
    revokedAt: open(Instant.nullable()),
    createdAt: open(Instant),
  })
  .meta({ id: 'Agent' });
export type AgentView = z.infer<typeof AgentView>;

export const CreateJoinToken = z
  .strictObject({
    name: open(Name).describe('The name of the agent that will join; one that has it already is replaced.'),
    names: open(
      z.array(z.string().refine(isListenerName, 'a DNS name or an IP address is expected')).max(50).optional(),
    ).describe('What clients dial: DNS names and addresses for its listener certificate.'),
    expiresInSeconds: open(
      z
        .number()
        .int()
        .min(60)
        .max(30 * DAY_SECONDS)
        .default(DAY_SECONDS),
    ),
  })
  .meta({ id: 'CreateJoinToken' });
export type CreateJoinToken = z.infer<typeof CreateJoinToken>;

export const JoinTokenView = z
  .object({
    joinToken: secret(z.string()).describe('Shown this once; works once.'),
    command: secret(z.string()).describe('Installs and starts the agent on its host.'),
    expiresAt: open(Instant),
  })
  .meta({ id: 'JoinToken' });
export type JoinTokenView = z.infer<typeof JoinTokenView>;
