/** REST of grants. Parses, calls, returns. */
import { Body, Controller, Delete, Get, HttpCode, Param, Patch, Post, Put, Query } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { type Caller, From, Requires } from '../http/caller.ts';
import { parseWith } from '../http/invalid-request.ts';
import { Answers } from '../http/schema.ts';
import { GrantDocument } from './grant-document.ts';
import { GrantPage, GrantQuery, Grants, GrantView } from './grants.service.ts';

const GrantPatch = z.looseObject({}).meta({ id: 'GrantPatch', description: 'Some fields of a GrantDocument.' });

@ApiTags('grants')
@Controller('/v1/grants')
export class GrantsController {
  constructor(private readonly grants: Grants) {}

  @Requires('grant:read')
  @Get()
  @ApiOperation({ summary: 'List grants.' })
  @Answers(GrantPage)
  list(@From() caller: Caller, @Query({ schema: GrantQuery }) query: z.infer<typeof GrantQuery>) {
    return this.grants.list(caller, query);
  }

  @Requires('grant:create')
  @Post()
  @ApiOperation({ summary: 'Create a grant.' })
  @Answers(GrantView, 201)
  create(@From() caller: Caller, @Body({ schema: GrantDocument }) body: GrantDocument) {
    return this.grants.create(caller, body);
  }

  @Requires('grant:read')
  @Get(':grant')
  @ApiOperation({ summary: 'Show a grant.' })
  @Answers(GrantView)
  get(@From() caller: Caller, @Param('grant') reference: string) {
    return this.grants.get(caller, reference);
  }

  @Requires('grant:update')
  @Put(':grant')
  @ApiOperation({ summary: 'Replace a grant.' })
  @Answers(GrantView)
  replace(
    @From() caller: Caller,
    @Param('grant') reference: string,
    @Body({ schema: GrantDocument }) body: GrantDocument,
  ) {
    return this.grants.replace(caller, reference, () => body);
  }

  @Requires('grant:update')
  @Patch(':grant')
  @ApiOperation({ summary: 'Change some fields of a grant.' })
  @Answers(GrantView)
  patch(
    @From() caller: Caller,
    @Param('grant') reference: string,
    @Body({ schema: GrantPatch }) body: z.infer<typeof GrantPatch>,
  ) {
    return this.grants.replace(caller, reference, (current) => parseWith(GrantDocument, { ...current, ...body }));
  }

  @Requires('grant:update')
  @Post(':grant/revoke')
  @HttpCode(200)
  @ApiOperation({ summary: 'End a grant now; live sessions lose it at once.' })
  @Answers(GrantView)
  revoke(@From() caller: Caller, @Param('grant') reference: string) {
    return this.grants.revoke(caller, reference);
  }

  @Requires('grant:delete')
  @Delete(':grant')
  @HttpCode(204)
  @ApiOperation({ summary: 'Delete a grant.' })
  @Answers(z.undefined(), 204)
  async remove(@From() caller: Caller, @Param('grant') reference: string): Promise<void> {
    await this.grants.remove(caller, reference);
  }
}
