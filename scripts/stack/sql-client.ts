/** A real driver (node-postgres) through the agent, as one of the demo principals. The token is the password. */
import { readFileSync } from 'node:fs';
import pg from 'pg';
import type { DevFile } from './dev-file.ts';
import { accessToken, clientToken } from './rest.ts';

/** An API token of a demo principal. */
export async function apiToken(dev: DevFile, name: string): Promise<string> {
  const principal = dev.principals[name];
  if (principal === undefined) throw new Error(`There is no demo principal ${name}.`);
  if (principal.token !== undefined) return principal.token;
  return clientToken(dev.rest, principal.clientId ?? '', principal.clientSecret ?? '');
}

export interface SqlSession {
  readonly client: pg.Client;
  readonly notices: string[];
  /** Set when the connection was ended from the other side. */
  ended(): string | undefined;
  close(): Promise<void>;
}

/** node-postgres settings to reach `resource` as `principal`, with a fresh access token. */
export async function connectionFor(
  dev: DevFile,
  principal: string,
  resource = 'payments-db',
): Promise<pg.ClientConfig> {
  return {
    host: dev.agent.host,
    port: dev.agent.postgres,
    user: resource,
    password: await accessToken(dev.rest, await apiToken(dev, principal), resource),
    database: dev.demo.database,
    ssl: { ca: readFileSync(dev.ca, 'utf8') },
  };
}

/** Opens a session; errors of an idle connection are kept, not thrown. */
export async function openSql(dev: DevFile, principal: string, resource = 'payments-db'): Promise<SqlSession> {
  const client = new pg.Client(await connectionFor(dev, principal, resource));
  const notices: string[] = [];
  let ended: string | undefined;
  client.on('notice', (notice) => notices.push(`${notice.message ?? ''} ${notice.detail ?? ''}`.trim()));
  client.on('error', (error) => {
    ended ??= error.message;
  });
  client.on('end', () => {
    ended ??= 'closed';
  });
  await client.connect();
  return { client, notices, ended: () => ended, close: () => client.end().catch(() => undefined) };
}
