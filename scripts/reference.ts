/**
 * Reference pages that are read off the code: errors and limits. `npm run gen` writes them; a law checks they are current.
 * Refuses to add a word of its own beyond the heading.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { CODES, LIMITS } from '@sallyport/core';

const root = path.join(import.meta.dirname, '..');

function errorsPage(): string {
  const rows = Object.entries(CODES).map(([code, { http, text }]) => `| \`${code}\` | ${http} | ${text} |`);
  return `# Errors

Generated from \`packages/core/src/errors.ts\`. Codes are public contract: they are added, never renamed. \`text\` is all a stranger sees; REST answers carry it as an RFC 9457 problem with \`code\` and \`requestId\`, PostgreSQL clients as an ErrorResponse whose DETAIL is one line of JSON.

| code | HTTP | text |
| --- | --- | --- |
${rows.join('\n')}
`;
}

/** The comment above a limit in the source, if it has one. */
function commentOf(source: string, name: string): string {
  const match = new RegExp(`/\\*\\* ([^*]*?) \\*/\\s*${name}:`).exec(source);
  return match?.[1] ?? '';
}

function limitsPage(): string {
  const source = readFileSync(path.join(root, 'packages/core/src/limits.ts'), 'utf8');
  const rows = Object.entries(LIMITS).map(
    ([name, value]) => `| \`${name}\` | ${value.toLocaleString('en-US')} | ${commentOf(source, name)} |`,
  );
  return `# Limits

Generated from \`packages/core/src/limits.ts\`. Everything a peer can grow has a limit that refuses; units stand in the names.

| limit | value | what |
| --- | --- | --- |
${rows.join('\n')}
`;
}

/** Path → content of every page. */
export const referencePages = (): Readonly<Record<string, string>> => ({
  'docs/reference/errors.md': errorsPage(),
  'docs/reference/limits.md': limitsPage(),
});

export function writeReference(): void {
  for (const [file, text] of Object.entries(referencePages())) writeFileSync(path.join(root, file), text);
}
