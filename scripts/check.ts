/** `npm run check`: format, lint, types, unit tests and laws, in that order. Under a minute; the same in CI. */
import { generate } from './gen.ts';
import { runTool } from './run-tool.ts';

/** What must be clean before any test counts. */
export const STATIC_CHECKS: readonly {
  readonly name: string;
  readonly tool: string;
  readonly args: readonly string[];
}[] = [
  { name: 'format', tool: 'biome', args: ['check', '--error-on-warnings', '.'] },
  { name: 'lint', tool: 'oxlint', args: ['--type-aware', '--deny-warnings'] },
  { name: 'types', tool: 'tsc', args: ['-b'] },
];

/** @returns names of the checks that failed */
export async function staticChecks(): Promise<string[]> {
  generate();
  const failed: string[] = [];
  for (const check of STATIC_CHECKS) {
    const code = await runTool(check.tool, check.args);
    console.log(`${code === 0 ? 'ok  ' : 'FAIL'} ${check.name}`);
    if (code !== 0) failed.push(check.name);
  }
  return failed;
}

if (import.meta.main) {
  const failed = await staticChecks();
  if ((await runTool('vitest', ['run', '--project', 'unit', '--project', 'laws'])) !== 0) failed.push('unit and laws');
  if (failed.length > 0)
    console.error(`Not clean: ${failed.join(', ')}. \`npm run fix\` repairs format and what lint can.`);
  process.exit(failed.length === 0 ? 0 : 1);
}
