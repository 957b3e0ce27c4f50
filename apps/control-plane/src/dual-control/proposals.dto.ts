/** Shapes of change proposals and of the setting of dual control in REST. */
import { z } from 'zod';
import { pageOf, pageQuery } from '../http/page.ts';
import { Instant, open, Prose, secret, sensitive } from '../http/schema.ts';
import { AREAS } from './areas.ts';

export const PROPOSAL_STATES = ['pending', 'executed', 'rejected', 'withdrawn', 'stale', 'failed', 'expired'] as const;

const Person = z.object({ id: z.uuid(), name: z.string() });
export const ChangeProposalView = z
  .object({
    id: open(z.uuid()),
    state: open(z.enum(PROPOSAL_STATES)),
    areas: open(z.array(z.string())),
    call: open(z.string()).describe('The write that waits, as `PUT /v1/policies/prod`.'),
    changes: sensitive(z.array(z.unknown())).describe('What it changes, before and after, as the act will tell it.'),
    proposer: open(Person),
    answeredBy: open(Person.nullable()),
    reason: open(z.string().nullable()),
    createdAt: open(Instant),
    expiresAt: open(Instant),
    answeredAt: open(Instant.nullable()),
    hasAnswer: open(z.boolean()).describe('The call’s own answer waits for its proposer, once.'),
  })
  .meta({ id: 'ChangeProposal' });
export type ChangeProposalView = z.infer<typeof ChangeProposalView>;
export const ChangeProposalPage = pageOf(ChangeProposalView).meta({ id: 'ChangeProposalPage' });
export const ChangeProposalQuery = pageQuery(['createdAt'], '-createdAt').extend({
  state: z.enum(PROPOSAL_STATES).optional(),
});
export type ChangeProposalQuery = z.infer<typeof ChangeProposalQuery>;

export const ProposalAnswer = z
  .object({
    status: open(z.number().int()),
    body: secret(z.unknown()).describe('As the call would have answered without dual control.'),
  })
  .meta({ id: 'ProposalAnswer' });
export type ProposalAnswer = z.infer<typeof ProposalAnswer>;

const Reason = Prose(500).trim().min(1);
export const ApproveProposal = z.strictObject({ reason: open(Reason.optional()) }).meta({ id: 'ApproveProposal' });
export const RejectProposal = z.strictObject({ reason: open(Reason) }).meta({ id: 'RejectProposal' });

export const DualControl = z
  .strictObject({ areas: open(z.array(z.enum(AREAS)).max(AREAS.length)).describe('Where a change needs two admins.') })
  .meta({ id: 'DualControl' });
export type DualControl = z.infer<typeof DualControl>;
