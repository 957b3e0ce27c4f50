/**
 * U+0000 fits in JSON and in a URL and in no text of PostgreSQL, half a surrogate pair fits in JSON and in no jsonb, and nobody
 * means either: refused at the edge, wherever they stand, before they can fail a statement. Refuses to know which field is what.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { InvalidRequest } from './invalid-request.ts';

const DEPTH_MAX = 64;

const isText = (text: string): boolean => !text.includes('\0') && text.isWellFormed();

/** @returns the path of the first text that no database keeps, or that nests too deep to be one of ours */
function nulIn(value: unknown, field: string, depth = 0): string | undefined {
  if (typeof value === 'string') return isText(value) ? undefined : field;
  if (typeof value !== 'object' || value === null) return undefined;
  if (depth > DEPTH_MAX) return field;
  for (const [key, inner] of Object.entries(value)) {
    const name = field === '' ? key : `${field}.${key}`;
    const found = isText(key) ? nulIn(inner, name, depth + 1) : field;
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
    done(field === undefined ? undefined : new InvalidRequest([{ field, message: 'holds a NUL or half a character' }]));
  });
}
