/**
 * A project's `trail` key as packages/trail wants a signer: the key is named before it signs, since the name is
 * in the statement. Refuses a signature of another key, as after a rotation in between: the caller tries again.
 */
import { X509Certificate } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import { type AsyncSigner, publicKeyId, SIGN_ES256 } from '@sallyport/trail';
import { Keys } from '../keys/keys.ts';

@Injectable()
export class TrailSigner {
  constructor(private readonly keys: Keys) {}

  /** @throws GatewayError `internal` when the key changed between naming and signing */
  async current(projectId: string): Promise<AsyncSigner & { readonly keyName: string }> {
    const named = new X509Certificate(await this.keys.certificateChain('trail', projectId));
    const keyId = publicKeyId(named.publicKey);
    return {
      algorithm: SIGN_ES256,
      keyId,
      keyName: keyId.toString('hex'),
      sign: async (bytes) => {
        const { signature, certificates } = await this.keys.sign('trail', bytes, projectId);
        const leaf = certificates[0];
        if (leaf === undefined || !publicKeyId(new X509Certificate(leaf).publicKey).equals(keyId))
          throw new GatewayError('internal', { reason: 'the trail key changed' });
        return signature;
      },
    };
  }
}
