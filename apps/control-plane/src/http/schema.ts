/**
 * Marks on the fields of every request and answer: `open` (public), `sensitive` (people with the right may see it),
 * `secret` (never in an answer, a log or the trail). An unmarked field counts as secret: `openFields` leaves it out.
 * Also the decorators that tie a zod schema to a route for validation and OpenAPI.
 */
import { applyDecorators } from '@nestjs/common';
import { ApiResponse } from '@nestjs/swagger';
import { isDnsLabel, isLine, isProse, UNFIT } from '@sallyport/core';
import { z } from 'zod';
import type { Prisma } from '../generated/prisma/client.ts';

export type Privacy = 'public' | 'sensitive' | 'secret';

const mark = <T extends z.ZodType>(schema: T, privacy: Privacy): T =>
  schema.meta({ ...schema.meta(), 'x-privacy': privacy }) as T;
export const open = <T extends z.ZodType>(schema: T): T => mark(schema, 'public');
export const sensitive = <T extends z.ZodType>(schema: T): T => mark(schema, 'sensitive');
export const secret = <T extends z.ZodType>(schema: T): T => mark(schema, 'secret');

/** The mark of a field, seen through `.optional()`, `.default()` and the like; unmarked means secret. */
export function privacyOf(schema: z.ZodType): Privacy {
  for (let inner: z.ZodType | undefined = schema; inner !== undefined; ) {
    const privacy = inner.meta()?.['x-privacy'];
    if (privacy !== undefined) return privacy as Privacy;
    inner = (inner.def as { readonly innerType?: z.ZodType }).innerType;
  }
  return 'secret';
}

/** The public fields of `value`, for an act's detail. */
export function openFields(schema: z.ZodObject, value: object): Prisma.InputJsonObject {
  const shown = Object.entries(value).filter(
    ([key, field]) =>
      field !== undefined && key in schema.shape && privacyOf(schema.shape[key] as z.ZodType) === 'public',
  );
  return JSON.parse(JSON.stringify(Object.fromEntries(shown))) as Prisma.InputJsonObject;
}

export const Name = z
  .string()
  .refine(isDnsLabel, 'a DNS label is expected: lower-case letters, digits and -, at most 63');
/** Group names come from identity providers too, so they allow more than DNS labels. */
export const GroupName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_.:@/ -]{0,127}$/, 'letters, digits and _ . : @ / - are expected');
/** Free text of one line, and of several. @param max UTF-16 units */
export const Line = (max: number) => z.string().max(max).refine(isLine, UNFIT);
export const Prose = (max: number) => z.string().max(max).refine(isProse, UNFIT);
export const Labels = z
  .record(z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_./-]{0,62}$/), Line(200))
  .refine((labels) => Object.keys(labels).length <= 50, 'at most 50 labels');
const YEAR_10000_MS = 253_402_300_800_000;
/** PostgreSQL knows no year 0, and nobody means what was before 1970 or is after 9999. */
export const Instant = z.iso.datetime({ offset: true }).refine((text) => {
  const ms = Date.parse(text);
  return ms >= 0 && ms < YEAR_10000_MS;
}, 'an instant from 1970 to 9999 is expected');

export const Problem = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.number(),
    code: z.string().describe('Stable; see docs/reference/errors.md.'),
    requestId: z.string(),
    stepUp: z
      .object({
        url: z.string().describe('Where to sign in again.'),
        maxAgeSeconds: z.number().optional(),
        amr: z.array(z.string()).optional(),
        acr: z.array(z.string()).optional(),
      })
      .optional()
      .describe('With `auth.step_up`.'),
    errors: z
      .array(
        z.object({
          field: z.string(),
          message: z.string(),
          file: z.string().optional(),
          line: z.number().optional(),
          column: z.number().optional(),
        }),
      )
      .optional(),
  })
  .meta({ id: 'Problem' });

/** What a route answers (`z.undefined()`: nothing); every other answer is a Problem. */
export const Answers = (schema: z.ZodType, status = 200) =>
  applyDecorators(
    ApiResponse({
      status,
      description: 'Done.',
      ...(schema instanceof z.ZodUndefined ? {} : { standardSchema: schema }),
    }),
    ApiResponse({ status: 'default' as never, description: 'A problem.', standardSchema: Problem }),
  );
