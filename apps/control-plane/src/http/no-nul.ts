/**
 * U+0000 fits in JSON and in a URL and in no text of PostgreSQL, half a surrogate pair fits in JSON and in no jsonb, and a key
 * that every object inherits is dropped on the way by what guards against it: nobody means any of them. Refused at the edge,
 * wherever they stand, before they can fail a statement or widen a grant by a label that is gone. Refuses to know which field is what.
 */
import { INHERITED, isInherited } from '@sallyport/core';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { type FieldProblem, InvalidRequest } from './invalid-request.ts';

const DEPTH_MAX = 64;

const isText = (text: string): boolean => !text.includes('\0') && text.isWellFormed();

const NUL = 'holds a NUL or half a character';

/** @returns the first text that no database keeps, name that no map keeps, or value that nests too deep to be one of ours */
function unfitIn(value: unknown, field: string, depth = 0): FieldProblem | undefined {
  if (typeof value === 'string') return isText(value) ? undefined : { field, message: NUL };
  if (typeof value !== 'object' || value === null) return undefined;
  if (depth > DEPTH_MAX) return { field, message: `nests deeper than ${DEPTH_MAX}` };
  for (const [key, inner] of Object.entries(value)) {
    if (!isText(key)) return { field, message: NUL };
    const name = field === '' ? key : `${field}.${key}`;
    if (isInherited(key)) return { field: name, message: INHERITED };
    const found = unfitIn(inner, name, depth + 1);
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
    const problem = unfitIn(request.query, '') ?? unfitIn(request.body, '');
    done(problem === undefined ? undefined : new InvalidRequest([problem]));
  });
}
