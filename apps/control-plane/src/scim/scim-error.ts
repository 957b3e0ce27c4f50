/**
 * What SCIM answers when it refuses: RFC 7644 §3.12, with a sentence that says what to do. Refuses to quote values.
 * The status comes from the code in the one table of errors, so that logs and metrics read alike everywhere.
 */
import { type ErrorCode, GatewayError } from '@sallyport/core';

/** RFC 7644, table 9. */
export type ScimType =
  | 'invalidFilter'
  | 'tooMany'
  | 'uniqueness'
  | 'mutability'
  | 'invalidSyntax'
  | 'invalidPath'
  | 'noTarget'
  | 'invalidValue'
  | 'invalidVers';

const CODE: Readonly<Partial<Record<ScimType, ErrorCode>>> = {
  uniqueness: 'request.conflict',
  tooMany: 'request.invalid',
};

export class ScimError extends GatewayError {
  readonly scimType: ScimType;
  /** Public: says what is wrong and never a value. */
  readonly sentence: string;
  constructor(scimType: ScimType, sentence: string) {
    super(CODE[scimType] ?? 'request.invalid', { scimType, sentence });
    this.scimType = scimType;
    this.sentence = sentence;
  }
}

/** `If-Match` names another version than the one there is (RFC 7644 §3.14). */
export class VersionMismatch extends GatewayError {
  constructor() {
    super('request.conflict', { reason: 'another version' });
  }
}
