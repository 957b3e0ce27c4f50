/**
 * The process: environment and flags in, signals to a graceful stop, and a start that fails says what to change.
 * Everything else is boot.ts.
 */
import './flags.ts';
import { GatewayError } from '@sallyport/core';
import { type ControlPlane, startControlPlane } from './boot.ts';
import { parseConfig } from './config.ts';
import { runAccountCommand } from './identity/accounts/account-command.ts';
import { runCaCommand } from './keys/ca-command.ts';

function explain(error: unknown): string {
  if (!(error instanceof GatewayError)) return error instanceof Error ? (error.stack ?? error.message) : String(error);
  const detail = Object.entries(error.detail).map(([key, value]) => `  ${key}: ${value}`);
  const cause = error.cause instanceof Error ? [`  cause: ${error.cause.message}`] : [];
  return [error.safeMessage, ...detail, ...cause].join('\n');
}

const command = { ca: runCaCommand, account: runAccountCommand }[process.argv[2] ?? ''];
if (command !== undefined) {
  try {
    process.stdout.write(`${await command(process.argv.slice(3), process.env)}\n`);
    process.exit(0);
  } catch (error) {
    process.stderr.write(`${explain(error)}\n`);
    process.exit(1);
  }
}
try {
  const config = parseConfig(process.argv.slice(2), process.env);
  const running: { controlPlane?: ControlPlane } = {};
  let stopping = false;
  let asked = false;
  const stop = (): void => {
    // Asked for while starting: what is started is stopped once the start is through, our own PostgreSQL included.
    asked = true;
    if (stopping || running.controlPlane === undefined) return;
    stopping = true;
    running.controlPlane.stop().then(
      () => process.exit(0),
      (error: unknown) => {
        process.stderr.write(`${explain(error)}\n`);
        process.exit(1);
      },
    );
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, stop);
  if (config.exitWithParent) process.stdin.on('end', stop).on('close', stop).resume();
  const controlPlane = await startControlPlane(config);
  running.controlPlane = controlPlane;
  if (controlPlane.adminTokenFile !== undefined) {
    process.stdout.write(`The first administrator is "admin"; the API token is in ${controlPlane.adminTokenFile}\n`);
    process.stdout.write(`To sign in with a browser open this once, within a day: ${controlPlane.adminLink}\n`);
  }
  process.stdout.write(`Sallyport's control plane serves ${controlPlane.ready.http}\n`);
  if (asked) stop();
} catch (error) {
  process.stderr.write(`${explain(error)}\n`);
  process.exit(1);
}
