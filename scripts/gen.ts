/**
 * `npm run gen`: makes what is generated from sources (protobuf code, the Prisma client) when a source has changed.
 * Refuses to touch the network: Prisma's `generate` is told of an engine binary so that it does not fetch one.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const root = path.join(import.meta.dirname, '..');
const bin = (name: string): string => path.join(root, 'node_modules/.bin', name);

interface Generator {
  readonly name: string;
  readonly sources: readonly string[];
  /** A file that must exist for the output to count as made. */
  readonly output: string;
  run(): void;
}

function prismaClient(name: string, folder: string, output: string): Generator {
  return {
    name,
    sources: [`${folder}/prisma/schema.prisma`, 'scripts/gen.ts'],
    output: `${folder}/${output}`,
    run: () => {
      execFileSync(bin('prisma'), ['generate', '--schema', 'prisma/schema.prisma'], {
        cwd: path.join(root, folder),
        stdio: ['ignore', 'ignore', 'pipe'],
        env: {
          ...process.env,
          PRISMA_SCHEMA_ENGINE_BINARY: '/bin/true',
          CHECKPOINT_DISABLE: '1',
          PRISMA_HIDE_UPDATE_MESSAGE: '1',
        },
      });
    },
  };
}

const GENERATORS: readonly Generator[] = [
  {
    name: 'protobuf',
    sources: ['proto/**/*.proto', 'scripts/gen.ts'],
    output: 'packages/contract/gen/contract.js',
    run: () => {
      mkdirSync(path.join(root, 'packages/contract/gen'), { recursive: true });
      const files = globSync('proto/**/*.proto', { cwd: root }).sort();
      const flags =
        '-t static-module -w esm -d --es6 --no-convert --no-verify --no-delimited --no-typeurl -p proto'.split(' ');
      execFileSync(bin('pbjs'), [...flags, '-o', 'packages/contract/gen/contract.js', ...files], {
        cwd: root,
        stdio: 'inherit',
      });
    },
  },
  prismaClient('prisma', 'apps/control-plane', 'src/generated/prisma/client.ts'),
  prismaClient('prisma-e2e', 'test/e2e', 'generated/prisma/client.ts'),
];

/** Runs every generator whose sources changed since its last run. */
export function generate(): void {
  for (const generator of GENERATORS) {
    const hash = createHash('sha256');
    for (const file of globSync([...generator.sources], { cwd: root }).sort())
      hash.update(file).update(readFileSync(path.join(root, file)));
    const digest = hash.digest('hex');
    const stamp = path.join(root, `node_modules/.gen-${generator.name}`);
    if (existsSync(path.join(root, generator.output)) && existsSync(stamp) && readFileSync(stamp, 'utf8') === digest)
      continue;
    generator.run();
    writeFileSync(stamp, digest);
  }
}

if (import.meta.main) {
  generate();
  // What is read off running code: a control plane is started for its OpenAPI document, from which the client's types come.
  for (const script of [
    'scripts/openapi.ts',
    'packages/api-client/scripts/generate.ts',
    'apps/cli/scripts/reference.ts',
  ]) {
    execFileSync(process.execPath, ['--disable-warning=ExperimentalWarning', script], { cwd: root, stdio: 'inherit' });
  }
  const { writeReference } = await import('./reference.ts');
  writeReference();
}
