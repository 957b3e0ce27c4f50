/**
 * HashiCorp Vault's (OpenBao's) transit engine as a KMS: the key never leaves it. Signs in as a credential's source does.
 * Refuses keys that do not authenticate what they are given beside the text. API: Transit, Encrypt Data, Decrypt Data.
 */
import { Secret } from '@sallyport/core';
import { KMS_CONTEXT, type KmsKind, WRAPPED_BYTES_MAX } from './kms.ts';
import { unavailable } from './source.ts';
import { checkSignIn, dataOf, PATH, textOf, VAULT_SIGN_IN, vaultClient } from './vault-client.ts';

const KIND = 'vault_transit';

export const vaultTransit: KmsKind = {
  kind: KIND,
  about: 'HashiCorp Vault or OpenBao, engine transit.',
  settings: {
    ...VAULT_SIGN_IN,
    mount: { ...PATH, help: 'where the engine is mounted (transit)' },
    key: { required: true, pattern: /[A-Za-z0-9_.-]{1,128}/, help: 'the transit key’s name' },
  },
  check: checkSignIn,
  open: (name, settings, host) => {
    const client = vaultClient(host);
    const associated = Buffer.from(KMS_CONTEXT).toString('base64');
    const at = (verb: string): string => `${settings['mount'] ?? 'transit'}/${verb}/${settings['key']}`;
    return {
      name,
      wrap: async (key) => {
        const answer = await client.call({ settings, key: undefined }, 'PUT', at('encrypt'), {
          plaintext: key.reveal().toString('base64'),
          associated_data: associated,
        });
        const wrapped = textOf(dataOf(answer), 'ciphertext');
        if (wrapped.length > WRAPPED_BYTES_MAX) throw unavailable(KIND, 'what it wrapped is too long');
        return wrapped;
      },
      unwrap: async (wrapped) => {
        const answer = await client.call({ settings, key: undefined }, 'PUT', at('decrypt'), {
          ciphertext: wrapped,
          associated_data: associated,
        });
        return new Secret(Buffer.from(textOf(dataOf(answer), 'plaintext'), 'base64'));
      },
    };
  },
};
