/** Requests and answers about the trail. */
import { z } from 'zod';
import { Instant, open } from '../http/schema.ts';

export const EventsQuery = z.strictObject({
  limit: z.coerce.number().int().min(1).max(200).default(50),
  cursor: z.string().max(500).optional(),
  kind: z.string().max(100).optional(),
  session: z.uuid().optional(),
  principal: z.string().max(200).optional().describe('Name or id of who acted, or of whom they acted for.'),
  resource: z.string().max(200).optional().describe('Name or id.'),
  verdict: z.enum(['allow', 'deny', 'hold']).optional(),
  action: z.string().max(100).optional().describe('Of control acts, as grant.created.'),
  since: Instant.optional(),
  until: Instant.optional(),
});
export type EventsQuery = z.infer<typeof EventsQuery>;

export const EventView = z
  .object({
    time: open(Instant),
    chain: open(z.object({ id: z.string(), agentId: z.string(), instance: z.string(), epoch: z.number() })),
    sequence: open(z.number()),
    kind: open(z.string()),
    sessionId: open(z.string().nullable()),
    principal: open(z.string().nullable()),
    onBehalfOf: open(z.string().nullable()),
    resource: open(z.string().nullable()),
    verdict: open(z.string().nullable()),
    rule: open(z.string().nullable()),
    code: open(z.string().nullable()),
    action: open(z.string().nullable()),
    target: open(z.string().nullable()),
    count: open(z.number()).describe('Events this row stands for: allowed statements of one upload are summed up.'),
  })
  .meta({ id: 'TrailEvent' });
export type EventView = z.infer<typeof EventView>;

export const EventPage = z
  .object({ items: z.array(EventView), nextCursor: z.string().nullable() })
  .meta({ id: 'TrailEvents' });

export const ChainView = z
  .object({
    id: open(z.string()),
    agentId: open(z.string()),
    agent: open(z.string()).describe('Name; empty for the control plane itself.'),
    instance: open(z.string()),
    epoch: open(z.number()),
    sequence: open(z.number()),
    head: open(z.string()),
    saidSequence: open(z.number()).describe('What heartbeats or a later epoch said its last event was.'),
    missing: open(z.number()),
    alarm: open(z.string().nullable()),
    updatedAt: open(Instant),
  })
  .meta({ id: 'TrailChain' });
export type ChainView = z.infer<typeof ChainView>;

export const HeadView = z
  .object({
    size: open(z.number()),
    root: open(z.string()),
    time: open(z.number()).describe('UTC ms.'),
    statement: open(z.string()),
    signature: open(z.string()),
  })
  .meta({ id: 'TreeHead' });
export type HeadView = z.infer<typeof HeadView>;

export const HeadsQuery = z.strictObject({
  after: z.coerce.number().int().min(0).default(0).describe('Heads of a larger tree than this.'),
  limit: z.coerce.number().int().min(1).max(200).default(50),
  latest: z
    .enum(['true', 'false'])
    .transform((text) => text === 'true')
    .optional()
    .describe('Only the newest head.'),
});
export type HeadsQuery = z.infer<typeof HeadsQuery>;

const Bound = z.union([z.string().regex(/^\d{1,15}$/), Instant]);
export const ExportQuery = z.strictObject({
  since: Bound.optional().describe('Leave out segments before: a size of the tree, or an instant.'),
  until: Bound.optional().describe('End at: a size of the tree, or an instant.'),
  recordings: z
    .enum(['true', 'false'])
    .transform((text) => text === 'true')
    .optional()
    .describe('With the recordings’ chunks.'),
});
export type ExportQuery = z.infer<typeof ExportQuery>;
