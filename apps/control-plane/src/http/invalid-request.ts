/** A request whose content is wrong, with each wrong field by name. Refuses to quote values: they may be secrets. */
import { type ErrorCode, GatewayError } from '@sallyport/core';
import type { z } from 'zod';

export interface FieldProblem {
  /** Path as `postgres.host`; '' for the whole. */
  readonly field: string;
  readonly message: string;
  /** Of a document: its file, and line and column from 1. */
  readonly file?: string;
  readonly line?: number;
  readonly column?: number;
}

export class InvalidRequest extends GatewayError {
  readonly errors: readonly FieldProblem[];
  constructor(errors: readonly FieldProblem[], code: ErrorCode = 'request.invalid', options?: { cause?: unknown }) {
    super(
      code,
      {
        fields: errors
          .map((error) => error.field)
          .join(', ')
          .slice(0, 500),
      },
      options,
    );
    this.errors = errors;
  }
}

/** An error of RFC 6749 section 5.2 / RFC 8628 section 3.5, for /v1/oauth alone. */
export class OAuthError extends GatewayError {
  readonly error: string;
  constructor(error: string, code: ErrorCode = 'request.invalid') {
    super(code, { error });
    this.error = error;
  }
}

interface SchemaIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
  readonly code?: string;
  readonly keys?: readonly string[];
}

/** Fields of a schema's complaints, as paths; an unknown field is named itself. */
export const fieldProblems = (issues: readonly SchemaIssue[]): FieldProblem[] =>
  issues.flatMap((issue) => {
    const path = (issue.path ?? []).map((part) => String(typeof part === 'object' ? part.key : part));
    if (issue.code !== 'unrecognized_keys') return [{ field: path.join('.'), message: issue.message }];
    return (issue.keys ?? []).map((key) => ({ field: [...path, key].join('.'), message: 'unknown field' }));
  });

/** @throws InvalidRequest with each wrong field */
export function parseWith<S extends z.ZodType>(schema: S, value: unknown): z.infer<S> {
  const result = schema.safeParse(value);
  if (!result.success) throw new InvalidRequest(fieldProblems(result.error.issues));
  return result.data;
}
