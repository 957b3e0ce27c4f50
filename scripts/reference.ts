/**
 * Reference pages that are read off the code: errors, limits and permissions. `npm run gen` writes them; a law checks they are current.
 * Refuses to add a word of its own beyond the heading.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { CODES, LIMITS } from '@sallyport/core';

const root = path.join(import.meta.dirname, '..');

interface PermissionTable {
  readonly PERMISSIONS: readonly string[];
  readonly ROLES: readonly string[];
  readonly ROLE_PERMISSIONS: Readonly<Record<string, readonly string[]>>;
}
const PERMISSIONS_FILE = 'apps/control-plane/src/http/permissions.ts';
const { PERMISSIONS, ROLES, ROLE_PERMISSIONS } = (await import(
  pathToFileURL(path.join(root, PERMISSIONS_FILE)).href
)) as PermissionTable;

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

interface Operation {
  readonly 'x-requires'?: readonly string[];
}

/** Routes by what they need, as the OpenAPI document says. */
function routesByPermission(): ReadonlyMap<string, readonly string[]> {
  const { paths } = JSON.parse(readFileSync(path.join(root, 'docs/reference/openapi.json'), 'utf8')) as {
    paths: Record<string, Record<string, Operation>>;
  };
  const routes = new Map<string, string[]>();
  for (const [route, methods] of Object.entries(paths))
    for (const [method, operation] of Object.entries(methods))
      for (const permission of operation['x-requires'] ?? [])
        routes.set(permission, [...(routes.get(permission) ?? []), `${method.toUpperCase()} ${route}`]);
  return routes;
}

function permissionsPage(): string {
  const source = readFileSync(path.join(root, PERMISSIONS_FILE), 'utf8');
  const noteOf = (permission: string): string =>
    new RegExp(`/\\*\\* ([^*]*?) \\*/\\s*'${permission}'`).exec(source)?.[1]?.replace(/\s+/g, ' ') ?? '';
  const routes = routesByPermission();
  const rows = PERMISSIONS.map((permission) => {
    const roles = ROLES.map((role) => (ROLE_PERMISSIONS[role]?.includes(permission) ? 'yes' : ''));
    const ways = (routes.get(permission) ?? []).map((route) => `\`${route}\``).join('<br>');
    return `| \`${permission}\` | ${roles.join(' | ')} | ${noteOf(permission)} | ${ways} |`;
  });
  return `# Permissions

Generated from \`${PERMISSIONS_FILE}\`. A principal may do what any of its roles may, in its own project; an API token at most that, narrowed by its scopes. What a person or an AI agent may do *on a resource* is the business of grants and policies, not of roles.

Role \`owner\` is for what belongs to the installation, and exists in project \`default\` alone; the first admin has \`owner\` and \`admin\`. Whoever hands out a role or a token cannot give more than they have. A route that names several permissions needs one of them, and shows what that one allows.

| permission | ${ROLES.join(' | ')} | note | routes |
| --- |${' --- |'.repeat(ROLES.length)} --- | --- |
${rows.join('\n')}
`;
}

/** Path → content of every page. */
export const referencePages = (): Readonly<Record<string, string>> => ({
  'docs/reference/errors.md': errorsPage(),
  'docs/reference/limits.md': limitsPage(),
  'docs/reference/permissions.md': permissionsPage(),
});

export function writeReference(): void {
  for (const [file, text] of Object.entries(referencePages())) writeFileSync(path.join(root, file), text);
}
