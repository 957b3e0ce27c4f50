/**
 * The process's edges as values: streams, environment, clock, prompts. Everything a command says goes through here, so that
 * tests can listen. Refuses to know commands.
 */
import { styleText } from 'node:util';
import { CliError } from './exit-codes.ts';

export interface Terminal {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly nowMs: () => number;
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream;
  /** Columns of stdout; undefined when it is no terminal. */
  readonly columns: () => number | undefined;
}

export const processTerminal = (): Terminal => ({
  env: process.env,
  nowMs: () => Date.now(),
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  columns: () => (process.stdout.isTTY ? process.stdout.columns : undefined),
});

type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan';

/** Coloured when stdout is a terminal that has not said NO_COLOR (https://no-color.org). */
export const styled = (terminal: Terminal, style: Style, text: string): string =>
  terminal.columns() === undefined || (terminal.env['NO_COLOR'] ?? '') !== ''
    ? text
    : styleText(style, text, { validateStream: false });

const STDIN_BYTES_MAX = 16 * 1024 * 1024;

/** All of stdin as text. @throws CliError usage beyond 16 MiB */
export async function readStdin(terminal: Terminal): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of terminal.stdin) {
    const bytes = Buffer.from(chunk as Uint8Array);
    length += bytes.length;
    if (length > STDIN_BYTES_MAX) throw new CliError('usage', 'More than 16 MiB came by stdin.');
    chunks.push(bytes);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Asks for a secret without showing it. @throws CliError usage when there is no terminal to ask at */
export async function askHidden(terminal: Terminal, question: string): Promise<string> {
  const { stdin, stderr } = terminal;
  if (!stdin.isTTY)
    throw new CliError(
      'usage',
      'There is no terminal to ask at.',
      'Give it by stdin with `-`, a file or the environment.',
    );
  stderr.write(question);
  stdin.setRawMode(true);
  stdin.resume();
  try {
    return await new Promise<string>((resolve, reject) => {
      let typed = '';
      const onData = (chunk: Buffer | string): void => {
        for (const character of chunk.toString()) {
          if (character === '\r' || character === '\n' || character === '\u0004') {
            stdin.off('data', onData);
            resolve(typed);
            return;
          }
          if (character === '\u0003') {
            stdin.off('data', onData);
            reject(new CliError('interrupted', 'Interrupted.'));
            return;
          }
          typed = character === '\u007f' || character === '\b' ? typed.slice(0, -1) : typed + character;
        }
      };
      stdin.on('data', onData);
    });
  } finally {
    stdin.setRawMode(false);
    stdin.pause();
    stderr.write('\n');
  }
}
