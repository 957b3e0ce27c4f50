/** completion: what a shell asks while one types. The scripts are thin; the words come from the command tree itself. */
import type { Command } from 'commander';
import { CliError } from '../exit-codes.ts';
import type { Registry } from './command.ts';

const SCRIPTS: Readonly<Record<string, string>> = {
  bash: `_sallyport() {
  local IFS=$'\\n'
  COMPREPLY=($(compgen -W "$("\${COMP_WORDS[0]}" __complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _sallyport sallyport`,
  zsh: `#compdef sallyport
_sallyport() {
  local -a candidates
  candidates=("\${(@f)$("\${words[1]}" __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  compadd -a candidates || _files
}
compdef _sallyport sallyport`,
  // Files are offered where there are no words of ours, as the other two do.
  fish: `function __sallyport_words
  set -l words (commandline -opc) (commandline -ct)
  $words[1] __complete -- $words[2..-1] 2>/dev/null | string match -r '.+'
end
complete -c sallyport -n '__sallyport_words >/dev/null' -f -a '(__sallyport_words)'`,
};

export function registerCompletion({ program, run }: Registry): void {
  program
    .command('completion')
    .argument('<shell>', 'bash, zsh or fish')
    .description('print a completion script: source <(sallyport completion bash)')
    .action(
      run((context, shell: string) => {
        const script = Object.hasOwn(SCRIPTS, shell) ? SCRIPTS[shell] : undefined;
        if (script === undefined)
          throw new CliError('usage', `There is no completion for ${shell}.`, 'bash, zsh and fish are there.');
        context.say(script);
      }),
    );
  program
    .command('__complete', { hidden: true })
    .argument('[words...]')
    .action(run((context, words: readonly string[]) => context.say(...completionsOf(program, words))));
}

/** @param words after the program's name; the last is the one being typed */
export function completionsOf(program: Command, words: readonly string[]): readonly string[] {
  let command = program;
  const typed = words.at(-1) ?? '';
  for (const word of words.slice(0, -1)) {
    const next = command.commands.find((candidate) => candidate.name() === word);
    if (next !== undefined) command = next;
  }
  const names = command.commands.map((candidate) => candidate.name()).filter((name) => !name.startsWith('_'));
  const flags = [...command.options, ...program.options]
    .map((option) => option.long)
    .filter((flag) => flag !== null && flag !== undefined);
  return (typed.startsWith('-') ? flags : names).filter((word) => word.startsWith(typed));
}
