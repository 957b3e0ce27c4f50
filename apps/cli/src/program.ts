/**
 * The command tree. Refuses to know what a command does: each file under commands/ hangs its own in.
 * docs/reference/cli.md is generated from this tree.
 */
import { Command, CommanderError } from 'commander';
import { registerAccounts } from './commands/accounts.ts';
import { registerAgents } from './commands/agents.ts';
import { registerApply } from './commands/apply.ts';
import { registerApprovals } from './commands/approvals.ts';
import { registerBudgets } from './commands/budgets.ts';
import type { Registry } from './commands/command.ts';
import { registerCompletion } from './commands/completion.ts';
import { registerConnect } from './commands/connect.ts';
import { registerCredentials } from './commands/credentials.ts';
import { registerDelegations } from './commands/delegations.ts';
import { registerGrants } from './commands/grants.ts';
import { registerKube } from './commands/kube.ts';
import { registerMcp } from './commands/mcp.ts';
import { registerPeople } from './commands/people.ts';
import { registerPolicy } from './commands/policy.ts';
import { registerProjects } from './commands/projects.ts';
import { registerProposals } from './commands/proposals.ts';
import { registerProviders } from './commands/providers.ts';
import { registerRequests } from './commands/requests.ts';
import { registerResources } from './commands/resources.ts';
import { registerReviews } from './commands/reviews.ts';
import { registerRun } from './commands/run.ts';
import { registerSessions } from './commands/sessions.ts';
import { registerSignIn } from './commands/sign-in.ts';
import { registerSlack } from './commands/slack.ts';
import { registerSql } from './commands/sql.ts';
import { registerSsh } from './commands/ssh.ts';
import { registerTrail } from './commands/trail.ts';
import { registerTrust } from './commands/trust.ts';
import type { GlobalOptions } from './config/access.ts';
import { type Context, openContext } from './context.ts';
import { EXIT, exitOf } from './exit-codes.ts';
import { problemJson, renderProblem } from './output/problem.ts';
import type { Terminal } from './terminal.ts';
import { VERSION } from './version.ts';

/** @param onContext told of the context of the command that runs, so that an error can be shown as it asks */
export function buildProgram(terminal: Terminal, onContext: (context: Context) => void = () => undefined): Command {
  const program = new Command('sallyport')
    .description(
      'Reach databases, hosts, APIs and clusters through Sallyport, approve what is held, replay and verify what happened.',
    )
    .version(VERSION, '-V, --version', 'print the version')
    .option('--profile <name>', 'profile to use (SALLYPORT_PROFILE)')
    .option('--project <name>', 'project to work in; each has a sign-in of its own (SALLYPORT_PROJECT)')
    .option('--url <url>', 'control plane (SALLYPORT_URL)')
    .option('--token-file <file>', 'file with an API token, readable by you alone; `-` = stdin (SALLYPORT_TOKEN_FILE)')
    .option('--ca-file <pem>', 'extra CA to trust for the control plane (SALLYPORT_CA_FILE)')
    .option('--as <name>', 'be this principal of the demo stack that `npm start` runs')
    .option('--json', 'answer in JSON, for scripts')
    .showHelpAfterError('(add --help for usage)')
    .configureOutput({
      writeOut: (text) => void terminal.stdout.write(text),
      writeErr: (text) => void terminal.stderr.write(text),
    })
    .exitOverride();
  const registry: Registry = {
    program,
    run:
      (action) =>
      async (...args) => {
        const command = args.at(-1) as unknown as Command;
        const context = openContext(command.optsWithGlobals<GlobalOptions>(), terminal);
        onContext(context);
        // Commander hands the command itself over last; actions take arguments and options.
        await (action as (context: Context, ...rest: readonly unknown[]) => Promise<void> | void)(
          context,
          ...args.slice(0, -1),
        );
      },
  };
  registerSignIn(registry);
  registerResources(registry);
  registerConnect(registry);
  registerSql(registry);
  registerSsh(registry);
  registerRun(registry);
  registerKube(registry);
  registerMcp(registry);
  registerApprovals(registry);
  registerDelegations(registry);
  registerRequests(registry);
  registerSlack(registry);
  registerSessions(registry);
  registerTrail(registry);
  registerPolicy(registry);
  registerApply(registry);
  registerGrants(registry);
  registerBudgets(registry);
  registerReviews(registry);
  registerPeople(registry);
  registerAccounts(registry);
  registerTrust(registry);
  registerCredentials(registry);
  registerAgents(registry);
  registerProjects(registry);
  registerProposals(registry);
  registerProviders(registry);
  registerCompletion(registry);
  program
    .command('version')
    .description('print versions')
    .action(
      registry.run((context) =>
        context.answer({ sallyport: VERSION, node: process.versions.node }, () => [
          `sallyport ${VERSION} (node ${process.versions.node})`,
        ]),
      ),
    );
  return program;
}

/**
 * Runs one command line. Never throws: what goes wrong is said on stderr.
 * @param args without the program's name
 * @returns the exit code; that of `context.finish` when nothing was thrown
 */
export async function runProgram(args: readonly string[], terminal: Terminal): Promise<number> {
  let context: Context | undefined;
  const program = buildProgram(terminal, (opened) => {
    context = opened;
  });
  try {
    await program.parseAsync([...args], { from: 'user' });
    return context?.exitCode ?? EXIT.ok;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    if (context?.json === true) terminal.stderr.write(`${JSON.stringify(problemJson(error))}\n`);
    else for (const line of renderProblem(error)) terminal.stderr.write(`${line}\n`);
    return exitOf(error);
  }
}
