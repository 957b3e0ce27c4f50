/** REST of documents as code: one call brings the project to what they say. */
import { Body, Controller, HttpCode, Post } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { type Caller, From, Requires } from '../http/caller.ts';
import { Answers, open, sensitive } from '../http/schema.ts';
import { Apply } from './apply.service.ts';
import { DOCUMENT_KINDS, type DocumentKind } from './documents.ts';

const DOCUMENTS_MAX = 2_000;
const TEXT_CHARS_MAX = 1_000_000;

const ApplyRequest = z
  .strictObject({
    documents: sensitive(
      z
        .array(z.strictObject({ file: z.string().min(1).max(500), text: z.string().max(TEXT_CHARS_MAX) }))
        .max(DOCUMENTS_MAX),
    ),
    dryRun: open(z.boolean()).default(false),
    prune: open(z.boolean()).default(false).describe('Delete what is not named, among the kinds the documents hold.'),
  })
  .meta({ id: 'ApplyRequest' });
const ApplyAnswer = z
  .object({
    changes: open(
      z.array(
        z.object({
          kind: z.enum(DOCUMENT_KINDS as [DocumentKind, ...DocumentKind[]]),
          name: z.string(),
          action: z.enum(['create', 'update', 'delete', 'none']),
          diff: z.array(z.string()).describe('`- field: old`, `+ field: new`.'),
          warnings: z.array(z.string()).optional().describe('What is allowed and will not work as meant.'),
        }),
      ),
    ),
  })
  .meta({ id: 'ApplyAnswer' });

@ApiTags('apply')
@Controller('/v1/apply')
export class ApplyController {
  constructor(private readonly documents: Apply) {}

  @Requires('document:apply')
  @Post()
  @HttpCode(200)
  @ApiOperation({
    summary:
      'Apply documents (Resource, Group, Grant, Policy, AccessPolicy, IdentityProvider, AccessReview): all or nothing; 422 names file, line and field.',
  })
  @Answers(ApplyAnswer)
  async apply(
    @From() caller: Caller,
    @Body({ schema: ApplyRequest }) body: z.infer<typeof ApplyRequest>,
  ): Promise<z.infer<typeof ApplyAnswer>> {
    const changes = await this.documents.apply(caller, body.documents, body);
    return {
      changes: changes.map(({ warnings = [], ...change }) => ({
        ...change,
        diff: [...change.diff],
        ...(warnings.length === 0 ? {} : { warnings: [...warnings] }),
      })),
    };
  }
}
