/**
 * The words behind `sallyport ssh <resource>`: options of ssh, then the command. Refuses to know what options mean: it knows
 * which of OpenSSH's take a value (ssh(1)), as their getopt string says.
 */

const WITH_VALUE = new Set('BbcDEeFIiJLlmOoPpQRSWw');

export interface SshWords {
  readonly options: readonly string[];
  readonly command: readonly string[];
}

export function splitSshWords(words: readonly string[]): SshWords {
  let at = 0;
  while (at < words.length) {
    const word = words[at]!;
    if (word === '--') return { options: words.slice(0, at), command: words.slice(at + 1) };
    if (!/^-./.test(word)) break;
    const valued = Array.from(word.slice(1)).findIndex((letter) => WITH_VALUE.has(letter));
    // The value is the rest of the word, or the next one.
    at += valued === word.length - 2 ? 2 : 1;
  }
  return { options: words.slice(0, at), command: words.slice(at) };
}
