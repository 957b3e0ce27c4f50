/** The shipped rule packs against their own tables, as `sallyport policy test policies/` runs them. */
import { globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parsePolicyDocument, renderPolicyDocument, testPolicies, testPolicyFiles } from '@sallyport/policy';
import { readCommand } from '@sallyport/shell';
import { extractSqlFacts, loadSqlParser } from '@sallyport/sql';
import { beforeAll, expect, test } from 'vitest';

const FOLDER = join(import.meta.dirname, '../../policies');
const read = (file: string): string => readFileSync(join(FOLDER, file), 'utf8');
const packs = globSync('*.yaml', { cwd: FOLDER });
const policies = packs.map((file) => parsePolicyDocument(read(file), file));

beforeAll(loadSqlParser);

test.each(packs)('every verdict of the table beside %s is the one expected', (file) => {
  const table = `tests/${basename(file)}`;
  const report = testPolicies({
    policies,
    tables: [{ file: table, source: read(table) }],
    extract: extractSqlFacts,
    readCommand,
  });
  expect(report.results.filter((result) => !result.passed)).toEqual([]);
  expect(report.passed).toBeGreaterThan(9);
});

test('each rule of each pack speaks in some table', () => {
  const tables = packs.map((file) => read(`tests/${basename(file)}`)).join('\n');
  const rules = policies.flatMap((policy) =>
    policy.rules.filter((rule) => rule.mode === 'enforce').map((rule) => `${policy.name}/${rule.name}`),
  );
  expect(rules.filter((rule) => !tables.includes(`rule: ${rule} `))).toEqual([]);
});

test('a folder runs as a whole, as `sallyport policy test` runs it', () => {
  const files = globSync('**/*.yaml', { cwd: FOLDER }).map((file) => ({ file, source: read(file) }));
  expect(testPolicyFiles(files, extractSqlFacts, readCommand)).toMatchObject({ failed: 0 });
});

test('a pack written out again means the same', () => {
  for (const policy of policies) expect(parsePolicyDocument(renderPolicyDocument(policy), 'again')).toEqual(policy);
});
