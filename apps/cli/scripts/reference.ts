/** Writes docs/reference/cli.md from the command tree. A test says when it is stale. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { buildProgram } from '../src/program.ts';
import { renderReference } from '../src/reference.ts';
import { processTerminal } from '../src/terminal.ts';

writeFileSync(
  path.join(import.meta.dirname, '../../../docs/reference/cli.md'),
  renderReference(buildProgram(processTerminal())),
);
