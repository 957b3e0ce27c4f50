/**
 * SCIM's translation of errors (RFC 7644 §3.12): our codes become status, scimType and a sentence. Refuses to show what the
 * REST edge would not show either; what is no operating error is logged there and told as `internal`.
 */
import { type ArgumentsHost, Catch, type ExceptionFilter, Injectable } from '@nestjs/common';
import { CODES } from '@sallyport/core';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { InvalidRequest } from '../http/invalid-request.ts';
import { codeOf, Log } from '../http/problem.filter.ts';
import { ScimError, type ScimType, VersionMismatch } from './scim-error.ts';

const ERROR = 'urn:ietf:params:scim:api:messages:2.0:Error';
export const SCIM_TYPE = 'application/scim+json; charset=utf-8';

function scimTypeOf(error: unknown, status: number): ScimType | undefined {
  if (error instanceof ScimError) return error.scimType;
  if (error instanceof VersionMismatch) return undefined;
  if (error instanceof InvalidRequest) return 'invalidValue';
  return status === 409 ? 'uniqueness' : status === 400 ? 'invalidSyntax' : undefined;
}

@Injectable()
@Catch()
export class ScimErrorFilter implements ExceptionFilter {
  readonly #log: Log;
  constructor(log: Log) {
    this.#log = log;
  }

  catch(error: unknown, host: ArgumentsHost): void {
    const request = host.switchToHttp().getRequest<FastifyRequest>();
    const reply = host.switchToHttp().getResponse<FastifyReply>();
    const code = codeOf(error);
    const status = error instanceof VersionMismatch ? 412 : CODES[code].http;
    const fields = { requestId: request.id, method: request.method, route: request.routeOptions.url, error };
    if (status >= 500)
      this.#log.error('a request failed', { ...fields, stack: error instanceof Error ? error.stack : undefined });
    else this.#log.debug('a request was refused', fields);
    const scimType = scimTypeOf(error, status);
    const detail =
      error instanceof ScimError
        ? error.sentence
        : error instanceof VersionMismatch
          ? 'It has changed since: read it again.'
          : error instanceof InvalidRequest
            ? error.errors.map(({ field, message }) => `${field}: ${message}`).join('; ')
            : CODES[code].text;
    if (status === 401) void reply.header('www-authenticate', 'Bearer');
    void reply
      .status(status)
      .type(SCIM_TYPE)
      .send(
        JSON.stringify({
          schemas: [ERROR],
          status: String(status),
          ...(scimType === undefined ? {} : { scimType }),
          detail,
        }),
      );
  }
}
