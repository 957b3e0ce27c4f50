/** The agent's process: settings in, signals handled, everything else in agent.ts. */
import { createLogger, GatewayError } from '@sallyport/core';
import { Agent } from './agent.ts';
import { parseConfig } from './config.ts';
import { ToolFile } from './mcp/tool-memory.ts';
import { openProtocols } from './protocols.ts';

const clock = { nowMs: () => Date.now(), monotonicMs: () => performance.now() };
const write = (line: string): void => void process.stdout.write(line);

async function main(): Promise<void> {
  let log = createLogger('agent', { level: 'info', write, nowMs: clock.nowMs });
  let agent: Agent | undefined;
  let ending = false;
  const end = async (why: string, code: number): Promise<void> => {
    if (ending) return;
    ending = true;
    log.info('ending', { why });
    await agent?.stop().catch((error: unknown) => log.error('stopping went wrong', { error }));
    process.exit(code);
  };
  process.on('SIGTERM', () => void end('SIGTERM', 0));
  process.on('SIGINT', () => void end('SIGINT', 0));
  // A broken invariant: what is in the kernel is whole, and a restart recovers it.
  process.on('uncaughtException', (error) => {
    log.error('something broke', { error, stack: error instanceof Error ? (error.stack ?? '') : '' });
    process.exit(70);
  });
  process.on('unhandledRejection', (error) => {
    log.error('something broke', { error, stack: error instanceof Error ? (error.stack ?? '') : '' });
    process.exit(70);
  });
  try {
    const config = parseConfig(process.env, process.argv.slice(2));
    log = createLogger('agent', { level: config.logLevel, write, nowMs: clock.nowMs });
    if (config.exitWithParent) {
      process.stdin.on('end', () => void end('the parent is gone', 0));
      process.stdin.on('error', () => void end('the parent is gone', 0));
      process.stdin.resume();
    }
    const tools = new ToolFile(config.dataDir, log);
    const protocols = openProtocols({ tools, sshAlgorithms: config.sshAlgorithms });
    agent = await Agent.start(config, protocols, clock, log);
    agent.failed.promise.catch(() => void end('the trail is in doubt', 74));
  } catch (error) {
    log.error('the agent could not start', { error });
    process.exit(error instanceof GatewayError && error.code === 'config.invalid' ? 78 : 1);
  }
}

await main();
