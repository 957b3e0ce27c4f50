/**
 * Around every REST write: says in the ambient that it is one, and makes a proposal of a change that needs a second admin.
 * Refuses to know routes.
 */
import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import type { FastifyRequest } from 'fastify';
import { from, lastValueFrom, type Observable } from 'rxjs';
import { ambient } from '../db/ambient.ts';
import { Accepted } from '../http/accepted.ts';
import { type Caller, callerIfAny, REQUIRES } from '../http/caller.ts';
import { Proposals } from './proposals.service.ts';
import { SecondAdminNeeded } from './second-admin.ts';

const READS = new Set(['GET', 'HEAD', 'OPTIONS']);

@Injectable()
export class DualControlInterceptor implements NestInterceptor {
  constructor(
    private readonly proposals: Proposals,
    private readonly reflector: Reflector,
  ) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    const caller = callerIfAny(request);
    if (caller === undefined || READS.has(request.method) || ambient.getStore() !== undefined) return next.handle();
    return from(this.#run(context, request, caller, next));
  }

  async #run(context: ExecutionContext, request: FastifyRequest, caller: Caller, next: CallHandler): Promise<unknown> {
    try {
      return await ambient.run({ projectId: caller.projectId }, () =>
        lastValueFrom(next.handle(), { defaultValue: undefined }),
      );
    } catch (error) {
      if (!(error instanceof SecondAdminNeeded)) throw error;
      const targets = [context.getHandler(), context.getClass()];
      const requires = this.reflector.getAllAndOverride<readonly string[] | 'any'>(REQUIRES, targets);
      const call = { method: request.method, path: request.url, body: request.body, requires: [requires].flat() };
      throw new Accepted(await this.proposals.open(caller, call, error));
    }
  }
}
