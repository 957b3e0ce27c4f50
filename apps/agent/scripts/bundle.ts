/**
 * Bundles the agent into apps/agent/dist: agent.mjs, the SQL parser's worker, and beside them the parser's
 * WebAssembly and the addon of SSH's ciphers.
 * That directory is all another host needs, with Node 24. Prints nothing when all is well.
 */
import { copyFileSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { build } from 'esbuild';

const root = path.join(import.meta.dirname, '../../..');
const out = path.join(import.meta.dirname, '../dist');
mkdirSync(out, { recursive: true });

await build({
  entryPoints: {
    agent: path.join(import.meta.dirname, '../src/main.ts'),
    'sql-worker': path.join(root, 'packages/sql/src/worker.ts'),
  },
  outdir: out,
  outExtension: { '.js': '.mjs' },
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node24',
  minifySyntax: true,
  minifyWhitespace: true,
  // Native: ssh2's addon is copied beside, and the other only guesses which cipher is quick.
  external: ['*.node', 'cpu-features'],
  legalComments: 'none',
  logLevel: 'error',
  // CommonJS inside asks for Node's own modules by require (grpc-js) and for its own folder (the parser).
  banner: {
    js: [
      "import { createRequire as createBundleRequire } from 'node:module';",
      'const require = createBundleRequire(import.meta.url);',
      'const __filename = import.meta.filename;',
      'const __dirname = import.meta.dirname;',
    ].join('\n'),
  },
});

const parser = path.dirname(createRequire(path.join(root, 'packages/sql/package.json')).resolve('libpg-query'));
copyFileSync(path.join(parser, 'libpg-query.wasm'), path.join(out, 'libpg-query.wasm'));

// Absent where it could not be built: the agent says so at its start.
const addon = 'crypto/build/Release/sshcrypto.node';
const ssh = path.dirname(
  createRequire(path.join(root, 'packages/protocol-ssh/package.json')).resolve('ssh2/package.json'),
);
const built = path.join(ssh, 'lib/protocol', addon);
mkdirSync(path.dirname(path.join(out, addon)), { recursive: true });
rmSync(path.join(out, addon), { force: true });
if (existsSync(built)) copyFileSync(built, path.join(out, addon));
