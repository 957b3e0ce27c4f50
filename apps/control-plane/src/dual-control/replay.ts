/**
 * Makes an agreed call once more, through the whole of REST: guard, validation, handler. Who asks comes from the ambient, so
 * no token is needed and none could be forged. Refuses to judge the answer.
 */
import { Injectable } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { FastifyInstance, InjectOptions } from 'fastify';

/** The answer, as text. */
export interface Replayed {
  readonly status: number;
  readonly body: string;
}

@Injectable()
export class Replay {
  constructor(private readonly host: HttpAdapterHost) {}

  async call(method: string, path: string, body: unknown): Promise<Replayed> {
    const fastify = this.host.httpAdapter.getInstance<FastifyInstance>();
    const answer = await fastify.inject({
      method: method as NonNullable<InjectOptions['method']>,
      url: path,
      ...(body === null ? {} : { payload: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    });
    return { status: answer.statusCode, body: answer.body };
  }
}
