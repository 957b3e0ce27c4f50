/**
 * The one setting of the gateway's own, by which a requester says why. A server never hears of it.
 * Refuses to know how it is said: sign-in and SET both name it. Limit: LIMITS.reasonBytesMax.
 */
import { LIMITS } from '@sallyport/core';

/** Settings that begin so are the gateway's. */
export const OWN_SETTINGS = 'sallyport.';
export const REASON_SETTING = 'sallyport.reason';

/** The requester's words are too long to be kept. */
export const isReasonTooLong = (reason: string): boolean => Buffer.byteLength(reason) > LIMITS.reasonBytesMax;
