/**
 * What Slack sends when somebody presses a button of ours (docs.slack.dev, "Handling user interaction": block_actions).
 * Pure. Only what an answer needs is read; nothing of it counts before the signature is checked.
 */
import { z } from 'zod';

const Id = z.string().regex(/^[A-Z0-9]{2,32}$/);
const Payload = z.object({
  type: z.literal('block_actions'),
  team: z.object({ id: Id }),
  user: z.object({ id: Id, username: z.string().max(100).optional(), name: z.string().max(100).optional() }),
  channel: z.object({ id: Id }),
  actions: z.array(z.object({ action_id: z.enum(['approve', 'deny']), value: z.string().max(200) })).length(1),
  state: z
    .object({
      values: z.object({
        reason: z.object({ reason: z.object({ value: z.string().max(3_000).nullish() }) }).optional(),
      }),
    })
    .optional(),
});

export interface Interaction {
  readonly webhookId: string;
  readonly subject: { readonly kind: 'approval' | 'access-request'; readonly id: string };
  readonly granted: boolean;
  readonly reason: string;
  readonly teamId: string;
  readonly channelId: string;
  readonly user: { readonly id: string; readonly name: string };
}

/** @param raw the form as it came @returns undefined for whatever is no press of a button of ours */
export function readInteraction(raw: string): Interaction | undefined {
  const text = new URLSearchParams(raw).get('payload');
  if (text === null) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // Not JSON: not Slack's.
    return undefined;
  }
  const parsed = Payload.safeParse(value);
  if (!parsed.success) return undefined;
  const { team, user, channel, actions, state } = parsed.data;
  const [action] = actions;
  const match = /^([0-9a-f-]{36}):(approval|access-request)\/([A-Za-z0-9-]{1,64})$/.exec(action!.value);
  if (match === null) return undefined;
  return {
    webhookId: match[1]!,
    subject: { kind: match[2] as Interaction['subject']['kind'], id: match[3]! },
    granted: action!.action_id === 'approve',
    reason: (state?.values.reason?.reason.value ?? '').slice(0, 500).toWellFormed(),
    teamId: team.id,
    channelId: channel.id,
    user: { id: user.id, name: user.username ?? user.name ?? '' },
  };
}
