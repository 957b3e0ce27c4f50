/** The policy reference against the code: every fact a condition can read is on the page. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { FACT_TYPES, FAMILIES } from '@sallyport/policy';
import { expect, test } from 'vitest';

const PAGE = readFileSync(join(import.meta.dirname, '../../docs/reference/policy.md'), 'utf8');

test('every field of every family is documented', () => {
  const fields = Object.entries(FAMILIES).flatMap(([family, type]) =>
    Object.keys(FACT_TYPES[type]).map((field) => `${family}.${field}`),
  );
  const parts = [
    ...Object.keys(FACT_TYPES.SqlStatement).map((field) => `s.${field}`),
    ...Object.keys(FACT_TYPES.SqlRelation).map((field) => `r.${field}`),
    ...Object.keys(FACT_TYPES.ShellCommand).map((field) => `c.${field}`),
    ...Object.keys(FACT_TYPES.ShellAssignment).map((field) => `a.${field}`),
    ...Object.keys(FACT_TYPES.ShellRedirect)
      .filter((field) => field !== 'name')
      .map((field) => `r.${field}`),
    ...Object.keys(FACT_TYPES.SshForward).map((field) => `ssh.forward.${field}`),
    ...Object.keys(FACT_TYPES.BodyField).map((field) => `f.${field}`),
    ...Object.keys(FACT_TYPES.SqlColumn).map((field) => `c.${field}`),
  ];
  expect([...fields, ...parts].filter((fact) => !PAGE.includes(`\`${fact}\``))).toEqual([]);
});
