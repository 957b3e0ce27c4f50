/**
 * The REST edge's translation of errors to RFC 9457 problems: code, its fixed text, the request id; nothing from inside.
 * Refuses to show a cause, a stack, or a detail other than a conflict's reason. What is not an operating error is `internal`
 * and is logged.
 */
import { type ArgumentsHost, Catch, type ExceptionFilter, HttpException, Injectable } from '@nestjs/common';
import { CODES, type ErrorCode, GatewayError, type Logger } from '@sallyport/core';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { isDatabaseAway } from '../db/database-away.ts';
import { Prisma } from '../generated/prisma/client.ts';
import { Accepted, PROPOSAL_HEADER } from './accepted.ts';
import { type FieldProblem, InvalidRequest, OAuthError } from './invalid-request.ts';
import { StepUpRequired } from './step-up.ts';

/** Abstract class as the injection token of the process's logger. */
export abstract class Log implements Logger {
  abstract debug(message: string, fields?: Readonly<Record<string, unknown>>): void;
  abstract info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  abstract warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  abstract error(message: string, fields?: Readonly<Record<string, unknown>>): void;
}

const PRISMA: Readonly<Record<string, ErrorCode>> = {
  P2002: 'request.conflict',
  P2003: 'request.conflict',
  P2025: 'request.not_found',
};
const STATUS: Readonly<Record<number, ErrorCode>> = {
  400: 'request.invalid',
  401: 'auth.required',
  403: 'auth.forbidden',
  404: 'request.not_found',
  405: 'request.not_found',
  409: 'request.conflict',
  413: 'frame.too_large',
  414: 'request.not_found',
  415: 'request.invalid',
  429: 'request.throttled',
};

/** The code a stranger is told. */
export function codeOf(error: unknown): ErrorCode {
  if (error instanceof GatewayError) return error.code;
  if (isDatabaseAway(error)) return 'control_plane.database';
  if (error instanceof Prisma.PrismaClientKnownRequestError) return PRISMA[error.code] ?? 'internal';
  if (error instanceof HttpException) return STATUS[error.getStatus()] ?? 'internal';
  // Errors of Fastify itself (body too large, malformed JSON) carry a status and no class of ours.
  const status = (error as { statusCode?: unknown } | null)?.statusCode;
  return typeof status === 'number' ? (STATUS[status] ?? 'internal') : 'internal';
}

/** RFC 9457. */
export const problemOf = (code: ErrorCode, requestId: string) => ({
  type: `https://sallyport.dev/errors#${code}`,
  title: CODES[code].text,
  status: CODES[code].http,
  code,
  requestId,
});

/** For what fails before there is a route: a path that cannot be decoded, or with a part longer than any name. */
export function answerUnrouted(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const problem = problemOf(codeOf(error), request.id);
  void reply
    .status(problem.status)
    .header('x-request-id', request.id)
    .type('application/problem+json')
    .send(JSON.stringify(problem));
}

/** Bodies that Fastify does not read; of the first it does not say which of the two. */
const UNREADABLE: Readonly<Record<string, string>> = {
  FST_ERR_CTP_INVALID_JSON_BODY: 'not JSON, or JSON with a key __proto__',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'empty, where the content type says JSON: leave the content type out',
};

function unreadable(error: unknown): { errors?: readonly FieldProblem[] } {
  const cause = error instanceof HttpException ? error.cause : error;
  const message = UNREADABLE[String((cause as { code?: unknown } | null | undefined)?.code)];
  return message === undefined ? {} : { errors: [{ field: '', message }] };
}

/** What a conflict is with is written for who asked. What else an error holds stays inside. */
function conflictOf(error: unknown): { errors?: readonly FieldProblem[] } {
  const reason =
    error instanceof GatewayError && error.code === 'request.conflict' ? error.detail['reason'] : undefined;
  return typeof reason === 'string' ? { errors: [{ field: '', message: reason }] } : {};
}

@Injectable()
@Catch()
export class ProblemFilter implements ExceptionFilter {
  readonly #log: Log;
  constructor(log: Log) {
    this.#log = log;
  }

  catch(error: unknown, host: ArgumentsHost): void {
    const request = host.switchToHttp().getRequest<FastifyRequest>();
    const reply = host.switchToHttp().getResponse<FastifyReply>();
    if (error instanceof Accepted) {
      void reply.status(202).header(PROPOSAL_HEADER, error.body.id).send(error.body);
      return;
    }
    const code = codeOf(error);
    const status = CODES[code].http;
    const fields = { requestId: request.id, method: request.method, route: request.routeOptions.url, error };
    if (status >= 500)
      this.#log.error('a request failed', { ...fields, stack: error instanceof Error ? error.stack : undefined });
    else this.#log.debug('a request was refused', fields);
    if (reply.sent || reply.raw.headersSent) {
      reply.raw.destroy();
      return;
    }
    const problem = {
      ...problemOf(code, request.id),
      ...(error instanceof InvalidRequest ? { errors: error.errors } : unreadable(error)),
      ...conflictOf(error),
      ...(error instanceof StepUpRequired ? { stepUp: error.stepUp } : {}),
    };
    if (error instanceof OAuthError) {
      // RFC 6749 section 5.2: 400 whatever is wrong, but for clients that did not prove who they are.
      const told = error.error === 'invalid_client' ? 401 : 400;
      if (told === 401) void reply.header('www-authenticate', 'Basic realm="sallyport"');
      void reply.header('cache-control', 'no-store').status(told);
      void reply.send({ ...problem, status: told, error: error.error, error_description: problem.title });
      return;
    }
    if (status === 401)
      void reply.header('www-authenticate', error instanceof StepUpRequired ? error.challenge : 'Bearer');
    if (status === 429 || code === 'control_plane.database')
      void reply.header('retry-after', String(retrySecondsOf(error)));
    const oauth = request.routeOptions.url?.startsWith('/v1/oauth/') === true;
    void reply
      .status(status)
      .type('application/problem+json')
      .send(oauth ? { ...problem, error: oauthErrorOf(status), error_description: problem.title } : problem);
  }
}

/** What those who refuse for a time know of it; the text says a minute. */
function retrySecondsOf(error: unknown): number {
  const retryMs = error instanceof GatewayError ? error.detail['retryMs'] : undefined;
  return typeof retryMs === 'number' ? Math.max(1, Math.ceil(retryMs / 1000)) : 60;
}

/** RFC 6749 sections 4.1.2.1 and 5.2, for what fails there and is no OAuthError: its clients look for no other field. */
function oauthErrorOf(status: number): string {
  if (status === 429 || status === 503) return 'temporarily_unavailable';
  return status >= 500 ? 'server_error' : 'invalid_request';
}
