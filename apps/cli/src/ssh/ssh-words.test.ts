import { expect, test } from 'vitest';
import { splitSshWords } from './ssh-words.ts';

test('options keep their values, and the command begins behind them', () => {
  for (const [words, options, command] of [
    [['uptime'], [], ['uptime']],
    [['-t', 'top', '-b'], ['-t'], ['top', '-b']],
    [['-L', '8080:localhost:80', '-N'], ['-L', '8080:localhost:80', '-N'], []],
    [['-L8080:localhost:80', 'ls'], ['-L8080:localhost:80'], ['ls']],
    [
      ['-tt', '-o', 'LogLevel=ERROR', 'sh', '-c', 'id'],
      ['-tt', '-o', 'LogLevel=ERROR'],
      ['sh', '-c', 'id'],
    ],
    [['-vNL', '1:h:2', 'x'], ['-vNL', '1:h:2'], ['x']],
    [['-t', '--', '-strange', 'word'], ['-t'], ['-strange', 'word']],
    [['-o'], ['-o'], []],
    [['-', 'x'], [], ['-', 'x']],
    [[], [], []],
  ] as const)
    expect(splitSshWords(words), words.join(' ')).toEqual({ options: [...options], command: [...command] });
});
