/** REST of resources. Parses, calls, returns. */
import { Body, Controller, Delete, Get, HttpCode, Param, Patch, Post, Put, Query } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { type Caller, From, Requires } from '../http/caller.ts';
import { parseWith } from '../http/invalid-request.ts';
import { Answers } from '../http/schema.ts';
import { ResourceDocument } from './resource-document.ts';
import { ResourcePage, ResourceQuery, Resources, ResourceView } from './resources.service.ts';

const ResourcePatch = z
  .looseObject({})
  .meta({ id: 'ResourcePatch', description: 'Some fields of a ResourceDocument.' });

@ApiTags('resources')
@Controller('/v1/resources')
export class ResourcesController {
  constructor(private readonly resources: Resources) {}

  @Requires('resource:read', 'resource:reach')
  @Get()
  @ApiOperation({ summary: 'List resources; without resource:read only those one’s grants reach.' })
  @Answers(ResourcePage)
  list(@From() caller: Caller, @Query({ schema: ResourceQuery }) query: z.infer<typeof ResourceQuery>) {
    return this.resources.list(caller, query);
  }

  @Requires('resource:create')
  @Post()
  @ApiOperation({ summary: 'Create a resource.' })
  @Answers(ResourceView, 201)
  create(@From() caller: Caller, @Body({ schema: ResourceDocument }) body: ResourceDocument) {
    return this.resources.create(caller, body);
  }

  @Requires('resource:read', 'resource:reach')
  @Get(':resource')
  @ApiOperation({ summary: 'Show a resource.' })
  @Answers(ResourceView)
  get(@From() caller: Caller, @Param('resource') reference: string) {
    return this.resources.get(caller, reference);
  }

  @Requires('resource:update')
  @Put(':resource')
  @ApiOperation({ summary: 'Replace a resource.' })
  @Answers(ResourceView)
  replace(
    @From() caller: Caller,
    @Param('resource') reference: string,
    @Body({ schema: ResourceDocument }) body: ResourceDocument,
  ) {
    return this.resources.replace(caller, reference, () => body);
  }

  @Requires('resource:update')
  @Patch(':resource')
  @ApiOperation({ summary: 'Change some fields of a resource; each given one replaces the whole field.' })
  @Answers(ResourceView)
  patch(
    @From() caller: Caller,
    @Param('resource') reference: string,
    @Body({ schema: ResourcePatch }) body: z.infer<typeof ResourcePatch>,
  ) {
    return this.resources.replace(caller, reference, (current) => parseWith(ResourceDocument, { ...current, ...body }));
  }

  @Requires('resource:delete')
  @Delete(':resource')
  @HttpCode(204)
  @ApiOperation({ summary: 'Delete a resource; its sessions end.' })
  @Answers(z.undefined(), 204)
  async remove(@From() caller: Caller, @Param('resource') reference: string): Promise<void> {
    await this.resources.remove(caller, reference);
  }
}
