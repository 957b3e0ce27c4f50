/**
 * The key of the masking method `hash` of an agent that its control plane gives none (an older one): made once, kept 0600, so
 * that hashed values stay joinable over restarts. Refuses to leave this host: the same value hashes differently elsewhere.
 */
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { GatewayError } from '@sallyport/core';
import { createMaskKey, type MaskKey } from '@sallyport/mask';
import { readIfThere, writeWhole } from '../files.ts';

const KEY_BYTES = 32;

/** @throws GatewayError `config.invalid` when the stored key is damaged */
export function loadMaskKey(dataDir: string): MaskKey {
  const file = path.join(dataDir, 'mask.key');
  const stored = readIfThere(file);
  if (stored !== undefined && stored.length !== KEY_BYTES)
    throw new GatewayError('config.invalid', { file, reason: 'damaged' });
  const bytes = stored ?? randomBytes(KEY_BYTES);
  if (stored === undefined) writeWhole(file, bytes);
  return createMaskKey(bytes);
}
