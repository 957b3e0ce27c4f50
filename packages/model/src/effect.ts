/** What a statement does, independent of how it is spelt. Grants are given in these words. */
import { listOf, oneOf } from '@sallyport/core';

/**
 * `exec`: runs code the gateway cannot read or that has effects outside the data; `admin`: changes rights or the server;
 * `forward`: opens a way to another address through the resource.
 */
export const EFFECTS = ['read', 'write', 'ddl', 'exec', 'admin', 'forward'] as const;
export type Effect = (typeof EFFECTS)[number];
export const parseEffects = listOf(oneOf(...EFFECTS), EFFECTS.length);
