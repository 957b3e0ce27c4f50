/** Messages no driver would send, in an open session: wrong phase, wrong length, names reused, things swapped. */
import { frames } from '@sallyport/testkit';
import type { Expected } from '../../wire/attempt.ts';

export interface MessagesRow {
  readonly name: string;
  readonly as?: string;
  /** Sent at once, in one write. */
  readonly send: readonly Uint8Array[];
  /** Sent when the server asked for COPY data. */
  readonly data?: readonly Uint8Array[];
  readonly expect: Expected;
  readonly sqlstate?: string;
  readonly rule?: string | RegExp;
  /** ReadyForQuery messages to wait for; default 1. */
  readonly readies?: number;
  /** Transaction statuses that came, as `IE`. */
  readonly ready?: string;
  readonly never?: readonly string[];
}

const {
  bind,
  close,
  copyData,
  copyDone,
  copyFail,
  execute,
  flush,
  frame,
  functionCall,
  int16,
  int32,
  parse,
  query,
  sync,
} = frames;
const DROP = 'drop table ledger';
const cat = (...parts: Uint8Array[]): Buffer => Buffer.concat(parts);
const many = (count: number, part: Uint8Array): Buffer => Buffer.concat(Array.from({ length: count }, () => part));

export const MESSAGES: readonly MessagesRow[] = [
  // --- phase
  { name: 'a second startup packet', send: [frames.startup({ user: 'postgres' })], expect: 'ended' },
  { name: 'an SSLRequest in an open session', send: [frames.SSL_REQUEST], expect: 'ended' },
  { name: 'a password nobody asked for', send: [frames.password('x')], expect: 'ended' },
  {
    name: 'COPY data outside of a COPY, then a drop',
    send: [copyData('1\tx\t1\n'), query('select 1')],
    expect: 'harmless',
  },
  { name: 'COPY done outside of a COPY', send: [copyDone(), query('select 1')], expect: 'harmless' },
  { name: 'COPY fail outside of a COPY', send: [copyFail('x'), query('select 1')], expect: 'harmless' },
  { name: 'FunctionCall of a harmless function', send: [functionCall(1598, [])], expect: 'denied' },
  { name: 'FunctionCall of a file function', send: [functionCall(2624, ['/etc/passwd'])], expect: 'denied' },
  {
    name: 'FunctionCall in a pipeline',
    send: [parse('select 1'), functionCall(1598, []), sync()],
    expect: 'denied',
    readies: 1,
  },
  { name: 'FunctionCall that is too short', send: [frame('F', int32(1598))], expect: 'denied' },
  { name: 'a server’s message', send: [frame('Z', 'I')], expect: 'ended' },
  { name: 'a row from a client', send: [frame('T', int16(0))], expect: 'ended' },
  { name: 'a message type that does not exist', send: [frame('?', '')], expect: 'ended' },
  { name: 'a zero where the type stands', send: [frame('\0', '')], expect: 'ended' },
  { name: 'a type above ASCII', send: [cat(Buffer.of(0xd1), int32(4))], expect: 'ended' },

  // --- lengths
  { name: 'a length of zero', send: [frame('Q', 'drop table ledger\0', 0)], expect: 'ended' },
  { name: 'a length of three', send: [frame('Q', 'drop table ledger\0', 3)], expect: 'ended' },
  { name: 'a length of four for a query', send: [frame('Q', '', 4)], expect: 'ended' },
  { name: 'a negative length', send: [frame('Q', 'drop table ledger\0', -1)], expect: 'ended' },
  { name: 'the smallest negative length', send: [frame('Q', 'drop table ledger\0', -2147483648)], expect: 'ended' },
  { name: 'a length of two GiB', send: [frame('Q', 'drop table ledger\0', 0x7fffffff)], expect: 'ended' },
  { name: 'a length beyond the limit by one', send: [frame('Q', 'x\0', 64 * 1024 * 1024 + 5)], expect: 'ended' },
  { name: 'a query without its final zero', send: [frame('Q', DROP)], expect: 'ended' },
  {
    name: 'a query with something after its zero',
    send: [frame('Q', 'select 1\0drop table ledger\0')],
    expect: 'denied',
  },
  { name: 'a query with a zero inside', send: [frame('Q', 'select 1\0; drop table ledger\0')], expect: 'denied' },
  {
    name: 'a length that swallows the next message',
    send: [frame('Q', cat(frames.cstring('select 1'), query(DROP)))],
    expect: 'denied',
    never: [DROP],
  },
  { name: 'Sync with a body', send: [frame('S', 'x')], expect: 'ended' },
  { name: 'Flush with a body', send: [frame('H', 'x')], expect: 'ended' },
  {
    name: 'Terminate with a body, and a drop behind',
    send: [frame('X', 'x'), query(DROP)],
    expect: 'ended',
    never: [DROP],
  },
  { name: 'Terminate, and a drop behind', send: [frames.terminate(), query(DROP)], expect: 'ended', never: [DROP] },

  // --- bodies that do not add up
  {
    name: 'Parse that counts more types than it has',
    send: [frame('P', cat(Buffer.from('\0select 1\0'), int16(5), int32(23))), sync()],
    expect: 'ended',
  },
  {
    name: 'Parse with bytes behind its types',
    send: [frame('P', cat(Buffer.from('\0select 1\0'), int16(0), Buffer.from(DROP))), sync()],
    expect: 'ended',
  },
  { name: 'Parse without a count', send: [frame('P', Buffer.from('\0select 1\0')), sync()], expect: 'ended' },
  { name: 'Parse without the end of its text', send: [frame('P', Buffer.from('\0select 1')), sync()], expect: 'ended' },
  {
    name: 'Bind that counts more values than it has',
    send: [parse('select 1'), frame('B', cat(Buffer.from('\0\0'), int16(0, 9))), execute(), sync()],
    expect: 'ended',
  },
  {
    name: 'Bind with a value of negative length',
    send: [
      parse('select $1::text'),
      frame('B', cat(Buffer.from('\0\0'), int16(0, 1), int32(-2), int16(0))),
      execute(),
      sync(),
    ],
    expect: 'ended',
  },
  {
    name: 'Bind with a value longer than the message',
    send: [
      parse('select $1::text'),
      frame('B', cat(Buffer.from('\0\0'), int16(0, 1), int32(1000), int16(0))),
      execute(),
      sync(),
    ],
    expect: 'ended',
  },
  {
    name: 'Bind with a format that does not exist',
    send: [parse('select $1::text'), bind({ values: ['x'], formats: [2] }), execute(), sync()],
    expect: 'ended',
  },
  {
    name: 'Bind with two formats for three values',
    send: [
      parse('select $1::text, $2::text, $3::text'),
      bind({ values: ['x', 'y', 'z'], formats: [0, 1] }),
      execute(),
      sync(),
    ],
    expect: 'ended',
  },
  { name: 'Describe of something that is neither', send: [frame('D', 'X\0'), sync()], expect: 'ended' },
  { name: 'Close of something that is neither', send: [frame('C', 'X\0'), sync()], expect: 'ended' },
  { name: 'Describe without a name', send: [frame('D', 'S'), sync()], expect: 'ended' },
  { name: 'Execute without a count', send: [parse('select 1'), bind(), frame('E', '\0'), sync()], expect: 'ended' },

  // --- text that is not text
  {
    name: 'invalid UTF-8 in a query',
    send: [query(cat(Buffer.from("select '"), Buffer.of(0xff, 0xfe), Buffer.from("'; drop table ledger")))],
    expect: 'denied',
    never: [DROP],
  },
  {
    name: 'a lone surrogate in a query',
    send: [query(cat(Buffer.from("select '"), Buffer.of(0xed, 0xa0, 0x80), Buffer.from("'")))],
    expect: 'denied',
  },
  {
    name: 'an overlong quote in a query',
    send: [query(cat(Buffer.from("select '"), Buffer.of(0xc0, 0xa7), Buffer.from('; drop table ledger --')))],
    expect: 'denied',
    never: [DROP],
  },
  {
    name: 'a cut multibyte character before a quote',
    send: [query(cat(Buffer.from("select '"), Buffer.of(0xe2, 0x82), Buffer.from("'; drop table ledger --'")))],
    expect: 'denied',
    never: [DROP],
  },
  {
    name: 'a Shift-JIS trail byte that is a backslash',
    send: [query(cat(Buffer.from("select '"), Buffer.of(0x95, 0x5c), Buffer.from("'; drop table ledger --'")))],
    expect: 'denied',
    never: [DROP],
  },
  {
    name: 'a GBK character that eats a quote',
    send: [query(cat(Buffer.from("select '"), Buffer.of(0xbf, 0x27), Buffer.from('; drop table ledger --')))],
    expect: 'denied',
    never: [DROP],
  },
  {
    name: 'invalid UTF-8 in Parse',
    send: [parse(cat(Buffer.from("select '"), Buffer.of(0xff), Buffer.from("'"))), bind(), execute(), sync()],
    expect: 'denied',
  },
  {
    name: 'invalid UTF-8 in the name of a statement',
    send: [frame('P', cat(Buffer.of(0xff, 0), Buffer.from('select 1\0'), int16(0))), sync()],
    expect: 'server',
    sqlstate: '22021',
  },

  // --- names and what they stand for
  { name: 'Execute of a portal nobody bound', send: [execute('nothing'), sync()], expect: 'server', sqlstate: '34000' },
  {
    name: 'Bind of a statement nobody parsed',
    send: [bind({ statement: 'nothing' }), execute(), sync()],
    expect: 'server',
    sqlstate: '26000',
  },
  {
    name: 'a statement parsed again under its name',
    send: [parse('select 1', 's'), parse(DROP, 's'), bind({ statement: 's' }), execute(), sync()],
    expect: 'denied',
    never: [DROP],
  },
  {
    name: 'a failed Parse must not leave the older statement judged as the newer',
    send: [parse('delete from ledger', 's'), parse('select 1', 's'), bind({ statement: 's' }), execute(), sync()],
    expect: 'server',
    sqlstate: '42P05',
    never: ['delete from ledger'],
  },
  {
    name: 'Close and Parse in one breath',
    send: [
      parse('select 1', 's'),
      close('S', 's'),
      parse('delete from ledger', 's'),
      bind({ statement: 's' }),
      execute(),
      sync(),
    ],
    expect: 'held',
  },
  {
    name: 'the unnamed statement is replaced between Bind and Execute',
    send: [parse('delete from ledger'), bind(), parse('select 1'), execute(), sync()],
    expect: 'held',
  },
  {
    name: 'a portal survives the Close of its statement',
    send: [parse('delete from ledger', 's'), bind({ statement: 's' }), close('S', 's'), execute(), sync()],
    expect: 'held',
  },
  {
    name: 'a portal is bound again under its name',
    send: [
      parse('select 1', 'a'),
      parse('delete from ledger', 'b'),
      bind({ portal: 'p', statement: 'a' }),
      bind({ portal: 'p', statement: 'b' }),
      execute('p'),
      sync(),
    ],
    expect: 'held',
    never: ['delete from ledger'],
  },
  {
    name: 'a name of 64 bytes that the server would cut',
    send: [parse('select 1', 'n'.repeat(64)), sync()],
    expect: 'ended',
  },
  { name: 'a name that is the gateway’s own', send: [parse('select 1', 'sallyport_lookup'), sync()], expect: 'ended' },
  {
    name: 'a name of the gateway’s own in PREPARE',
    send: [query('prepare sallyport_lookup as select 1')],
    expect: 'denied',
  },
  { name: 'a name of the gateway’s own in EXECUTE', send: [query('execute sallyport_lookup')], expect: 'denied' },
  { name: 'a name of the gateway’s own in DEALLOCATE', send: [query('deallocate sallyport_lookup')], expect: 'denied' },
  {
    name: 'SQL EXECUTE of a statement made by Parse',
    send: [parse('delete from ledger', 's'), sync(), query('execute s')],
    expect: 'held',
    readies: 2,
  },
  {
    name: 'Bind of a statement made by SQL PREPARE',
    send: [query('prepare s as delete from ledger'), bind({ statement: 's' }), execute(), sync()],
    expect: 'held',
  },
  {
    name: 'a quoted name in EXECUTE that differs in letters',
    send: [parse('select 1', 's'), parse('delete from ledger', 'S'), sync(), query('execute "S"')],
    expect: 'held',
    readies: 2,
  },
  {
    name: 'SQL DEALLOCATE, then another statement under the name',
    send: [
      query('prepare s as select 1'),
      query('deallocate s'),
      query('prepare s as delete from ledger'),
      query('execute s'),
    ],
    expect: 'held',
    readies: 4,
  },
  {
    name: 'a prepared name outlives a rolled back DEALLOCATE',
    send: [
      parse('delete from ledger', 's'),
      sync(),
      query('begin'),
      query('deallocate s'),
      query('rollback'),
      query('prepare s as select 1'),
      query('execute s'),
    ],
    expect: 'harmless',
    readies: 6,
    never: ['delete from ledger'],
  },
  {
    name: 'a prepared name outlives a rolled back transaction',
    send: [query('begin'), parse('delete from ledger', 's'), sync(), query('rollback'), query('execute s')],
    expect: 'held',
    readies: 4,
  },
  {
    name: 'a prepared name does not come back with a rollback to a savepoint',
    send: [
      query('begin'),
      query('prepare s as select 1'),
      query('savepoint a'),
      query('deallocate s'),
      parse('delete from ledger', 's'),
      sync(),
      query('rollback to a'),
      query('execute s'),
    ],
    expect: 'held',
    readies: 8,
  },
  {
    name: 'a cursor is renamed by closing and declaring',
    send: [
      query('begin'),
      query('declare c cursor for select 1'),
      query('close c'),
      query('declare c cursor for select wipe_ledger()'),
      query('fetch c'),
    ],
    expect: 'denied',
    readies: 5,
  },
  {
    name: 'FETCH from a portal of the wire',
    send: [query('begin'), parse('select wipe_ledger()'), bind({ portal: 'p' }), sync(), query('fetch all from p')],
    expect: 'denied',
    readies: 3,
  },

  // --- pipelines
  {
    name: 'a query inside a pipeline that is not synced',
    send: [parse('select 1'), bind(), query(DROP)],
    expect: 'denied',
    never: [DROP],
  },
  {
    name: 'what stands after a denial is skipped to the Sync',
    send: [
      parse(DROP),
      bind(),
      execute(),
      parse('delete from ledger where id = 1'),
      bind(),
      execute(),
      sync(),
      query('select 1'),
    ],
    expect: 'denied',
    readies: 2,
    ready: 'II',
    never: [DROP, 'delete from ledger where id = 1'],
  },
  {
    name: 'what stands before a denial is rolled back with it',
    send: [parse('delete from ledger where id = 1'), bind(), execute(), parse(DROP), bind(), execute(), sync()],
    expect: 'denied',
    never: [DROP],
    ready: 'I',
  },
  {
    name: 'a denial between two Syncs',
    send: [
      parse('select 1'),
      bind(),
      execute(),
      sync(),
      parse(DROP),
      bind(),
      execute(),
      sync(),
      parse('select 2'),
      bind(),
      execute(),
      sync(),
    ],
    expect: 'denied',
    readies: 3,
    ready: 'III',
    never: [DROP],
  },
  {
    name: 'a denial in an open transaction fails it',
    send: [query('begin'), query(DROP), query('delete from ledger where id = 1'), query('commit')],
    expect: 'denied',
    readies: 4,
    ready: 'TEEI',
    never: [DROP],
  },
  {
    name: 'Execute twice of one portal',
    send: [parse('delete from ledger'), bind(), execute('', 1), execute('', 1), sync()],
    expect: 'held',
  },
  {
    name: 'Execute after Execute of another',
    send: [
      parse('select 1', 'a'),
      parse('delete from ledger', 'b'),
      bind({ portal: 'a', statement: 'a' }),
      bind({ portal: 'b', statement: 'b' }),
      execute('a'),
      execute('b'),
      sync(),
    ],
    expect: 'held',
  },
  {
    name: 'Flush instead of Sync',
    send: [parse(DROP), bind(), execute(), flush(), sync()],
    expect: 'denied',
    never: [DROP],
  },
  {
    name: 'ten thousand Syncs and a drop',
    send: [many(10_000, sync()), query(DROP)],
    expect: 'denied',
    readies: 10_001,
    never: [DROP],
  },
  {
    name: 'ten thousand Flushes and a drop',
    send: [many(10_000, flush()), query(DROP)],
    expect: 'denied',
    never: [DROP],
  },
  {
    name: 'a thousand drops in one write',
    send: [many(1_000, query(DROP))],
    expect: 'denied',
    readies: 1_000,
    never: [DROP],
  },
  {
    name: 'more portals than a session may have',
    send: [
      parse('select 1', 's'),
      many(1_100, cat()),
      ...Array.from({ length: 1_100 }, (_, i) => bind({ portal: `p${i}`, statement: 's' })),
      sync(),
    ],
    expect: 'ended',
  },
  {
    name: 'COPY in carries text that looks like messages',
    send: [query('copy ledger_in from stdin')],
    // Servers before 14 look at a line when it is whole.
    data: [copyData(query(DROP)), copyData('\n'), copyFail('enough')],
    expect: 'server',
    sqlstate: '22021',
    never: [DROP],
  },
  {
    name: 'a query in the middle of a COPY',
    send: [query('copy ledger_in from stdin')],
    data: [copyData('\\.\n'), query(DROP)],
    expect: 'ended',
    never: [DROP],
  },
  {
    name: 'Parse in the middle of a COPY',
    send: [query('copy ledger_in from stdin')],
    data: [parse(DROP), bind(), execute(), sync()],
    expect: 'ended',
    never: [DROP],
  },
  {
    name: 'a parameter is swapped: the second Bind is another statement to judge',
    send: [
      parse('delete from payments where id = $1', 's'),
      bind({ statement: 's', values: ['1'] }),
      execute(),
      bind({ statement: 's', values: ['2'] }),
      execute(),
      sync(),
    ],
    expect: 'held',
    never: ['delete from payments'],
  },
  {
    name: 'a tautology by parameters',
    send: [parse('delete from ledger where $1 = $2'), bind({ values: ['1', '1'] }), execute(), sync()],
    expect: 'held',
  },
  {
    name: 'a tautology by a boolean parameter',
    send: [parse('delete from ledger where $1::boolean'), bind({ values: ['true'] }), execute(), sync()],
    expect: 'held',
  },
  {
    name: 'a role by a parameter',
    send: [parse('select set_config($1, $2, false)'), bind({ values: ['role', 'postgres'] }), execute(), sync()],
    expect: 'denied',
  },
  {
    name: 'a limit by a parameter of a function',
    send: [parse('select 1 limit $1'), bind({ values: ['1'] }), execute(), sync()],
    expect: 'harmless',
  },
];
