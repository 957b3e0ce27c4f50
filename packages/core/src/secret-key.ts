/** Symmetric keys as node:crypto takes them quickest. Refuses to keep or derive any. */
import { createSecretKey, type KeyObject } from 'node:crypto';

/**
 * Node 24.19 and later look into bytes given as a key for a KeyObject, by an error that is thrown and caught: 15 µs for each
 * cipher, HMAC and derivation. A KeyObject takes 3.
 */
export const secretKey = (bytes: Uint8Array): KeyObject => createSecretKey(bytes);
