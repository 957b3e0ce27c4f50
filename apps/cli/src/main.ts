#!/usr/bin/env node
/** The program `sallyport`. Refuses to do anything but start: the tree is in program.ts. */
import { EXIT } from './exit-codes.ts';
import { runProgram } from './program.ts';
import { processTerminal } from './terminal.ts';

// `sallyport sessions ls | head` closes our stdout early; that is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) =>
  process.exit(error.code === 'EPIPE' ? EXIT.ok : EXIT.failure),
);

process.exitCode = await runProgram(process.argv.slice(2), processTerminal());
