/**
 * Command lines for the shells' differential test: made by a seeded generator from the grammar, and broken by chance. Programs in
 * them are stubs of the sandbox.
 */

/** mulberry32: small, seeded, good enough to choose with. */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export class LineMaker {
  readonly #random: () => number;
  constructor(seed: number) {
    this.#random = randomOf(seed);
  }

  #below(count: number): number {
    return Math.floor(this.#random() * count);
  }

  #one<T>(choices: readonly T[]): T {
    return choices[this.#below(choices.length)]!;
  }

  line(): string {
    return this.#list(1 + this.#below(3));
  }

  /** A line with something in it changed, doubled or lost. */
  broken(line: string): string {
    let text = line;
    for (let count = 1 + this.#below(3); count > 0; count--) {
      const at = this.#below(text.length + 1);
      const way = this.#below(4);
      if (way === 0) text = text.slice(0, at) + text.slice(at + 1);
      else if (way === 1) text = text.slice(0, at) + this.#one(SPECIAL) + text.slice(at);
      else if (way === 2) {
        const to = at + this.#below(6);
        text = text.slice(0, to) + text.slice(at);
      } else text = text.slice(0, at) + this.#one(SPECIAL) + text.slice(at + 1);
    }
    return text;
  }

  #program(): string {
    return this.#spelt(this.#one(['rm', 'curl', 'foo', 'bar', 'ls', 'qux']));
  }

  /** One word in one of its spellings. */
  #spelt(word: string): string {
    const cut = 1 + this.#below(Math.max(1, word.length - 1));
    const [head, tail] = [word.slice(0, cut), word.slice(cut)];
    switch (this.#below(this.#below(3) === 0 ? 18 : 12)) {
      case 0:
        return `'${word}'`;
      case 1:
        return `"${word}"`;
      case 2:
        return `${head}""${tail}`;
      case 3:
        return `${head}''${tail}`;
      case 4:
        return `\\${word}`;
      case 5:
        return `${head}\\\n${tail}`;
      case 6:
        return `$'${word
          .split('')
          .map((char) => `\\x${char.charCodeAt(0).toString(16)}`)
          .join('')}'`;
      case 7:
        return `${head}$@${tail}`;
      case 8:
        return `${head}$*${tail}`;
      case 9:
        return `$"${word}"`;
      case 10:
        return `"${head}"'${tail}'`;
      case 11:
        return `{${word},}`;
      case 12:
        return this.#one([`\${unset:-${word}}`, `${head}\${unset}${tail}`]);
      case 13:
        return `"\${unset:-${word}}"`;
      default:
        return word;
    }
  }

  #argument(depth: number): string {
    switch (this.#below(16)) {
      case 0:
        return '-rf';
      case 1:
        return '/';
      case 2:
        return `"$(${this.#list(depth - 1)})"`;
      case 3:
        return `$(${this.#list(depth - 1)})`;
      case 4:
        return '$v';
      case 5:
        return '"$v"';
      case 6:
        return `'a b'`;
      case 7:
        return '"$@"';
      case 8:
        return '{p,q}';
      case 9:
        return '$((1+2))';
      case 10:
        return `"a\\"b\\$c"`;
      case 11:
        return '~/x';
      case 12:
        return `<(${this.#list(depth - 1)})`;
      case 13:
        return '#c';
      default:
        return this.#one(['x', 'y=z', '--', '-n', 'a.b', '1', 'if', '}', '!', '[[']);
    }
  }

  #simple(depth: number): string {
    const words: string[] = [];
    if (this.#below(6) === 0)
      words.push(this.#one(['v=rm', 'v=', 'v="a b"', 'v=$(echo foo)', 'v+=x', 'IFS=o', 'v=(rm x)']));
    if (this.#below(8) === 0) words.push(this.#wrapper(depth));
    words.push(
      this.#below(14) === 0
        ? this.#one(['$v', '"$v"', '${v}', '${v:-foo}', '$(echo rm)', '"${v[@]}"', '${v%x}'])
        : this.#program(),
    );
    for (let count = this.#below(4); count > 0; count--) words.push(depth > 0 ? this.#argument(depth) : 'x');
    if (this.#below(8) === 0)
      words.push(
        this.#one([
          '> /tmp/o',
          '2>&1',
          '< /dev/null',
          '>> /tmp/o',
          '&> /tmp/o',
          '>| /tmp/o',
          '<<< "x y"',
          '2>/dev/null',
        ]),
      );
    return words.join(this.#one([' ', ' ', '  ', '\t', ' \\\n']));
  }

  #wrapper(depth: number): string {
    void depth;
    return this.#one([
      'env',
      'env A=b',
      'env -i',
      'nohup',
      'nice -n 5',
      'timeout 2',
      'setsid -w',
      'command',
      'exec',
      'eval',
      'time',
      '!',
      'builtin',
      'xargs -n 1',
      'env -u x',
      'timeout -s KILL 2s',
      'nice',
      'command -p',
    ]);
  }

  #command(depth: number): string {
    if (depth <= 0) return this.#simple(0);
    const list = (): string => this.#list(depth - 1);
    switch (this.#below(26)) {
      case 0:
        return `{ ${list()}; }`;
      case 1:
        return `(${list()})`;
      case 2:
        return `if ${list()}; then ${list()}; else ${list()}; fi`;
      case 3:
        return `for v in ${this.#one(['a', 'a b', 'rm foo', '$v', '{a,b}'])}; do ${list()}; done`;
      case 4:
        return `case ${this.#one(['x', '$v', '"a b"'])} in (a|x) ${list()};; *) ${list()};; esac`;
      case 5:
        return `f() { ${list()}; }; f ${this.#argument(depth)}`;
      case 6:
        return `sh -c ${quoted(list())}`;
      case 7:
        return `bash -c ${quoted(list())}`;
      case 8:
        return `eval ${quoted(list())}`;
      case 9:
        return `${this.#one(['sh', 'bash', 'cat'])} <<${this.#one(['E', "'E'", '-E', '"E"'])}\n${list()}\nE\n`;
      case 10:
        return `echo ${quoted(list())} | ${this.#one(['sh', 'bash', 'cat', 'env sh'])}`;
      case 11:
        return `${this.#one(['sh', 'bash'])} <<< ${quoted(list())}`;
      case 12:
        return `while false || ${list()}; do ${list()}; break; done`;
      case 13:
        return `[[ ${this.#one(['a == b', '-n $v', '$v =~ (a|b c)', '! x', '( a == b )'])} ]] && ${list()}`;
      case 14:
        return `find / -maxdepth 0 -exec ${this.#simple(0)} {} \\;`;
      case 15:
        return `echo x y | xargs ${this.#simple(0)}`;
      case 16:
        return `((${this.#one(['1', 'v=1', '1 > 2', 'v++'])})); ${list()}`;
      case 17:
        return `trap ${quoted(list())} EXIT`;
      case 18:
        return `set -- rm x; "$@" ${this.#argument(depth)}`;
      case 19:
        return `printf ${quoted(this.#simple(0))} | sh`;
      case 20:
        return `alias al=${quoted(this.#simple(0))}\nal x`;
      default:
        return this.#simple(depth);
    }
  }

  #list(depth: number): string {
    let text = this.#command(depth);
    for (let count = this.#below(3); count > 0; count--)
      text += this.#one([' | ', ' && ', ' || ', '; ', '\n', ' ;\n', '|', '&&', ';']) + this.#command(depth);
    return text;
  }
}

const SPECIAL = [
  '"',
  "'",
  '\\',
  '$',
  '`',
  '(',
  ')',
  '{',
  '}',
  ';',
  '&',
  '|',
  '<',
  '>',
  ' ',
  '\n',
  '#',
  '!',
  '*',
  '=',
  '$(',
  '${',
  '$((',
  '))',
  '<<E',
  '\t',
  '[',
  ']',
  '~',
  ',',
  '..',
  "$'",
  '&&',
  ';;',
  '\r',
  '@',
  ':',
  '-',
  '+',
];

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
