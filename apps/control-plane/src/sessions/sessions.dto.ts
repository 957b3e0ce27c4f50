/** Requests and answers about sessions. */
import { LIMITS } from '@sallyport/core';
import { z } from 'zod';
import { Work } from '../approvals/approvals.dto.ts';
import { Instant, open, Prose, sensitive } from '../http/schema.ts';

const flag = z
  .enum(['true', 'false'])
  .transform((text) => text === 'true')
  .optional();

export const SessionFilter = z.object({
  live: flag.describe('Only sessions that are open, or only closed ones.'),
  principal: z.string().max(200).optional().describe('Name or id of who acts, or of whom they act for.'),
  resource: z.string().max(200).optional().describe('Name or id.'),
  agent: z.string().max(200).optional().describe('Name or id.'),
  since: Instant.optional().describe('Opened at this instant or later.'),
  until: Instant.optional().describe('Opened before this instant.'),
});
export type SessionFilter = z.infer<typeof SessionFilter>;

const Principal = z.object({ id: z.string(), name: z.string(), kind: z.string() });

export const SessionView = z
  .object({
    id: open(z.string()),
    live: open(z.boolean()),
    resource: open(z.object({ id: z.string(), name: z.string() })),
    protocol: open(z.string()),
    principal: open(Principal),
    onBehalfOf: open(z.object({ id: z.string(), name: z.string() }).nullable()),
    agent: open(z.object({ id: z.string(), name: z.string() })),
    clientAddress: sensitive(z.string()),
    database: open(z.string()),
    role: open(z.string()),
    application: sensitive(z.string()),
    openedAt: open(Instant),
    closedAt: open(Instant.nullable()),
    closeReason: open(z.string().nullable()),
    statements: open(z.number()),
    rows: open(z.number()),
    bytes: open(z.number()),
    heldFor: open(z.string().nullable()).describe('Approval request it waits for.'),
    erasedAt: open(Instant.nullable()),
    auth: open(
      z.object({ provider: z.string(), amr: z.array(z.string()), acr: z.string(), at: Instant.nullable() }).nullable(),
    ).describe('How the person behind it signed in; null where nobody said.'),
    issuer: open(z.object({ rule: z.string(), issuer: z.string(), subject: z.string() }).nullable()).describe(
      'The trust rule and the token of another issuer that opened it; null where an access token did.',
    ),
  })
  .meta({ id: 'Session' });
export type SessionView = z.infer<typeof SessionView>;

export const KillBody = z.strictObject({ reason: open(Prose(500).min(1)) }).meta({ id: 'KillSession' });

export const EraseBody = z.strictObject({ reason: open(Prose(500).min(1)) }).meta({ id: 'EraseSession' });

export const StatementsQuery = z.strictObject({
  limit: z.coerce.number().int().min(1).max(1_000).default(200),
  cursor: z
    .string()
    .regex(/^\d{1,16}$/)
    .optional()
    .describe('`nextCursor` of the page before.'),
  clear: flag.describe('Values that the detectors know in clear; needs session:view-clear.'),
});
export type StatementsQuery = z.infer<typeof StatementsQuery>;

export const StatementView = z
  .object({
    number: open(z.number()),
    at: open(Instant),
    verdict: open(z.enum(['allow', 'deny', 'hold'])),
    rule: open(z.string()),
    code: open(z.string()),
    digest: open(z.string()),
    effects: open(z.array(z.string())),
    text: sensitive(z.string()),
    parameters: sensitive(z.array(z.string().nullable())),
    approvalId: open(z.string()),
    untilCommit: open(z.boolean()).describe('It ran, and its transaction’s COMMIT waits for a person.'),
    work: sensitive(Work.nullable()).describe('Of the COMMIT of such a transaction: what it would commit.'),
    shadow: open(z.array(z.object({ rule: z.string(), verdict: z.string() }))),
    outcome: open(
      z
        .object({ rows: z.number(), bytes: z.number(), error: z.string(), durationUs: z.number(), masked: z.number() })
        .nullable(),
    ),
  })
  .meta({ id: 'RecordedStatement' });
export type StatementView = z.infer<typeof StatementView>;

export const StatementPage = z
  .object({
    items: z.array(StatementView),
    nextCursor: z.string().nullable(),
    sealed: z.number().describe('Statements whose payload cannot be read any more.'),
  })
  .meta({ id: 'RecordedStatements' });

export const RecordingQuery = z.strictObject({
  from: z.coerce.number().int().min(0).default(0).describe('ms since the session opened.'),
  clear: flag.describe('Values that the detectors know in clear; needs session:view-clear.'),
});
export type RecordingQuery = z.infer<typeof RecordingQuery>;

export const FilmQuery = z.strictObject({
  statement: z.coerce
    .number()
    .int()
    .min(1)
    .optional()
    .describe('Only the streams of this statement: one shell or command. Without it all on one screen.'),
  from: z.coerce
    .number()
    .int()
    .min(0)
    .default(0)
    .describe('ms since the session opened: what was shown before stands at the film’s beginning, all at once.'),
  clear: flag.describe('Values that the detectors know in clear; needs session:view-clear.'),
});
export type FilmQuery = z.infer<typeof FilmQuery>;

export const CommandsQuery = StatementsQuery.extend({
  q: z.string().max(200).optional().describe('Only commands with this text in them, in any case, as they are shown.'),
});
export type CommandsQuery = z.infer<typeof CommandsQuery>;

export const CommandView = z
  .object({
    number: open(z.number()),
    at: open(Instant),
    atMs: open(z.number()).describe('ms since the session opened: where its film shows it.'),
    text: sensitive(z.string()),
    verdict: open(z.enum(['allow', 'deny', 'hold'])).describe(
      'Its last one. `deny`: it was refused, at once or after it had waited. `hold`: it waits, or its session ended while it did.',
    ),
    refused: open(z.object({ rule: z.string(), code: z.string(), approvalId: z.string() }).nullable()).describe(
      'Why it did not run: code as `policy.denied`, `approval.denied` or `approval.expired`, empty while it waits. Null for what ran.',
    ),
    endMs: open(z.number().nullable()),
    code: open(z.number().nullable()),
    signal: open(z.string().nullable()),
    shownBytes: open(z.number()),
    terminal: open(z.boolean()),
  })
  .meta({ id: 'SessionCommand' });
export type CommandView = z.infer<typeof CommandView>;

export const CommandSearchQuery = z.strictObject({
  q: z.string().min(1).max(200).describe('Only commands with this text in them, in any case, as they are shown.'),
  limit: z.coerce.number().int().min(1).max(LIMITS.pageSizeMax).default(50).describe('Items in one page.'),
  cursor: z.string().max(500).optional().describe('`nextCursor` of the page before.'),
  sessions: z.coerce
    .number()
    .int()
    .min(1)
    .max(LIMITS.commandSearchSessionsMax)
    .default(LIMITS.commandSearchSessionsMax)
    .describe('Sessions to look into for one page. Each is a viewing on the record.'),
  ...SessionFilter.shape,
  clear: flag.describe('Values that the detectors know in clear; needs session:view-clear.'),
});
export type CommandSearchQuery = z.infer<typeof CommandSearchQuery>;

export const FoundCommand = z
  .object({
    ...CommandView.shape,
    session: open(
      z.object({
        id: z.string(),
        openedAt: Instant,
        protocol: z.string(),
        resource: z.object({ id: z.string(), name: z.string() }),
        principal: Principal,
        onBehalfOf: z.object({ id: z.string(), name: z.string() }).nullable(),
      }),
    ),
  })
  .meta({ id: 'FoundCommand' });
export type FoundCommand = z.infer<typeof FoundCommand>;
export const CommandSearchPage = z
  .object({
    items: z.array(FoundCommand),
    nextCursor: z
      .string()
      .nullable()
      .describe('A page may be empty and have one: more sessions are to be looked into.'),
    looked: open(z.number()).describe('Sessions that were looked into for this page.'),
    unreadable: open(z.number()).describe(
      'Of these, erased ones, and those of which there is more than could be read here: a recording on its way, or lost.',
    ),
  })
  .meta({ id: 'CommandSearchPage' });

export const CommandPage = z
  .object({ items: z.array(CommandView), nextCursor: z.string().nullable() })
  .meta({ id: 'SessionCommandPage' });
