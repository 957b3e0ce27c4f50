/** Requests and answers about seats handed over for a time. */
import { z } from 'zod';
import { Instant, open } from '../http/schema.ts';

export const CreateDelegation = z
  .strictObject({
    to: open(z.string().min(1).max(200)).describe('Name or id of a person who may answer approvals.'),
    startsAt: open(Instant.optional()).describe('Now by default.'),
    endsAt: open(Instant).describe('At most 90 days later.'),
  })
  .meta({ id: 'CreateDelegation' });

export const DelegationView = z
  .object({
    id: open(z.string()),
    of: open(z.string()).describe('Whose seat.'),
    to: open(z.string()),
    startsAt: open(Instant),
    endsAt: open(Instant),
    endedAt: open(Instant.nullable()),
  })
  .meta({ id: 'ApproverDelegation' });
export type DelegationView = z.infer<typeof DelegationView>;
