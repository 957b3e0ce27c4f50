/** Errors as gRPC statuses: the link's edge. Refuses to let a cause or a detail out. */
import { status as codes, type ServiceError } from '@grpc/grpc-js';
import { CODES, GatewayError } from '@sallyport/core';

/** @returns what grpc-js sends; `details` is `<code>: <its text>` */
export function toStatus(error: unknown): Pick<ServiceError, 'code' | 'details'> {
  const code = error instanceof GatewayError ? error.code : 'internal';
  return { code: statusOf(CODES[code].http), details: `${code}: ${CODES[code].text}` };
}

function statusOf(http: number): codes {
  if (http === 401) return codes.UNAUTHENTICATED;
  if (http === 403) return codes.PERMISSION_DENIED;
  if (http === 404) return codes.NOT_FOUND;
  if (http === 429) return codes.RESOURCE_EXHAUSTED;
  if (http === 503) return codes.UNAVAILABLE;
  return http < 500 ? codes.INVALID_ARGUMENT : codes.INTERNAL;
}
