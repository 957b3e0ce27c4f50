/**
 * Keeps the bytes of a body as they came, for the one route whose caller signs bytes and not what they mean.
 * Refuses bodies larger than anything Slack sends, and to touch any other route.
 */
import { Readable } from 'node:stream';
import { GatewayError } from '@sallyport/core';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

export const INTERACTIONS_PATH = '/v1/slack/interactions';
const BYTES_MAX = 256 * 1024;
const RAW = Symbol('raw body');
type Carrier = FastifyRequest & { [RAW]?: Buffer };

/** Empty where there was no body. */
export const rawBodyOf = (request: FastifyRequest): Buffer => (request as Carrier)[RAW] ?? Buffer.alloc(0);

export function keepRawBody(fastify: Pick<FastifyInstance, 'addHook'>): void {
  fastify.addHook('preParsing', async (request: FastifyRequest, _reply: FastifyReply, payload: Readable) => {
    if (request.routeOptions.url !== INTERACTIONS_PATH) return payload;
    const parts: Buffer[] = [];
    let size = 0;
    for await (const part of payload) {
      size += (part as Buffer).length;
      if (size > BYTES_MAX) throw new GatewayError('frame.too_large', { what: 'slack' });
      parts.push(part as Buffer);
    }
    const raw = Buffer.concat(parts);
    (request as Carrier)[RAW] = raw;
    return Object.assign(Readable.from(raw.length === 0 ? [] : [raw]), { receivedEncodedLength: raw.length });
  });
}
