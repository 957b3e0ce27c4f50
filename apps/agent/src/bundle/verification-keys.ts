/** Public keys of a bundle, imported once. A key that is not EC P-256 or Ed25519 refuses the bundle. */
import { createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import { GatewayError } from '@sallyport/core';
import type { VerificationKey } from '@sallyport/model';

/** @returns keys by `<use>/<kid>` @throws GatewayError `bundle.malformed` */
export function importKeys(keys: readonly VerificationKey[]): ReadonlyMap<string, KeyObject> {
  const imported = new Map<string, KeyObject>();
  for (const { kid, use, jwk } of keys) {
    if (!((jwk.kty === 'EC' && jwk.crv === 'P-256') || (jwk.kty === 'OKP' && jwk.crv === 'Ed25519'))) {
      throw new GatewayError('bundle.malformed', { key: kid, reason: 'kind of key' });
    }
    try {
      imported.set(`${use}/${kid}`, createPublicKey({ key: jwk as JsonWebKey, format: 'jwk' }));
    } catch (cause) {
      throw new GatewayError('bundle.malformed', { key: kid, reason: 'unreadable' }, { cause });
    }
  }
  return imported;
}
