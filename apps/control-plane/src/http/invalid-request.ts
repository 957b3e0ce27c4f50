/** A request whose content is wrong, with each wrong field by name. Refuses to quote values: they may be secrets. */
import { type ErrorCode, GatewayError } from '@sallyport/core';

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
