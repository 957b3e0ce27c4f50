/**
 * Builds what runs built: generated code, the control plane (decorators are not erasable) and the bundles of agent and CLI.
 * Refuses to know who starts them. Cheap when nothing changed.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { generate } from '../gen.ts';

export const ROOT = path.join(import.meta.dirname, '../..');
const run = promisify(execFile);

async function step(program: string, args: readonly string[]): Promise<void> {
  try {
    await run(program, [...args], { cwd: ROOT, maxBuffer: 64 * 1024 * 1024 });
  } catch (error) {
    const said = error as { stdout?: string; stderr?: string; message: string };
    throw new Error(`${path.basename(args[0] ?? program)} failed:\n${said.stdout ?? ''}${said.stderr ?? said.message}`);
  }
}

/** @param say progress for a person, one line a step */
export async function buildAll(say: (line: string) => void): Promise<void> {
  say('Generating code from proto/ and the database schema');
  generate();
  say('Compiling the control plane');
  await step(path.join(ROOT, 'node_modules/.bin/tsc'), ['-b', 'apps/control-plane']);
  for (const app of ['agent', 'cli']) {
    const script = path.join(ROOT, 'apps', app, 'scripts/bundle.ts');
    if (!existsSync(script)) continue;
    say(`Bundling the ${app}`);
    await step(process.execPath, ['--disable-warning=ExperimentalWarning', script]);
  }
}
