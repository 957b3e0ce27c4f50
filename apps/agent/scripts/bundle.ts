/**
 * Bundles the agent into apps/agent/dist: agent.mjs, parts it loads with the first connection of a protocol, the SQL parser's
 * worker, and beside them the parser's WebAssembly and the addon of SSH's ciphers.
 * That directory is all another host needs, with Node 24. Prints nothing when all is well.
 */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { build, type Plugin } from 'esbuild';

const root = path.join(import.meta.dirname, '../../..');
const out = path.join(import.meta.dirname, '../dist');
mkdirSync(out, { recursive: true });

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

// An agent that runs may still ask for a part: what did not change is not touched, and no file is ever half there.
const made = new Set(outputFiles.map((file) => path.basename(file.path)));
for (const file of outputFiles) {
  const text = ascii(file.text);
  if (existsSync(file.path) && readFileSync(file.path, 'utf8') === text) continue;
  const whole = `${file.path}.${process.pid}`;
  writeFileSync(whole, text);
  renameSync(whole, file.path);
}
for (const name of readdirSync(out)) if (name.endsWith('.mjs') && !made.has(name)) rmSync(path.join(out, name));

const parser = path.dirname(createRequire(path.join(root, 'packages/sql/package.json')).resolve('libpg-query'));
copyFileSync(path.join(parser, 'libpg-query.wasm'), path.join(out, 'libpg-query.wasm'));

const ssh = path.dirname(
  createRequire(path.join(root, 'packages/protocol-ssh/package.json')).resolve('ssh2/package.json'),
);
const built = path.join(ssh, 'lib/protocol/crypto/build/Release', ADDON);
rmSync(path.join(out, ADDON), { force: true });
if (existsSync(built)) copyFileSync(built, path.join(out, ADDON));
