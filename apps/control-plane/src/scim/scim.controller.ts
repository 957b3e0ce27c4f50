/**
 * SCIM 2.0 (RFC 7644) at /scim/v2: parses, calls, returns. Not in the OpenAPI document: the protocol describes itself at
 * /Schemas. Every route needs `scim:write`, the reading ones too: a directory's people are nobody else's business.
 */
import {
  Body,
  Controller,
  Delete,
  Get,
  Headers,
  HttpCode,
  Param,
  Patch,
  Post,
  Put,
  Query,
  Req,
  Res,
  UseFilters,
} from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import { GatewayError } from '@sallyport/core';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { callerOf, Requires } from '../http/caller.ts';
import { Listening } from '../listening.ts';
import { resourceTypes, schemas, serviceProviderConfig } from './discovery.ts';
import { isRecord } from './document.ts';
import { Provisioners } from './provisioner.ts';
import { SCIM_TYPE, ScimErrorFilter } from './scim-error.filter.ts';
import { ScimGroups } from './scim-groups.service.ts';
import { choose, ListQuery, listOf } from './scim-list.ts';
import type { ScimResources } from './scim-resources.ts';
import { ScimUsers } from './scim-users.service.ts';
import { namesVersion } from './scim-version.ts';

/** What is in it is read by the table of attributes (document.ts), which no schema of ours could say better. */
const Any = z.looseObject({});
type Any = z.infer<typeof Any>;

const versionIn = (resource: object): string | undefined => {
  const meta = isRecord(resource) ? resource['meta'] : undefined;
  return isRecord(meta) && typeof meta['version'] === 'string' ? meta['version'] : undefined;
};

/** Sends a resource with its version, or nothing when the client has it already. */
function send(request: FastifyRequest, reply: FastifyReply, resource: object, chosen: ListQuery, status = 200): void {
  const version = versionIn(resource);
  void reply.type(SCIM_TYPE);
  if (version !== undefined) void reply.header('etag', version);
  if (status === 201 && isRecord(resource) && isRecord(resource['meta']))
    void reply.header('location', String(resource['meta']['location']));
  if (request.method === 'GET' && version !== undefined && namesVersion(request.headers['if-none-match'], version)) {
    void reply.status(304).send();
    return;
  }
  void reply.status(status).send(JSON.stringify(choose(resource, chosen)));
}

@ApiExcludeController()
@Controller('/scim/v2')
@UseFilters(ScimErrorFilter)
@Requires('scim:write')
export class ScimController {
  constructor(
    private readonly provisioners: Provisioners,
    private readonly users: ScimUsers,
    private readonly groups: ScimGroups,
    private readonly listening: Listening,
  ) {}

  #who(request: FastifyRequest) {
    return this.provisioners.of(callerOf(request));
  }
  get #base(): string {
    return `${this.listening.publicUrl()}/scim/v2`;
  }

  /** @throws GatewayError `request.not_found` for a type that there is not */
  #resources(type: string): ScimResources {
    if (type === 'Users') return this.users;
    if (type === 'Groups') return this.groups;
    throw new GatewayError('request.not_found');
  }

  // Users and Groups alike
  @Get(':type')
  async list(
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
    @Param('type') type: string,
    @Query({ schema: ListQuery }) query: ListQuery,
  ) {
    send(request, reply, await this.#resources(type).list(await this.#who(request), query), {});
  }
  @Post(':type/.search')
  async search(
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
    @Param('type') type: string,
    @Body({ schema: ListQuery }) query: ListQuery,
  ) {
    send(request, reply, await this.#resources(type).list(await this.#who(request), query), {});
  }
  @Get(':type/:id')
  async get(
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
    @Param('type') type: string,
    @Param('id') id: string,
    @Query({ schema: ListQuery }) query: ListQuery,
  ) {
    send(request, reply, await this.#resources(type).get(await this.#who(request), id, query), query);
  }
  @Post(':type')
  async create(
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
    @Param('type') type: string,
    @Body({ schema: Any }) body: Any,
    @Query({ schema: ListQuery }) query: ListQuery,
  ) {
    send(request, reply, await this.#resources(type).create(await this.#who(request), body), query, 201);
  }
  @Put(':type/:id')
  async replace(
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
    @Param('type') type: string,
    @Param('id') id: string,
    @Body({ schema: Any }) body: Any,
    @Query({ schema: ListQuery }) query: ListQuery,
    @Headers('if-match') ifMatch: string | undefined,
  ) {
    send(request, reply, await this.#resources(type).replace(await this.#who(request), id, body, ifMatch), query);
  }
  @Patch(':type/:id')
  async patch(
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
    @Param('type') type: string,
    @Param('id') id: string,
    @Body({ schema: Any }) body: Any,
    @Query({ schema: ListQuery }) query: ListQuery,
    @Headers('if-match') ifMatch: string | undefined,
  ) {
    const after = await this.#resources(type).patch(await this.#who(request), id, body, ifMatch);
    if (after === undefined) void reply.status(204).send();
    else send(request, reply, after, query);
  }
  @Delete(':type/:id')
  @HttpCode(204)
  async remove(
    @Req() request: FastifyRequest,
    @Param('type') type: string,
    @Param('id') id: string,
    @Headers('if-match') ifMatch: string | undefined,
  ): Promise<void> {
    await this.#resources(type).remove(await this.#who(request), id, ifMatch);
  }

  // about us
  @Get('ServiceProviderConfig')
  config(@Req() request: FastifyRequest, @Res() reply: FastifyReply) {
    send(request, reply, serviceProviderConfig(this.#base), {});
  }
  @Get('ResourceTypes')
  types(@Req() request: FastifyRequest, @Res() reply: FastifyReply) {
    const all = resourceTypes(this.#base);
    send(request, reply, listOf(all, all.length, 1), {});
  }
  @Get('ResourceTypes/:id')
  type(@Req() request: FastifyRequest, @Res() reply: FastifyReply, @Param('id') id: string) {
    send(request, reply, one(resourceTypes(this.#base), id), {});
  }
  @Get('Schemas')
  schemas(@Req() request: FastifyRequest, @Res() reply: FastifyReply) {
    const all = schemas(this.#base);
    send(request, reply, listOf(all, all.length, 1), {});
  }
  @Get('Schemas/:id')
  schema(@Req() request: FastifyRequest, @Res() reply: FastifyReply, @Param('id') id: string) {
    send(request, reply, one(schemas(this.#base), id), {});
  }
}

function one<T extends { readonly id: string }>(all: readonly T[], id: string): T {
  const found = all.find((each) => each.id.toLowerCase() === id.toLowerCase());
  if (found === undefined) throw new GatewayError('request.not_found');
  return found;
}
