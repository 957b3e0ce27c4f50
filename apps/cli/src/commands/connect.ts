/** connect, proxy, token: the ways to a resource with one's own unchanged client. */
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import type { Command } from 'commander';
import { writePrivateFile } from '../config/private-file.ts';
import type { Context } from '../context.ts';
import { CliError } from '../exit-codes.ts';
import { makeLocalFolder } from '../proxy/local-folder.ts';
import { type LocalProxy, openLocalProxy } from '../proxy/local-proxy.ts';
import { accessTokensFor, openWayIn, reasonOf, type WayIn, type WayInOptions } from '../proxy/way-in.ts';
import { spawnClient } from '../spawn-client.ts';
import type { Registry } from './command.ts';

export function registerConnect({ program, run }: Registry): void {
  withWayIn(
    program.command('connect').argument('<resource>').argument('[client...]', 'arguments for psql, or a whole command'),
  )
    .description('run psql (or another client) on a resource, through a private local proxy that signs in for it')
    .option('--database <name>', 'database to open')
    .addHelpText(
      'after',
      '\nExamples:\n  sallyport connect payments-db\n  sallyport connect payments-db -- -c "select 1"\n  sallyport connect payments-db -- pgbench -S -t 10',
    )
    .action(run(connect));
  withWayIn(program.command('proxy').argument('<resource>'))
    .description('open a local port for a resource; clients sign in with a local password made for this run')
    .option('--port <n>', 'port on 127.0.0.1 (0 = any free one)', '0')
    .option('--database <name>', 'database for clients that name none')
    .action(run(proxy));
  withWayIn(program.command('token').argument('<resource>'))
    .description('print an access token for a resource: a password for minutes')
    .action(run(token));
}

/** Options of every command that opens sessions. */
export const withWayIn = (command: Command): Command =>
  command
    .option('--role <role>', 'sign in as this role of the resource')
    .option('--for <profile>', 'act for whoever is signed in under this profile')
    .option('--reason <text>', 'why: approvers and the record are told')
    .option('--for-token-file <file>', 'act for whoever this file’s token belongs to (`-` = stdin)');

type ConnectOptions = WayInOptions & { readonly database?: string };

async function proxyTo(
  context: Context,
  way: WayIn,
  where: { readonly path: string } | { readonly port: number },
  more: { readonly database?: string | undefined; readonly password: string | undefined },
): Promise<LocalProxy> {
  return openLocalProxy(where, {
    tokens: way.tokens,
    endpoints: way.endpoints,
    root: way.root,
    user: way.user,
    database: more.database ?? way.database,
    reason: way.reason,
    password: more.password,
    onProblem: (problem) => context.note(problem),
  });
}

async function connect(
  context: Context,
  name: string,
  client: readonly string[],
  options: ConnectOptions,
): Promise<void> {
  const way = await openWayIn(context, name, options);
  // Asked for at once, so that a missing grant is said here and not by the client.
  await way.tokens.get();
  const folder = makeLocalFolder(context.terminal.env);
  try {
    await using _local = await proxyTo(
      context,
      way,
      { path: folder.socketPath },
      { database: options.database, password: undefined },
    );
    const [command = 'psql', ...rest] =
      client.length === 0 || client[0]!.startsWith('-') ? ['psql', ...client] : client;
    const code = await runClient(context, command, rest, folder.dir, way, options.database);
    if (code !== 0) context.finish(code);
  } finally {
    folder.remove();
  }
}

function runClient(
  context: Context,
  command: string,
  args: readonly string[],
  dir: string,
  way: WayIn,
  database: string | undefined,
): Promise<number> {
  const { PGPASSWORD: _password, PGSERVICE: _service, PGHOSTADDR: _address, ...env } = context.terminal.env;
  return spawnClient(context, command, args, {
    env: {
      ...env,
      PGHOST: dir,
      PGPORT: '5432',
      PGUSER: way.user,
      ...((database ?? way.database) === undefined ? {} : { PGDATABASE: database ?? way.database }),
      PGSSLMODE: 'disable',
      PGGSSENCMODE: 'disable',
    },
    missing:
      command === 'psql' ? 'Install PostgreSQL’s client, or use `sallyport sql`, which needs nothing.' : undefined,
  });
}

async function proxy(
  context: Context,
  name: string,
  options: ConnectOptions & { readonly port: string },
): Promise<void> {
  const port = Number(options.port);
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw new CliError('usage', '--port takes a number from 0 to 65535.');
  const way = await openWayIn(context, name, options);
  await way.tokens.get();
  const folder = makeLocalFolder(context.terminal.env);
  try {
    const password = randomBytes(24).toString('base64url');
    const database = options.database ?? way.database;
    await using local = await proxyTo(context, way, { port }, { database, password }).catch(
      (error: NodeJS.ErrnoException) => {
        throw error.code === 'EADDRINUSE'
          ? new CliError('usage', `Port ${port} is taken.`, 'Choose another with --port, or leave it out.')
          : error;
      },
    );
    const passFile = path.join(folder.dir, 'pgpass');
    writePrivateFile(passFile, `127.0.0.1:${local.port}:*:${escapePass(way.user)}:${password}\n`);
    const facts = { host: '127.0.0.1', port: local.port, user: way.user, database, password, passFile };
    context.answer(facts, () => [
      `Listening on 127.0.0.1:${local.port} for ${way.resource.name}. Ctrl-C ends it.`,
      `  password: ${password}`,
      `  or: PGPASSFILE=${passFile} psql "host=127.0.0.1 port=${local.port} user=${way.user}${database === undefined ? '' : ` dbname=${database}`}"`,
    ]);
    await untilAsked();
  } finally {
    folder.remove();
  }
}

/** libpq's password file: a backslash before colon and backslash. */
const escapePass = (text: string): string => text.replaceAll(/[\\:]/g, '\\$&');

/** Resolves on Ctrl-C or a request to end. */
function untilAsked(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => resolve());
  });
}

async function token(context: Context, name: string, options: WayInOptions): Promise<void> {
  await context.requireToken();
  // The exchange takes a name or an id; what it is for is checked there.
  const text = await accessTokensFor(context, name, options, reasonOf(options)).get();
  context.answer({ token: text }, () => [text]);
}
