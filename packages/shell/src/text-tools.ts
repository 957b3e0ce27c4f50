/**
 * awk and sed programs that only print: told apart from those that run programs or write files. Refuses anything it does not
 * know: then the program counts as code. GNU sed 4.9 and POSIX awk.
 */
import { type Field, mayBeOption } from './values.ts';

/** Options of awk that take a value as the next word. */
const AWK_VALUES = /^-[Fv]$/;
/** What can start a program, open a file, or load more code, wherever it stands: strings and patterns are not told apart. */
const AWK_ACTS = /system|getline|close|fflush|@|\||\\$/;

export function isPlainAwk(args: readonly Field[]): boolean {
  for (let at = 0; at < args.length; at++) {
    const { guess, exact } = args[at]!;
    if (!exact || mayBeOption(args[at]!)) return false;
    if (AWK_VALUES.test(guess)) at++;
    else if (/^-[Fv]./.test(guess)) continue;
    else if (guess.startsWith('-')) return false;
    else return !AWK_ACTS.test(guess.replaceAll('||', '')) && !printsIntoFile(guess);
  }
  return false;
}

const printsIntoFile = (program: string): boolean => {
  const print = program.indexOf('print');
  return print >= 0 && program.includes('>', print);
};

/** @param write told of each file the script writes */
export function isPlainSed(args: readonly Field[], write: (file: Field) => void): boolean {
  const scripts: Field[] = [];
  let given = false;
  let inPlace = false;
  const files: Field[] = [];
  for (let at = 0; at < args.length; at++) {
    const field = args[at]!;
    const { guess } = field;
    if (mayBeOption(field) || (!field.exact && scripts.length === 0 && !given)) return false;
    if (guess === '--') {
      const rest = args.slice(at + 1);
      if (!given && scripts.length === 0 && rest.length > 0) scripts.push(rest.shift()!);
      files.push(...rest);
      break;
    }
    const long = /^--(expression)(?:=(.*))?$/s.exec(guess);
    if (long !== null) {
      given = true;
      const value = long[2] ?? args[++at]?.guess;
      if (value === undefined) return false;
      scripts.push({ ...field, guess: value });
    } else if (
      /^--(?:quiet|silent|regexp-extended|null-data|unbuffered|posix|sandbox|separate|debug|line-length=\d+|zero-terminated|follow-symlinks)$/.test(
        guess,
      )
    )
      continue;
    else if (/^--in-place(?:=.*)?$/.test(guess)) inPlace = true;
    else if (guess.startsWith('--')) return false;
    else if (/^-./.test(guess)) {
      const match = /^-([nrEzus]*)(?:(i.*)|(e)(.*)|(l)(\d*))?$/s.exec(guess);
      if (match === null) return false;
      if (match[2] !== undefined) inPlace = true;
      if (match[5] !== undefined && match[6] === '') at++;
      if (match[3] !== undefined) {
        given = true;
        const value = match[4] === '' ? args[++at]?.guess : match[4];
        if (value === undefined) return false;
        scripts.push({ ...field, guess: value });
      }
    } else if (!given && scripts.length === 0) scripts.push(field);
    else files.push(field);
  }
  if (inPlace) for (const file of files) write(file);
  return scripts.every((script) => script.exact && isPlainScript(script.guess));
}

/** Commands without `e`, `w`, `r`, `W`, `R`, `F`, and `s///` without the flags `e` and `w`. */
function isPlainScript(script: string): boolean {
  let at = 0;
  const skipBlanks = (): void => {
    while (/[\s;]/.test(script[at] ?? '')) at++;
  };
  const skipDelimited = (delimiter: string): boolean => {
    for (; at < script.length; at++) {
      const char = script[at]!;
      if (char === '\\') at++;
      else if (char === '[' && delimiter !== '[') {
        const close = script.indexOf(']', at + (script[at + 1] === '^' ? 3 : 2));
        // In a bracket the delimiter is one for some seds and none for others.
        if (close < 0 || script.slice(at, close).includes(delimiter)) return false;
        at = close;
      } else if (char === delimiter) {
        at++;
        return true;
      }
    }
    return false;
  };
  const address = (): boolean => {
    const char = script[at] ?? '';
    if (char === '/' || char === '\\') {
      const delimiter = char === '/' ? '/' : script[++at];
      if (delimiter === undefined) return false;
      at++;
      if (!skipDelimited(delimiter)) return false;
      while (/[IM]/.test(script[at] ?? '')) at++;
    } else while (/[\d$~+]/.test(script[at] ?? '')) at++;
    return true;
  };
  for (;;) {
    skipBlanks();
    if (at >= script.length) return true;
    if (script[at] === '#') {
      while (at < script.length && script[at] !== '\n') at++;
      continue;
    }
    if (!address()) return false;
    if (script[at] === ',') {
      at++;
      if (!address()) return false;
    }
    while (/[\s!]/.test(script[at] ?? '')) at++;
    const command = script[at++];
    if (command === undefined) return true;
    if (command === 's' || command === 'y') {
      const delimiter = script[at++];
      if (delimiter === undefined || delimiter === '\n' || delimiter === '\\' || !skipDelimited(delimiter))
        return false;
      // The replacement has no brackets of its own.
      const start = at;
      while (at < script.length && script[at] !== delimiter) at += script[at] === '\\' ? 2 : 1;
      if (at >= script.length || at < start) return false;
      at++;
      while (/[gpiIm\d]/.test(script[at] ?? '')) at++;
      if (!/^(?:$|[\s;}#])/.test(script[at] ?? '')) return false;
    } else if (/[aic]/.test(command)) {
      // Text up to the end of the line, which a backslash carries on.
      while (at < script.length && (script[at] !== '\n' || script[at - 1] === '\\')) at++;
    } else if (/[btT:]/.test(command)) while (at < script.length && !/[\n;}]/.test(script[at]!)) at++;
    else if (/[qQlL]/.test(command)) while (/[\d ]/.test(script[at] ?? '')) at++;
    else if (!/[{}=dDgGhHnNpPxz]/.test(command)) return false;
  }
}
