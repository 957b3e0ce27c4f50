/**
 * What an exchange puts in the place of what it could not have: a statement for a request that was not read, and trailers
 * without what is not so any more of a masked body. Refuses to guess.
 */
import { hash } from 'node:crypto';
import type { Header, RequestHead } from '@sallyport/http';
import type { Statement } from '@sallyport/model';

/** With masked bodies, what a service says of the body's bytes in a trailer is not so any more; gRPC's own status is. */
export const grpcTrailers = (trailers: readonly Header[]): readonly Header[] =>
  trailers.length === 0 ? trailers : trailers.filter(([name]) => name === 'grpc-status' || name === 'grpc-message');

/** A request that could not be read, for the record. */
export const unread = (request: RequestHead, protocol: Statement['protocol']): Statement => {
  const text = `${request.method} ${request.path}`;
  return {
    protocol,
    digest: hash('sha256', `${protocol} ${text}`, 'hex'),
    text,
    parameters: [],
    effects: [],
    understood: false,
    facts: {},
    inTransaction: false,
    wroteInTransaction: false,
  };
};
