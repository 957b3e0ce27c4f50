/** Shapes of acts in REST. */
import { z } from 'zod';
import { Instant, open, sensitive } from '../http/schema.ts';

export const ActsQuery = z.strictObject({
  limit: z.coerce.number().int().min(1).max(200).default(50),
  cursor: z
    .string()
    .regex(/^\d{1,18}$/)
    .optional()
    .describe('`nextCursor` of the page before.'),
  action: z.string().max(100).optional().describe('As grant.created.'),
  target: z.string().max(300).optional().describe('As policy/prod.'),
  principal: z.string().max(200).optional().describe('Name of who acted, or of whom they acted for.'),
  since: Instant.optional(),
  until: Instant.optional(),
});
export type ActsQuery = z.infer<typeof ActsQuery>;

export const ActView = z
  .object({
    id: open(z.string()),
    time: open(Instant),
    principal: open(z.string().nullable()).describe('Null: the control plane itself.'),
    onBehalfOf: open(z.string().nullable()),
    action: open(z.string()),
    target: open(z.string()),
    detail: sensitive(z.record(z.string(), z.unknown())).describe(
      '`changes`: what was changed, before and after; what is sensitive or secret is told as changed and not shown.',
    ),
    requestId: open(z.string()),
    chained: open(z.boolean()).describe('It is in the project’s chain of the trail.'),
  })
  .meta({ id: 'Act' });
export type ActView = z.infer<typeof ActView>;
export const ActPage = z.object({ items: z.array(ActView), nextCursor: z.string().nullable() }).meta({ id: 'ActPage' });
