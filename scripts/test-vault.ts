/**
 * `node scripts/test-vault.ts`: builds HashiCorp Vault from its Go module, with the parts the tests need and no others, for
 * packages/credentials/src/vault.test.ts. Takes about twenty minutes of CPU, once; the tests skip Vault by name without it.
 * Vault's licence (BUSL 1.1) allows testing with it; nothing of it is part of Sallyport.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';

const VERSION = 'v1.21.4';
const OUT = path.join(homedir(), '.cache/sallyport/vault');
const GO = existsSync('/usr/local/go/bin/go') ? '/usr/local/go/bin/go' : 'go';

/** The module in the proxy lacks its neighbours (`replace … => ./api`), and two calls fit the published sdk only so. */
const PATCHES: readonly (readonly [file: string, before: string, after: string])[] = [
  [
    'builtin/logical/transit/path_restore.go',
    'restoredKeyName, err := b.lm.RestorePolicy',
    'restoredKeyName, err := keyName, b.lm.RestorePolicy',
  ],
  [
    'vault/identity_store.go',
    'ActivationFunc: iStore.activateDeduplication',
    'ActivationFunc: func(ctx context.Context, req *logical.Request, _ string) error { return iStore.activateDeduplication(ctx, req) }',
  ],
  ['vault/logical_system_activation_flags.go', 'ActivationFunc(ctx, nil)', 'ActivationFunc(ctx, nil, "")'],
];
/** Beside the minimal build's own: the database engine with PostgreSQL, and the Kubernetes auth method. */
const REGISTRY = `//go:build minimal

package builtinplugins

import (
	credKubernetes "github.com/hashicorp/vault-plugin-auth-kubernetes"
	logicalDatabase "github.com/hashicorp/vault/builtin/logical/database"
	dbPostgres "github.com/hashicorp/vault/plugins/database/postgresql"
)

func extendAddonPlugins(r *registry) {
	r.credentialBackends["kubernetes"] = credentialBackend{Factory: credKubernetes.Factory}
	r.logicalBackends["database"] = logicalBackend{Factory: logicalDatabase.Factory}
	r.databasePlugins["postgresql-database-plugin"] = databasePlugin{Factory: dbPostgres.New}
}
`;

const go = (cwd: string, ...args: readonly string[]): string =>
  execFileSync(GO, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });

if (existsSync(OUT)) {
  console.log(`Vault is at ${OUT}.`);
} else {
  const work = mkdtempSync(path.join(tmpdir(), 'sallyport-vault-build-'));
  try {
    const { Dir } = JSON.parse(go(work, 'mod', 'download', '-json', `github.com/hashicorp/vault@${VERSION}`)) as {
      Dir: string;
    };
    const source = path.join(work, 'vault');
    cpSync(Dir, source, { recursive: true });
    execFileSync('chmod', ['-R', 'u+w', source]);
    for (const name of ['api', 'api/auth/approle', 'api/auth/kubernetes', 'api/auth/userpass', 'sdk'])
      go(source, 'mod', 'edit', `-dropreplace=github.com/hashicorp/vault/${name}`);
    for (const [file, before, after] of PATCHES) {
      const at = path.join(source, file);
      writeFileSync(at, readFileSync(at, 'utf8').replace(before, after));
    }
    writeFileSync(path.join(source, 'helper/builtinplugins/registry_min.go'), REGISTRY);
    mkdirSync(path.dirname(OUT), { recursive: true });
    go(source, 'build', '-p', '2', '-mod=mod', '-tags', 'minimal', '-trimpath', '-ldflags', '-s -w', '-o', OUT, '.');
    console.log(`Vault ${VERSION} is at ${OUT}.`);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
