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
import { choose, isAsked, ListQuery, listOf } from './scim-list.ts';
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

  // users
  @Get('Users')
  async listUsers(
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
    @Query({ schema: ListQuery }) query: ListQuery,
  ) {
    send(request, reply, await this.users.list(await this.#who(request), query), {});
  }
  @Post('Users/.search')
  async searchUsers(
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
    @Body({ schema: ListQuery }) query: ListQuery,
  ) {
    send(request, reply, await this.users.list(await this.#who(request), query), {});
  }
  @Get('Users/:id')
  async getUser(
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
    @Param('id') id: string,
    @Query({ schema: ListQuery }) query: ListQuery,
  ) {
    send(request, reply, await this.users.get(await this.#who(request), id), query);
  }
  @Post('Users')
  async createUser(
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
    @Body({ schema: Any }) body: Any,
    @Query({ schema: ListQuery }) query: ListQuery,
  ) {
    send(request, reply, await this.users.create(await this.#who(request), body), query, 201);
  }
  @Put('Users/:id')
  async replaceUser(
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
    @Param('id') id: string,
    @Body({ schema: Any }) body: Any,
    @Query({ schema: ListQuery }) query: ListQuery,
    @Headers('if-match') ifMatch: string | undefined,
  ) {
    send(request, reply, await this.users.replace(await this.#who(request), id, body, ifMatch), query);
  }
  @Patch('Users/:id')
  async patchUser(
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
    @Param('id') id: string,
    @Body({ schema: Any }) body: Any,
    @Query({ schema: ListQuery }) query: ListQuery,
    @Headers('if-match') ifMatch: string | undefined,
  ) {
    send(request, reply, await this.users.patch(await this.#who(request), id, body, ifMatch), query);
  }
  @Delete('Users/:id')
  @HttpCode(204)
  async removeUser(
    @Req() request: FastifyRequest,
    @Param('id') id: string,
    @Headers('if-match') ifMatch: string | undefined,
  ): Promise<void> {
    await this.users.remove(await this.#who(request), id, ifMatch);
  }

  // groups
  @Get('Groups')
  async listGroups(
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
    @Query({ schema: ListQuery }) query: ListQuery,
  ) {
    send(request, reply, await this.groups.list(await this.#who(request), query), {});
  }
  @Post('Groups/.search')
  async searchGroups(
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
    @Body({ schema: ListQuery }) query: ListQuery,
  ) {
    send(request, reply, await this.groups.list(await this.#who(request), query), {});
  }
  @Get('Groups/:id')
  async getGroup(
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
    @Param('id') id: string,
    @Query({ schema: ListQuery }) query: ListQuery,
  ) {
    send(request, reply, await this.groups.get(await this.#who(request), id, isAsked(query, 'members')), query);
  }
  @Post('Groups')
  async createGroup(
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
    @Body({ schema: Any }) body: Any,
    @Query({ schema: ListQuery }) query: ListQuery,
  ) {
    send(request, reply, await this.groups.create(await this.#who(request), body), query, 201);
  }
  @Put('Groups/:id')
  async replaceGroup(
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
    @Param('id') id: string,
    @Body({ schema: Any }) body: Any,
    @Query({ schema: ListQuery }) query: ListQuery,
    @Headers('if-match') ifMatch: string | undefined,
  ) {
    send(request, reply, await this.groups.replace(await this.#who(request), id, body, ifMatch), query);
  }
  /** Answers without a body: a group of thousands need not travel back for one more member. */
  @Patch('Groups/:id')
  @HttpCode(204)
  async patchGroup(
    @Req() request: FastifyRequest,
    @Param('id') id: string,
    @Body({ schema: Any }) body: Any,
    @Headers('if-match') ifMatch: string | undefined,
  ): Promise<void> {
    await this.groups.patch(await this.#who(request), id, body, ifMatch);
  }
  @Delete('Groups/:id')
  @HttpCode(204)
  async removeGroup(
    @Req() request: FastifyRequest,
    @Param('id') id: string,
    @Headers('if-match') ifMatch: string | undefined,
  ): Promise<void> {
    await this.groups.remove(await this.#who(request), id, ifMatch);
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
