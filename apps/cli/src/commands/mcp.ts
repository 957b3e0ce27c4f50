/** mcp: a local server for AI agents that speak the Model Context Protocol, over standard input and output. */
import type { Context } from '../context.ts';
import type { WayInOptions } from '../proxy/way-in.ts';
import type { Registry } from './command.ts';
import { withWayIn } from './connect.ts';

export function registerMcp({ program, run }: Registry): void {
  withWayIn(program.command('mcp'))
    .description('serve what you may reach as MCP tools to an AI agent, over stdio')
    .addHelpText(
      'after',
      '\nExample of a client’s configuration:\n  {"mcpServers": {"sallyport": {"command": "sallyport", "args": ["mcp"]}}}',
    )
    .action(run(mcp));
}

async function mcp(context: Context, options: WayInOptions): Promise<void> {
  // Said here, where a person reads it, and not as a tool's failure.
  await context.requireToken();
  const [{ mcpServer }, { StdioServerTransport }] = await Promise.all([
    import('../mcp/server.ts'),
    import('@modelcontextprotocol/sdk/server/stdio.js'),
  ]);
  const local = mcpServer(context, options);
  const { server } = local;
  const ended = new Promise<void>((resolve) => {
    server.server.onclose = () => resolve();
    context.terminal.stdin.once('end', () => resolve());
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => resolve());
  });
  await server.connect(new StdioServerTransport());
  await ended;
  local.close();
  await server.close();
}
