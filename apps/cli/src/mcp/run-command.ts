/** The tool run_command: one command on an SSH host, with ssh itself. Refuses terminals and standard input. */
import { spawn } from 'node:child_process';
import type { Context } from '../context.ts';
import { CliError } from '../exit-codes.ts';
import type { WayInOptions } from '../proxy/way-in.ts';
import { certify } from '../ssh/certify.ts';
import { requireSshEndpoint, sshOptions } from '../ssh/client-config.ts';
import type { Held, Outcome } from './held-calls.ts';
import { cut, failed } from './results.ts';

export interface CommandCall {
  readonly resource: string;
  readonly command: string;
  readonly timeout_seconds?: number | undefined;
}

const KEPT_BYTES = 256 * 1024;
const HELD = /^Sallyport: waiting for .* to approve this, at most .*: ([A-Za-z0-9-]{1,64})$/m;

export async function runCommand(
  context: Context,
  options: WayInOptions,
  call: CommandCall,
  held: (what: Held) => void,
  signal: AbortSignal,
): Promise<Outcome> {
  try {
    await context.requireToken();
    const resource = await context.api.resources.get(call.resource);
    const address = requireSshEndpoint(resource);
    const files = await certify(context, resource.name, options);
    const user = options.role === undefined ? resource.name : `${options.role}+${resource.name}`;
    const args = [
      ...sshOptions({ address, user, files }),
      '-o',
      'BatchMode=yes',
      '-T',
      '-n',
      address.host,
      '--',
      call.command,
    ];
    signal.throwIfAborted();
    return await outcomeOf(args, call, held, signal);
  } catch (error) {
    return failed(error);
  }
}

function outcomeOf(
  args: readonly string[],
  call: CommandCall,
  held: (what: Held) => void,
  signal: AbortSignal,
): Promise<Outcome> {
  const child = spawn('ssh', [...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const out = { stdout: '', stderr: '' };
  const end = (): void => void child.kill('SIGTERM');
  signal.addEventListener('abort', end, { once: true });
  // A hold stops the clock: waiting for a person is no work of the command's.
  let timer = call.timeout_seconds === undefined ? undefined : setTimeout(end, call.timeout_seconds * 1000);
  const take = (name: 'stdout' | 'stderr') => (chunk: Buffer) => {
    if (out[name].length < KEPT_BYTES) out[name] += chunk.toString('utf8');
    if (name === 'stdout') return;
    const [, approvalId] = HELD.exec(out.stderr) ?? [];
    if (approvalId === undefined) return;
    clearTimeout(timer);
    timer = undefined;
    const said = out.stderr.split('\n').filter((line) => line.startsWith('Sallyport: '));
    held({ approvalId, says: said.join('\n') });
  };
  child.stdout.on('data', take('stdout'));
  child.stderr.on('data', take('stderr'));
  return new Promise<Outcome>((resolve, reject) => {
    child.on('error', (error: NodeJS.ErrnoException) =>
      reject(
        error.code === 'ENOENT'
          ? new CliError('usage', 'There is no program ssh.', 'Install OpenSSH’s client.')
          : error,
      ),
    );
    child.on('close', (code, ended) => {
      const parts = [out.stdout.trimEnd(), out.stderr.trimEnd() === '' ? '' : `stderr:\n${out.stderr.trimEnd()}`];
      const status = code === null ? `ended by ${ended ?? 'a signal'}` : `exit code ${code}`;
      resolve({ text: cut([...parts.filter((part) => part !== ''), `(${status})`].join('\n')), isError: code !== 0 });
    });
  }).finally(() => {
    clearTimeout(timer);
    signal.removeEventListener('abort', end);
  });
}
