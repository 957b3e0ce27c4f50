/** One running stack for all end-to-end tests: `inject('dev')` gives them where it is. */
import { mkdtempSync, rmSync } from 'node:fs';
import type { TestProject } from 'vitest/node';
import { buildAll } from '../../scripts/stack/build.ts';
import type { DevFile } from '../../scripts/stack/dev-file.ts';
import { ANY_PORTS, startStack } from '../../scripts/stack/stack.ts';

declare module 'vitest' {
  interface ProvidedContext {
    dev: DevFile;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  await buildAll(() => undefined);
  const dir = mkdtempSync('/var/tmp/sallyport-e2e-');
  const stack = await startStack({
    dir,
    fresh: false,
    ports: ANY_PORTS,
    say: () => undefined,
    controlPlaneEnv: { SALLYPORT_DOMAIN: 'gw.test' },
  }).catch((error: unknown) => {
    rmSync(dir, { recursive: true, force: true });
    throw error;
  });
  project.provide('dev', stack.dev);
  return async () => {
    await stack.stop();
    rmSync(dir, { recursive: true, force: true });
  };
}
