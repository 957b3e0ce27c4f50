/**
 * Bundles the agent into apps/agent/dist: agent.mjs, the SQL parser's worker, and the parser's WebAssembly beside them.
 * That directory is all another host needs, with Node 24. Prints nothing when all is well.
 */
import { copyFileSync, mkdirSync } from 'node:fs';
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
