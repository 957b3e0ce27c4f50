/**
 * Bundles the CLI into a folder of apps/cli/dist: `sallyport.mjs`, parts it loads when a command needs them, and the SQL
 * grammar; dist/sallyport.mjs names it.
 * Refuses to minify: a stack of a bug report must be readable.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { build } from 'esbuild';
import { publishBuild } from '../../../scripts/publish-build.ts';

const app = path.join(import.meta.dirname, '..');
const dist = path.join(app, 'dist');

const { outputFiles } = await build({
  entryPoints: [{ in: path.join(app, 'src/main.ts'), out: 'sallyport' }],
  write: false,
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
const files = new Map<string, Uint8Array>(outputFiles.map((file) => [path.basename(file.path), file.contents]));
const grammar = path.join(path.dirname(sql.resolve('libpg-query')), 'libpg-query.wasm');
files.set('libpg-query.wasm', readFileSync(grammar));
publishBuild(dist, 'sallyport.mjs', files, Date.now());
