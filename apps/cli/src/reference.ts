/** docs/reference/cli.md out of the command tree. Refuses to describe what the tree does not say. */
import type { Argument, Command, Option } from 'commander';
import { EXIT, EXIT_MEANINGS, type ExitName } from './exit-codes.ts';

const INTRO = `# Command line

Generated from the command tree in \`apps/cli/src/program.ts\` by \`apps/cli/scripts/reference.ts\`.

## Where it finds its settings
- **Who and where**: options, then environment, then the profile in \`~/.config/sallyport/config.json\` (mode 0600; \`$XDG_CONFIG_HOME\` and SALLYPORT_CONFIG move it).
- **A token** comes from \`--token-file\`, SALLYPORT_TOKEN_FILE, SALLYPORT_TOKEN, SALLYPORT_CLIENT_ID with SALLYPORT_CLIENT_SECRET or SALLYPORT_CLIENT_SECRET_FILE, or the profile that \`login\` wrote; in this order. It is never an argument, and a file that others can read is refused.
- **Environment**: SALLYPORT_URL, SALLYPORT_PROFILE, SALLYPORT_PROJECT, SALLYPORT_CA_FILE, SALLYPORT_CONFIG, SALLYPORT_HISTORY (empty = keep none), SALLYPORT_DEV_FILE (for \`--as\`), NO_COLOR.
- Plain http is used for this machine alone.

## Output
Tables for people on stdout; with \`--json\`, one JSON value (or one a line for what streams). Notices, progress and errors go to stderr; with \`--json\` an error is one JSON object with \`error.code\`. Text that came from elsewhere is shown with control characters escaped.
`;

/** @param program as `buildProgram` makes it */
export function renderReference(program: Command): string {
  const codes = (Object.keys(EXIT) as ExitName[]).map((name) => `| ${EXIT[name]} | ${EXIT_MEANINGS[name]} |`);
  return [
    INTRO,
    '## Exit codes',
    '`connect` ends with its client’s own code.',
    '',
    '| code | means |',
    '| --- | --- |',
    ...codes,
    '',
    '## Options of every command',
    ...optionLines(program),
    '',
    ...program.commands.filter(isShown).flatMap((command) => renderCommand(command, 'sallyport')),
  ]
    .join('\n')
    .replace(/\n+$/, '\n');
}

const isShown = (command: Command): boolean => command.name() !== 'help' && !command.name().startsWith('_');

function renderCommand(command: Command, before: string): readonly string[] {
  const name = `${before} ${command.name()}`;
  const usage = [name, ...command.registeredArguments.map(argumentText)].join(' ');
  const children = command.commands.filter(isShown);
  if (children.length > 0)
    return [
      `## ${name}`,
      sentence(command.description()),
      '',
      ...children.flatMap((child) => renderCommand(child, name)),
    ];
  const level = before === 'sallyport' ? '##' : '###';
  return [`${level} ${name}`, `\`${usage}\`: ${command.description()}.`, ...optionLines(command), ''];
}

const sentence = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
const argumentText = (argument: Argument): string => {
  const name = `${argument.name()}${argument.variadic ? '...' : ''}`;
  return argument.required ? `<${name}>` : `[${name}]`;
};

function optionLines(command: Command): readonly string[] {
  const lines = command.options.filter((option) => !option.hidden).map(optionLine);
  return lines.length === 0 ? [] : ['', ...lines];
}

function optionLine(option: Option): string {
  const given: unknown = option.defaultValue;
  const fallback = typeof given === 'string' ? ` (default ${given})` : '';
  return `- \`${option.flags}\`: ${option.description}${fallback}${option.mandatory ? ' (needed)' : ''}`;
}
