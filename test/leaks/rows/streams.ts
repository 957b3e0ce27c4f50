/**
 * Values in what commands and terminals show, and how they were cut, drawn or hidden there. None of them may reach the client
 * or the recording. `$DIR` is a folder on the host with the files below.
 */

const CARD = '4111111111111111';
const MAIL = 'ada.lovelace@example.com';
const TOKEN = 'AKIAIOSFODNN7EXAMPLE';
export const VALUES: readonly string[] = [CARD, MAIL, TOKEN];
export const KEY_LINE = 'b3BlbnNzaC1rZXktdjEAAAAABG5vbmU';

export const STREAM_FILES: Readonly<Record<string, string>> = {
  'customers.txt': `id,card,mail\n1,${CARD},${MAIL}\n2,5555 5555 5555 4444,bob@acme.example\nend of customers\n`,
  id_demo: `-----BEGIN OPENSSH PRIVATE KEY-----\n${`${KEY_LINE}\n`.repeat(5)}-----END OPENSSH PRIVATE KEY-----\n`,
  'wide.txt': `${'.'.repeat(30)}${CARD}${'.'.repeat(30)}\nwide end\n`,
};

/** Downloaded from a host whose downloads are looked into: none of it arrives, also where nothing stands behind the value. */
export const DOWNLOADS: Readonly<Record<string, string>> = {
  'a value in the middle': `card ${CARD} of ada\n`,
  'a card number as the last bytes': `card ${CARD}`,
  'an address as the last bytes': `${'x '.repeat(40_000)}mail ${MAIL}`,
  'a key as the last bytes': `id ${TOKEN}`,
  'nothing but a card number': CARD,
};

export interface StreamRow {
  readonly name: string;
  readonly command: string;
  /** Runs on a terminal; keys are sent once their text was shown. */
  readonly keys?: readonly (readonly [seen: string, keys: string])[];
  /** The shipped rules hold it: somebody says yes. */
  readonly approved?: true;
  /** Read without escapes and spaces, nothing of it may stand in what the client got. */
  readonly never: readonly string[];
  /** What must, so that it is not empty for another reason. */
  readonly shows: string;
}

/** A shell script that prints a value with something behind each of its characters. */
const spelled = (value: string, between: string): string => {
  const text = Array.from(value).join(between);
  return `printf '${text}\\n'`;
};
const parts = ['41111111', '1111111', 'lovelace@', 'IOSFODNN7'];

export const STREAMS: readonly StreamRow[] = [
  { name: 'a file', command: 'cat $DIR/customers.txt', never: [...parts, '55555555'], shows: 'end of customers' },
  {
    name: 'on stderr',
    command: `echo ${'card'} >&2; cat $DIR/customers.txt >&2; echo out`,
    never: parts,
    shows: 'out',
  },
  {
    name: 'byte by byte, in writes of their own',
    command: `i=1; while [ $i -le 200 ]; do dd if=$DIR/customers.txt bs=1 skip=$i count=1 status=none; i=$((i+1)); done; echo; echo done`,
    never: ['41111111', 'ada.lovelace@example', '55555555'],
    shows: 'done',
  },
  { name: 'colours between', command: `${spelled(CARD, '\\033[1m')}; echo coloured`, never: parts, shows: 'coloured' },
  {
    name: 'carriage returns between',
    command: `${spelled(CARD, '\\r')}; echo returned`,
    never: parts,
    shows: 'returned',
  },
  {
    name: 'struck over, as bold was on paper',
    command: `printf '${Array.from(MAIL, (c) => `${c}\\b${c}`).join('')}\\n'; echo struck`,
    never: parts,
    shows: 'struck',
  },
  { name: 'NULs between', command: `${spelled(TOKEN, '\\000')}; echo nulled`, never: parts, shows: 'nulled' },
  {
    name: 'stdout and stderr in turns, each with a whole value',
    command: `echo ${CARD.slice(0, 4)}$(printf 111111111111); echo ${CARD.slice(0, 4)}$(printf 111111111111) >&2; echo both`,
    never: parts,
    shows: 'both',
  },
  { name: 'a private key', command: 'cat $DIR/id_demo; echo after', never: [KEY_LINE.slice(0, 12)], shows: 'after' },
  {
    name: 'the first lines of a private key',
    command: 'head -3 $DIR/id_demo; echo "@ after"',
    never: [KEY_LINE.slice(0, 12)],
    shows: 'after',
  },
  {
    name: 'behind the shift that ends bold on many terminals',
    command: `printf '\\033[1mbold\\033[m\\017 bob@x.io\\n'; echo shifted`,
    never: ['bob@x.io'],
    shows: 'shifted',
  },
  {
    name: 'in a database file',
    command: `printf '\\001\\377\\376${CARD}\\000${MAIL}\\377'; echo; echo ended`,
    never: parts,
    shows: 'ended',
  },
  {
    name: 'in the title of a terminal',
    command: `printf '\\033]0;mail from ${MAIL}\\007'; printf '\\033]2;${CARD}\\033\\\\'; echo titled`,
    keys: [],
    never: parts,
    shows: 'titled',
  },
  {
    name: 'on a terminal, from a file',
    command: 'cat $DIR/customers.txt',
    keys: [],
    never: [...parts, '55555555'],
    shows: 'end of customers',
  },
  {
    name: 'in a pager',
    command: 'stty cols 60 rows 20; TERM=xterm less $DIR/customers.txt; echo left',
    approved: true,
    keys: [['end of customers', 'q']],
    never: [...parts, '55555555'],
    shows: 'left',
  },
  {
    name: 'in an editor, over the right edge, and drawn again when the size changes',
    command:
      'stty cols 40 rows 12; (sleep 1; stty cols 36 rows 12 </dev/tty; pkill -WINCH -s $$ vim; sleep 1) & TERM=xterm vim -u NONE -N $DIR/wide.txt; echo left',
    approved: true,
    keys: [
      ['wide end', '\f'],
      ['wide', ':q!\r'],
    ],
    never: parts,
    shows: 'left',
  },
  {
    name: 'found and coloured',
    command: 'TERM=xterm grep --color=always 4111 $DIR/customers.txt; echo found',
    keys: [],
    never: parts,
    shows: 'found',
  },
];
