export { isUnfinished } from './grammar.ts';
export { effectsOfShell, parseCommandLine, readCommand, type ShellDialect, type ShellOptions } from './shell-facts.ts';
export { type ShellTransfer, transferOf } from './transfer.ts';
