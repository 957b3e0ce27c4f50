/** Options of a command of this repository: a wrong one is told with what there is, and `--help` prints it. Exit code 2. */
import { type ParseArgsConfig, parseArgs } from 'node:util';

type Options = NonNullable<ParseArgsConfig['options']>;

/** @param usage lines for a person. Ends the process for `--help` and for what is no option */
export function parseOptions<const T extends Options>(
  options: T,
  usage: string,
): ReturnType<typeof parseArgs<{ readonly args: string[]; readonly options: T }>>['values'] {
  const args = process.argv.slice(2).filter((argument) => argument !== '--');
  if (args.includes('--help') || args.includes('-h')) {
    console.log(usage);
    process.exit(0);
  }
  try {
    return parseArgs({ args, options }).values;
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`);
    process.exit(2);
  }
}
