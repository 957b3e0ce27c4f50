/**
 * `control-plane account link NAME [--new-start] [--break-glass] [flags]`: a one-time link for somebody whom no session can
 * make one for, the last administrator who lost their passkey above all. Whoever can run it holds the database anyway.
 * Refuses names of nobody; people are made by REST.
 */
import { GatewayError, Secret } from '@sallyport/core';
import { systemActor } from '../../acts/acts.ts';
import { type Config, parseConfig } from '../../config.ts';
import { Database, DatabaseUrl, type Tx } from '../../db/database.ts';
import { migrate } from '../../db/migrate.ts';
import { openDatabase } from '../../db/open-database.ts';
import { DEFAULT_PROJECT, NO_PROJECT } from '../../db/project.ts';
import { Listening } from '../../listening.ts';
import { SystemClock } from '../../time.ts';
import { type NewLink, writeLink } from './account-links.ts';
import { AccountsRepository } from './accounts.repository.ts';

const SECONDS = 3_600;
const USAGE = 'account link NAME [--new-start] [--break-glass], then the flags the control plane is started with';

const refuse = (remedy: string): never => {
  throw new GatewayError('config.invalid', { name: 'account', remedy });
};

/**
 * @param argv what follows `account` @returns what to tell the person: the link stands in it, and nowhere else
 * @throws GatewayError `config.invalid`
 */
export async function runAccountCommand(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<string> {
  const [command, name, ...rest] = argv;
  if (command !== 'link' || name === undefined || name.startsWith('-')) return refuse(USAGE);
  const own = new Set(['--new-start', '--break-glass']);
  const config = parseConfig(
    rest.filter((flag) => !own.has(flag)),
    env,
  );
  const options = {
    replaces: rest.includes('--new-start'),
    breakGlass: rest.includes('--break-glass'),
    seconds: SECONDS,
  };
  const made = await withDatabase(config, async (tx, database) => {
    const project = await tx.project.findUnique({ where: { name: DEFAULT_PROJECT } });
    const principal = await tx.principal.findFirst({ where: { name, projectId: project?.id ?? NO_PROJECT } });
    if (principal === null || principal.kind !== 'person')
      return refuse(`there is no person ${name} in project ${DEFAULT_PROJECT}`);
    const parts = {
      repository: new AccountsRepository(database),
      clock: new SystemClock(),
      publicUrl: new Listening(config).publicUrl(),
    };
    return await writeLink(tx, parts, systemActor(principal.projectId, 'account command'), principal, options);
  });
  return `Open this once, within an hour, as ${name}: ${made.url}`;
}

async function withDatabase(config: Config, work: (tx: Tx, database: Database) => Promise<NewLink>): Promise<NewLink> {
  const server = await openDatabase(config);
  try {
    await migrate(server.url);
    const database = new Database(new DatabaseUrl(new Secret(server.url)));
    try {
      return await database.transaction((tx) => work(tx, database));
    } finally {
      await database.onModuleDestroy();
    }
  } finally {
    await server.stop();
  }
}
