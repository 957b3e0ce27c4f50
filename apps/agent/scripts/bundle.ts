/**
 * Bundles the agent into a folder of apps/agent/dist: agent.mjs, parts it loads with the first connection of a protocol, the
 * SQL parser's worker, and beside them the parser's WebAssembly and the addon of SSH's ciphers; dist/agent.mjs names it.
 * That folder is all another host needs, with Node 24. Prints nothing when all is well.
 */
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { build, type Plugin } from 'esbuild';
import { publishBuild } from '../../../scripts/publish-build.ts';

const root = path.join(import.meta.dirname, '../../..');
const out = path.join(import.meta.dirname, '../dist');

/** Where it could not be built it is not there, and the agent says so at its start. */
const ADDON = 'sshcrypto.node';
const addonBeside: Plugin = {
  name: 'addon-beside',
  setup: (bundler) =>
    bundler.onResolve({ filter: /\/sshcrypto\.node$/ }, () => ({ path: `./${ADDON}`, external: true })),
};

/** An `import` of it makes all it exports, its WebSocket too, for which Node loads a whole HTTP client: 8 MB. */
const httpAlone: Plugin = {
  name: 'http-alone',
  setup: (bundler) => {
    bundler.onResolve({ filter: /^node:http$/ }, (asked) => ({ path: asked.path, namespace: 'http-alone' }));
    bundler.onLoad({ filter: /.*/, namespace: 'http-alone' }, () => ({
      contents: "export default process.getBuiltinModule('node:http');",
    }));
  },
};

const { outputFiles } = await build({
  entryPoints: {
    agent: path.join(import.meta.dirname, '../src/main.ts'),
    'sql-worker': path.join(root, 'packages/sql/src/worker.ts'),
  },
  write: false,
  outdir: out,
  outExtension: { '.js': '.mjs' },
  chunkNames: 'part-[hash]',
  bundle: true,
  splitting: true,
  platform: 'node',
  format: 'esm',
  target: 'node24',
  minifySyntax: true,
  minifyWhitespace: true,
  define: { BUNDLED: 'true' },
  plugins: [addonBeside, httpAlone],
  // It only guesses which cipher is quick.
  external: ['cpu-features'],
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

/**
 * V8 keeps a text of ASCII at one byte a letter and any other at two. What is left of others stands in regular expressions,
 * where the escape means the same.
 */
const ascii = (text: string): string =>
  text.replace(/[^\0-\x7f]/g, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`);

const files = new Map<string, Uint8Array>(
  outputFiles.map((file) => [path.basename(file.path), Buffer.from(ascii(file.text))]),
);
const parser = path.dirname(createRequire(path.join(root, 'packages/sql/package.json')).resolve('libpg-query'));
files.set('libpg-query.wasm', readFileSync(path.join(parser, 'libpg-query.wasm')));
const ssh = path.dirname(
  createRequire(path.join(root, 'packages/protocol-ssh/package.json')).resolve('ssh2/package.json'),
);
const built = path.join(ssh, 'lib/protocol/crypto/build/Release', ADDON);
if (existsSync(built)) files.set(ADDON, readFileSync(built));
publishBuild(out, 'agent.mjs', files, Date.now());
