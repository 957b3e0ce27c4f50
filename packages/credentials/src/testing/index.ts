/** For tests alone: Vault itself where it can run, and the fake that is held to it. */

export {
  type FakeKms,
  googleSignIn,
  startFakeAwsKms,
  startFakeAzureKeys,
  startFakeGcpKms,
} from './clouds-kms.fake.ts';
export { type FakeVault, startFakeVault } from './vault.fake.ts';
export { hasVault, startVaultServer, type VaultServer } from './vault-server.ts';
