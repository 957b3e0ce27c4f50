/**
 * `npm test`: everything. Static checks, then each suite, then one closing line `N passed, N failed, N skipped`.
 * A suite with no test executed, a skip where its program can be installed, or a client matrix below its floor is a failure.
 * Options: names of suites to run only those.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { staticChecks } from './check.ts';
import { runTool } from './run-tool.ts';
import { buildAll } from './stack/build.ts';
import { installTestPrograms } from './test-programs.ts';
import { installTestServers } from './test-servers.ts';

const SUITES = ['unit', 'laws', 'conformance', 'bypass', 'leaks', 'e2e', 'faults'] as const;

interface VitestReport {
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message?: string;
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}

interface Totals {
  passed: number;
  failed: number;
  readonly skipped: string[];
  readonly failures: string[];
}

function addReport(totals: Totals, suite: string, file: string): void {
  const report = JSON.parse(readFileSync(file, 'utf8')) as VitestReport;
  let executed = 0;
  for (const result of report.testResults) {
    // A file that breaks before its first test has no assertions to count.
    if (result.status === 'failed' && result.assertionResults.every((test) => test.status !== 'failed')) {
      totals.failed++;
      totals.failures.push(`${suite}: ${path.relative(process.cwd(), result.name)} could not run`);
    }
    for (const test of result.assertionResults) {
      if (test.status === 'passed') {
        totals.passed++;
        executed++;
      } else if (test.status === 'failed') {
        totals.failed++;
        executed++;
        totals.failures.push(`${suite}: ${test.fullName}`);
      } else totals.skipped.push(`${suite}: ${test.fullName}`);
    }
  }
  if (executed === 0) {
    totals.failed++;
    totals.failures.push(`${suite}: no test was executed`);
  }
}

const wanted = process.argv.slice(2).filter((name) => name !== '--');
const suites = SUITES.filter((suite) => wanted.length === 0 || wanted.includes(suite));
const totals: Totals = { passed: 0, failed: 0, skipped: [], failures: [] };
const reports = mkdtempSync(path.join(tmpdir(), 'sallyport-test-'));

const programs = await installTestPrograms();
if (suites.includes('conformance') || suites.includes('bypass')) installTestServers();
await buildAll((line) => console.log(`· ${line}`));
if (wanted.length === 0) {
  for (const name of await staticChecks()) {
    totals.failed++;
    totals.failures.push(`check: ${name}`);
  }
}
for (const suite of suites) {
  console.log(`\n── ${suite} ──`);
  const report = path.join(reports, `${suite}.json`);
  const code = await runTool(
    'vitest',
    ['run', '--project', suite, '--reporter=dot', '--reporter=json', `--outputFile.json=${report}`],
    {
      // Where programs could be installed, a missing client is a failure and not a skip.
      SALLYPORT_TEST_FLOOR: programs.installable ? '1' : '',
    },
  );
  try {
    const failedBefore = totals.failed;
    addReport(totals, suite, report);
    if (code !== 0 && totals.failed === failedBefore) {
      totals.failed++;
      totals.failures.push(`${suite}: the runner ended with ${code} (an error outside any test)`);
    }
  } catch {
    totals.failed++;
    totals.failures.push(`${suite}: the runner left no report (exit ${code})`);
  }
}
rmSync(reports, { recursive: true, force: true });
for (const line of totals.skipped) console.log(`skipped  ${line}`);
for (const line of totals.failures) console.log(`FAILED   ${line}`);
console.log(`\n${totals.passed} passed, ${totals.failed} failed, ${totals.skipped.length} skipped`);
process.exit(totals.failed === 0 ? 0 : 1);
