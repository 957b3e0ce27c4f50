/**
 * `npm test`: everything. Static checks, then each suite, then one closing line `N passed, N failed, N skipped`.
 * A suite with no test executed, a skip where its program can be installed, or a client matrix below its floor is a failure.
 * A failed file is run once more by itself, when nothing else runs: what passes then is named UNSTABLE, not hidden. Of bypass
 * and leaks every failure counts: there a second chance is one too many.
 * Options: names of suites to run only those.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { staticChecks } from './check.ts';
import { runTool } from './run-tool.ts';
import { buildAll } from './stack/build.ts';
import { buildCluster } from './test-kubernetes.ts';
import { installTestSdks, installTestServers } from './test-packages.ts';
import { installTestPrograms } from './test-programs.ts';

const SUITES = ['unit', 'laws', 'conformance', 'bypass', 'leaks', 'e2e', 'faults'] as const;

interface VitestReport {
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message?: string;
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}

const ONCE: readonly string[] = ['laws', 'bypass', 'leaks'];

interface Totals {
  passed: number;
  failed: number;
  readonly skipped: string[];
  readonly failures: string[];
}
interface FailedFile {
  readonly suite: string;
  readonly file: string;
  readonly failures: readonly string[];
  /** Tests failed in it, 1 for a file that could not run. */
  readonly count: number;
}

/** @returns the files with failures, so that they can have their second run */
function addReport(totals: Totals, suite: string, file: string): FailedFile[] {
  const report = JSON.parse(readFileSync(file, 'utf8')) as VitestReport;
  const failed: FailedFile[] = [];
  let executed = 0;
  for (const result of report.testResults) {
    const before = { failed: totals.failed, named: totals.failures.length };
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
    const failures = totals.failures.slice(before.named);
    const count = totals.failed - before.failed;
    if (count > 0) failed.push({ suite, file: result.name, failures, count });
  }
  if (executed === 0) {
    totals.failed++;
    totals.failures.push(`${suite}: no test was executed`);
  }
  return failed;
}

/** Runs a failed file by itself. What passes then is taken off the failures and named. */
async function runAgain(totals: Totals, { suite, file, failures, count }: FailedFile): Promise<string[]> {
  console.log(`\n── again, by itself: ${path.relative(process.cwd(), file)} ──`);
  const report = path.join(reports, 'again.json');
  const code = await runTool(
    'vitest',
    ['run', '--project', suite, file, '--reporter=dot', '--reporter=json', `--outputFile.json=${report}`],
    environment,
  );
  if (code !== 0) return [];
  const again: Totals = { passed: 0, failed: 0, skipped: [], failures: [] };
  addReport(again, suite, report);
  if (again.failed > 0) return [];
  totals.failed -= count;
  // A file that could not run had its tests in no count so far.
  const couldNotRun = failures.some((line) => line.endsWith('could not run'));
  totals.passed += couldNotRun ? again.passed : count;
  for (const line of failures) totals.failures.splice(totals.failures.indexOf(line), 1);
  return [...failures];
}

const wanted = process.argv.slice(2).filter((name) => name !== '--');
const suites = SUITES.filter((suite) => wanted.length === 0 || wanted.includes(suite));
const totals: Totals = { passed: 0, failed: 0, skipped: [], failures: [] };
const reports = mkdtempSync(path.join(tmpdir(), 'sallyport-test-'));

const programs = await installTestPrograms();
// Where programs could be installed, a missing client is a failure and not a skip.
const environment = { SALLYPORT_TEST_FLOOR: programs.installable ? '1' : '' };
if (process.env['SALLYPORT_TEST_KUBE'] === 'build') buildCluster((line) => console.log(line));
const failedFiles: FailedFile[] = [];
if (suites.includes('conformance') || suites.includes('bypass')) installTestServers();
if (suites.includes('unit')) installTestSdks();
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
    environment,
  );
  try {
    const failedBefore = totals.failed;
    const failed = addReport(totals, suite, report);
    if (!ONCE.includes(suite)) failedFiles.push(...failed);
    if (code !== 0 && totals.failed === failedBefore) {
      totals.failed++;
      totals.failures.push(`${suite}: the runner ended with ${code} (an error outside any test)`);
    }
  } catch {
    totals.failed++;
    totals.failures.push(`${suite}: the runner left no report (exit ${code})`);
  }
}
// Many failed files are no accident of timing.
const unstable: string[] = [];
if (failedFiles.length <= 5) for (const file of failedFiles) unstable.push(...(await runAgain(totals, file)));
rmSync(reports, { recursive: true, force: true });
for (const line of unstable) console.log(`UNSTABLE ${line} (failed among the others, passed by itself)`);
for (const line of totals.skipped) console.log(`skipped  ${line}`);
for (const line of totals.failures) console.log(`FAILED   ${line}`);
console.log(`\n${totals.passed} passed, ${totals.failed} failed, ${totals.skipped.length} skipped`);
process.exit(totals.failed === 0 ? 0 : 1);
