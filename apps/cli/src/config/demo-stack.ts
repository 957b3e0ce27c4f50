/**
 * The stack that `npm start` runs, as `--as NAME` finds it: `.sallyport/dev.json`, mode 0600, found by SALLYPORT_DEV_FILE
 * or upward from the working folder. Refuses to know more of that file than it reads.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { ParseError, parseString, recordOf } from '@sallyport/core';
import { CliError } from '../exit-codes.ts';
import { readPrivateFile } from './private-file.ts';

export interface DemoPrincipal {
  readonly token: string | undefined;
  readonly clientId: string | undefined;
  readonly clientSecret: string | undefined;
}

export interface DemoStack {
  readonly url: string;
  readonly principal: DemoPrincipal;
}

/** Where `--as` looks, as an absolute path; undefined where no stack runs. */
export function demoFile(env: Readonly<Record<string, string | undefined>>): string | undefined {
  const named = env['SALLYPORT_DEV_FILE'];
  return named === undefined ? findUpward('.sallyport/dev.json') : path.resolve(named);
}

/** @throws CliError usage when no stack runs here or it has no such principal */
export function readDemoStack(env: Readonly<Record<string, string | undefined>>, name: string): DemoStack {
  const file = demoFile(env);
  const text = file === undefined ? undefined : readPrivateFile(file);
  if (text === undefined) {
    throw new CliError(
      'usage',
      'No demo stack runs here, so --as has nobody to be.',
      'Start one with `npm start`, or sign in with `sallyport login`.',
    );
  }
  try {
    const dev = JSON.parse(text) as { readonly rest?: unknown; readonly principals?: unknown };
    const principals = recordOf((value: unknown) => value as Readonly<Record<string, unknown>>)(
      dev.principals,
      'principals',
    );
    const found = Object.hasOwn(principals, name) ? principals[name] : undefined;
    if (found === undefined)
      throw new CliError(
        'usage',
        `The demo has no principal ${name}.`,
        `It has ${Object.keys(principals).join(', ')}.`,
      );
    const text1 = (key: string): string | undefined =>
      typeof found[key] === 'string' ? (found[key] as string) : undefined;
    return {
      url: parseString(dev.rest, 'rest'),
      principal: { token: text1('token'), clientId: text1('clientId'), clientSecret: text1('clientSecret') },
    };
  } catch (error) {
    if (!(error instanceof ParseError || error instanceof SyntaxError)) throw error;
    throw new CliError('usage', `${file} is damaged: ${error.message}.`, 'Start the stack again with `npm start`.');
  }
}

function findUpward(name: string): string | undefined {
  for (let dir = process.cwd(); ; dir = path.dirname(dir)) {
    const file = path.join(dir, name);
    if (existsSync(file)) return file;
    if (dir === path.dirname(dir)) return undefined;
  }
}
