/** How a request's body is framed on its way to the service, and its bytes where they are known. Pure. RFC 9112 section 6. */
import type { BodyFraming } from '@sallyport/http';
import type { RequestBody } from './dialect.ts';

/** @param isWhole all of it is here, and no trailers follow */
export function framingOf(
  replaced: Uint8Array | undefined,
  asked: BodyFraming,
  isWhole: boolean,
  gathered: RequestBody | undefined,
): BodyFraming {
  if (replaced !== undefined)
    return replaced.length === 0 ? { kind: 'none' } : { kind: 'length', bytes: replaced.length };
  // What was read whole has a length: services that take no chunks get one.
  if (asked.kind === 'stream' && isWhole && gathered?.read === true)
    return gathered.size === 0 ? { kind: 'none' } : { kind: 'length', bytes: gathered.size };
  return asked;
}

/** What a credential may sign; `streams` where the bytes are not known before they are sent. */
export function signedBody(
  replaced: Uint8Array | undefined,
  framing: BodyFraming,
  gathered: RequestBody | undefined,
): Uint8Array | 'none' | 'streams' {
  if (framing.kind === 'none') return 'none';
  return replaced ?? (gathered?.read === true ? gathered.bytes : 'streams');
}
