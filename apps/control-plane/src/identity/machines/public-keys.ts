/**
 * Which of an issuer's published keys are believed: asymmetric signing keys of today's sizes, and none that is private.
 * Everything else in the set is left out, so that no algorithm can be talked into using it. Pure.
 */
import { ISSUED_ALGORITHMS } from '@sallyport/model';
import type { JWK } from 'jose';
import { z } from 'zod';

export const KEYS_MAX = 50;
const RSA_BYTES_MIN = 256;
const CURVES: ReadonlySet<string> = new Set(['P-256', 'P-384', 'P-521']);

const Jwk = z.looseObject({ kty: z.string().max(20) });
export const KeySet = z.looseObject({ keys: z.array(Jwk).max(KEYS_MAX) });

const PRIVATE = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'k'];
export const isPrivate = (jwk: object): boolean => PRIVATE.some((member) => Object.hasOwn(jwk, member));

const text = (value: unknown): string => (typeof value === 'string' ? value : '');

/** @returns the public part in canonical form, or undefined when the key is not one that may sign */
export function usableKey(jwk: Readonly<Record<string, unknown>>): JWK | undefined {
  if (isPrivate(jwk)) return undefined;
  // SPIFFE trust bundles mark the keys of JWT-SVIDs in their own way.
  if (jwk['use'] !== undefined && jwk['use'] !== 'sig' && jwk['use'] !== 'jwt-svid') return undefined;
  const named = {
    ...(text(jwk['kid']) === '' ? {} : { kid: text(jwk['kid']).slice(0, 500) }),
    ...(text(jwk['alg']) === '' ? {} : { alg: text(jwk['alg']) }),
    use: 'sig',
  };
  if ('alg' in named && !ISSUED_ALGORITHMS.includes(named.alg ?? '')) return undefined;
  switch (jwk['kty']) {
    case 'RSA': {
      const n = Buffer.from(text(jwk['n']), 'base64url');
      if (n.length < RSA_BYTES_MIN || n.length > 1024 || text(jwk['e']) === '') return undefined;
      return { kty: 'RSA', n: text(jwk['n']), e: text(jwk['e']), ...named };
    }
    case 'EC':
      if (!CURVES.has(text(jwk['crv']))) return undefined;
      return { kty: 'EC', crv: text(jwk['crv']), x: text(jwk['x']), y: text(jwk['y']), ...named };
    case 'OKP':
      if (jwk['crv'] !== 'Ed25519') return undefined;
      return { kty: 'OKP', crv: 'Ed25519', x: text(jwk['x']), ...named };
    default:
      return undefined;
  }
}

/** @throws when it is no key set, or none of its keys may sign */
export function usableKeys(document: unknown): JWK[] {
  const keys = KeySet.parse(document).keys.flatMap((jwk) => usableKey(jwk) ?? []);
  if (keys.length === 0) throw new Error('the key set has no public signing key');
  return keys;
}
