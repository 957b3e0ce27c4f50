/** REST of access policies. Parses, calls, returns. */
import { Body, Controller, Delete, Get, HttpCode, Param, Post, Put, Query } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { type Caller, From, Requires } from '../http/caller.ts';
import { pageOf, pageQuery } from '../http/page.ts';
import { Answers, Instant, open } from '../http/schema.ts';
import { AccessPolicies } from './access-policies.service.ts';
import { AccessPolicyDocument, AccessPolicyFields } from './access-policy.ts';

const Shown = z.union([z.string(), z.number()]);
const { shape } = AccessPolicyFields;
const AccessPolicyView = z
  .object({
    ...shape,
    durationMax: open(Shown),
    startWithin: open(Shown),
    answerWithin: open(Shown),
    extensions: open(z.object({ times: z.number(), durationMax: Shown })),
    // With durations as they are shown.
    approve: open(z.looseObject({}).optional()),
    decision: open(z.object({ webhook: z.string(), timeout: Shown }).optional()),
    id: open(z.uuid()),
    createdAt: open(Instant),
    updatedAt: open(Instant),
  })
  .meta({ id: 'AccessPolicy' });
const ListQuery = pageQuery(['name', 'createdAt'], 'name');

@ApiTags('access-policies')
@Controller('/v1/access-policies')
export class AccessPoliciesController {
  constructor(private readonly policies: AccessPolicies) {}

  @Requires('access-policy:read')
  @Get()
  @ApiOperation({ summary: 'Access policies: who may ask for what, and who answers.' })
  @Answers(pageOf(AccessPolicyView))
  list(@From() caller: Caller, @Query({ schema: ListQuery }) query: z.infer<typeof ListQuery>) {
    return this.policies.list(caller, query);
  }

  @Requires('access-policy:create')
  @Post()
  @ApiOperation({ summary: 'Create an access policy.' })
  @Answers(AccessPolicyView, 201)
  create(@From() caller: Caller, @Body({ schema: AccessPolicyDocument }) body: AccessPolicyDocument) {
    return this.policies.create(caller, body);
  }

  @Requires('access-policy:read')
  @Get(':policy')
  @ApiOperation({ summary: 'Show an access policy.' })
  @Answers(AccessPolicyView)
  get(@From() caller: Caller, @Param('policy') reference: string) {
    return this.policies.get(caller, reference);
  }

  @Requires('access-policy:update')
  @Put(':policy')
  @ApiOperation({ summary: 'Replace an access policy; requests that wait are judged by the new one.' })
  @Answers(AccessPolicyView)
  replace(
    @From() caller: Caller,
    @Param('policy') reference: string,
    @Body({ schema: AccessPolicyDocument }) body: AccessPolicyDocument,
  ) {
    return this.policies.replace(caller, reference, body);
  }

  @Requires('access-policy:delete')
  @Delete(':policy')
  @HttpCode(204)
  @ApiOperation({ summary: 'Delete an access policy; what was granted by it stays until its end.' })
  @Answers(z.undefined(), 204)
  async remove(@From() caller: Caller, @Param('policy') reference: string): Promise<void> {
    await this.policies.remove(caller, reference);
  }
}
