/**
 * U+0000 fits in JSON and in a URL and in no text of PostgreSQL, and nobody means it: refused at the edge, wherever it
 * stands, before it can fail a statement. Refuses to know which field is what.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { InvalidRequest } from './invalid-request.ts';

const DEPTH_MAX = 64;

/** @returns the path of the first text with a NUL, or that nests too deep to be one of ours */
function nulIn(value: unknown, field: string, depth = 0): string | undefined {
  if (typeof value === 'string') return value.includes('\0') ? field : undefined;
  if (typeof value !== 'object' || value === null) return undefined;
  if (depth > DEPTH_MAX) return field;
  for (const [key, inner] of Object.entries(value)) {
    const name = field === '' ? key : `${field}.${key}`;
    const found = key.includes('\0') ? field : nulIn(inner, name, depth + 1);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Adds the check to every route. @throws InvalidRequest from the hooks */
export function refuseNul(fastify: Pick<FastifyInstance, 'addHook'>): void {
  fastify.addHook('onRequest', (request: FastifyRequest, _reply: unknown, done: (error?: Error) => void) => {
    done(
      request.url.includes('%00')
        ? new InvalidRequest([{ field: 'url', message: 'holds a NUL character' }])
        : undefined,
    );
  });
  fastify.addHook('preHandler', (request: FastifyRequest, _reply: unknown, done: (error?: Error) => void) => {
    const field = nulIn(request.body, '');
    done(field === undefined ? undefined : new InvalidRequest([{ field, message: 'holds a NUL character' }]));
  });
}
