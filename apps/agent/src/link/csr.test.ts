import { execFileSync } from 'node:child_process';
import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { expect, test } from 'vitest';
import { certificateRequest } from './csr.ts';

test('openssl reads the request, and its signature holds for the key inside', () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  for (const name of ['agent', 'a'.repeat(200)]) {
    const text = execFileSync('openssl', ['req', '-inform', 'DER', '-verify', '-noout', '-pubkey', '-subject'], {
      input: certificateRequest(privateKey, name),
      stdio: ['pipe', 'pipe', 'pipe'],
    }).toString();
    expect(text).toContain(createPublicKey(privateKey).export({ type: 'spki', format: 'pem' }) as string);
    expect(text).toContain(name);
  }
});
