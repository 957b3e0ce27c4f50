/**
 * A host that trusts Vault's SSH engine and nobody else: the agent has its session's key signed over Vault's API, and a real
 * sshd takes the certificate. Machines without sshd or Vault's binary leave these out by name.
 */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { hasVault, startVaultServer, type VaultServer } from '@sallyport/credentials/testing';
import { sshdMissing } from '@sallyport/testkit';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { openBed, type SshBed, until } from './ssh-bed.ts';

const dev = inject('dev');

describe.skipIf(sshdMissing || !hasVault)('a host that trusts Vault’s SSH engine', () => {
  let bed: SshBed;
  let vault: VaultServer;

  beforeAll(async () => {
    vault = await startVaultServer();
    bed = await openBed(dev);
    await vault.api('POST', 'sys/mounts/ssh', { type: 'ssh' });
    await vault.api('POST', 'ssh/config/ca', { generate_signing_key: true, key_type: 'ssh-ed25519' });
    const role = { key_type: 'ca', allow_user_certificates: true, max_ttl: '10m', algorithm_signer: 'default' };
    const extensions = { allowed_extensions: 'permit-pty', default_extensions: { 'permit-pty': '' } };
    await vault.api('POST', 'ssh/roles/ops', { ...role, ...extensions, allowed_users: bed.server.login });
    await vault.api('POST', 'ssh/roles/strangers', { ...role, ...extensions, allowed_users: 'nobody-else' });
    const policy = `path "ssh/sign/+" { capabilities = ["update"] }`;
    await vault.api('PUT', 'sys/policies/acl/signer', { policy });
    // The line that the bed wrote, of its own CA, goes: Vault's alone stands there.
    const { data } = (await vault.api('GET', 'ssh/config/ca')) as { data: { public_key: string } };
    writeFileSync(path.join(bed.server.dir, 'user_ca.pub'), data.public_key);
  }, 120_000);
  afterAll(async () => {
    for (const name of ['vault-ops', 'vault-strangers']) {
      await bed?.admin.call('DELETE', `/v1/resources/${name}`).catch(() => undefined);
      await bed?.admin.call('DELETE', `/v1/credentials/${name}`).catch(() => undefined);
    }
    await bed?.stop();
    vault?.stop();
  });

  /** A credential of a Vault role, by a token that may sign and nothing else. */
  async function credential(role: string): Promise<string> {
    const made = (await vault.api('POST', 'auth/token/create', { policies: ['signer'], ttl: '1h' })) as {
      auth: { client_token: string };
    };
    await bed.admin.call('POST', '/v1/credentials', {
      name: `vault-${role}`,
      kind: 'vault',
      settings: { address: vault.address, engine: 'ssh', path: role, auth: 'token' },
      secret: made.auth.client_token,
    });
    return `vault-${role}`;
  }

  test('takes the certificate that Vault signs for the session, and nobody else’s', async () => {
    const host = await bed.host('vault-ops', { resource: { credential: await credential('ops') } });
    const ran = await until(async () => {
      const one = await bed.ssh(host, ['whoami; exit 3']);
      return one.code === 3 ? one : undefined;
    });
    expect(ran.stdout.toString(), ran.stderr).toBe(`${bed.server.login}\n`);
    // Vault's key id, which stands in the host's log.
    expect(bed.server.log()).toMatch(/Accepted publickey for \S+ .*ED25519-CERT .* ID vault-.* CA ED25519/);
    const own = await bed.host('vault-not', {});
    const refused = await bed.ssh(own, ['true']);
    expect([refused.code, refused.stderr]).toEqual([255, expect.stringContaining('upstream.auth')]);
  });

  test('is not reached where Vault signs for other accounts, or is away; then the client is told so', async () => {
    const strange = await bed.host('vault-strangers', { resource: { credential: await credential('strangers') } });
    const refused = await bed.ssh(strange, ['true']);
    expect([refused.code, refused.stderr]).toEqual([255, expect.stringContaining('credential.')]);
    vault.setAway(true);
    try {
      const host = { ...strange, name: 'vault-ops', config: path.join(bed.dir, 'vault-ops') };
      const away = await bed.ssh(host, ['true'], { timeoutMs: 50_000 });
      expect([away.code, away.stderr]).toEqual([255, expect.stringContaining('credential.')]);
    } finally {
      vault.setAway(false);
    }
    const back = await bed.ssh({ ...strange, name: 'vault-ops', config: path.join(bed.dir, 'vault-ops') }, ['true']);
    expect(back.code, back.stderr).toBe(0);
  });
});
