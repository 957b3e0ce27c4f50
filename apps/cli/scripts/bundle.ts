/**
 * Bundles the CLI into apps/cli/dist: `sallyport.mjs`, parts it loads when a command needs them, and the SQL grammar.
 * Refuses to minify: a stack of a bug report must be readable.
 */
import { cpSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { build } from 'esbuild';

const app = path.join(import.meta.dirname, '..');
const dist = path.join(app, 'dist');

mkdirSync(dist, { recursive: true });
for (const name of readdirSync(dist)) if (/\.(mjs|wasm)$/.test(name)) rmSync(path.join(dist, name));

await build({
  entryPoints: [{ in: path.join(app, 'src/main.ts'), out: 'sallyport' }],
  outdir: dist,
  outExtension: { '.js': '.mjs' },
  chunkNames: 'part-[hash]',
  bundle: true,
  splitting: true,
  platform: 'node',
  format: 'esm',
  target: 'node24',
  // pg asks for its native twin, which is not used.
  external: ['pg-native'],
  // CommonJS packages inside ask for these.
  banner: {
    js: "import { createRequire as __createRequire } from 'node:module';const require = __createRequire(import.meta.url);const __dirname = import.meta.dirname;const __filename = import.meta.filename;",
  },
  logLevel: 'warning',
});

const sql = createRequire(path.join(app, '../../packages/sql/package.json'));
cpSync(path.join(path.dirname(sql.resolve('libpg-query')), 'libpg-query.wasm'), path.join(dist, 'libpg-query.wasm'));
