/**
 * Answers that are vouched for under one meaning of a name and fetched under another: steps of raw messages, each sent at
 * once. The last step would show names of customers if the swap worked.
 */
import { frames } from '@sallyport/testkit';

export interface SwapRow {
  readonly name: string;
  readonly as: string;
  readonly steps: readonly (readonly Uint8Array[])[];
}

const { bind, close, describe, execute, parse, query, sync } = frames;
const NAMES = 'select name from customers where id <= 5';
const CITIES = 'select city from customers where id <= 5';
const run = (statement: string): readonly Uint8Array[] => [bind({ statement }), execute(), sync()];

export const SWAPS: readonly SwapRow[] = [
  {
    name: 'SQL closes a portal of the wire and declares a cursor of its name',
    as: 'carla',
    steps: [
      [query('begin')],
      [parse(CITIES, 's'), bind({ statement: 's', portal: 'p' }), describe('P', 'p'), execute('p', 1), sync()],
      [query('close p')],
      [query(`declare p cursor for ${NAMES}`)],
      [execute('p', 2), sync()],
    ],
  },
  {
    name: 'the same, without waiting for answers',
    as: 'carla',
    steps: [
      [query('begin')],
      [
        parse(CITIES, 's'),
        bind({ statement: 's', portal: 'p' }),
        execute('p', 1),
        sync(),
        query(`close p; declare p cursor for ${NAMES}`),
        execute('p', 2),
        sync(),
      ],
    ],
  },
  {
    name: 'the same, all in one pipeline',
    as: 'carla',
    steps: [
      [query('begin')],
      [
        parse(CITIES, 's'),
        bind({ statement: 's', portal: 'p' }),
        execute('p', 1),
        parse('close p'),
        bind(),
        execute(),
        parse(`declare p cursor for ${NAMES}`),
        bind(),
        execute(),
        execute('p', 2),
        sync(),
      ],
    ],
  },
  {
    name: 'CLOSE ALL stands for CLOSE',
    as: 'carla',
    steps: [
      [query('begin')],
      [parse(CITIES, 's'), bind({ statement: 's', portal: 'p' }), execute('p', 1), sync()],
      [query(`close all; declare p cursor for ${NAMES}`), execute('p', 2), sync()],
    ],
  },
  {
    name: 'a rollback to a savepoint ends the portal',
    as: 'carla',
    steps: [
      [query('begin'), query('savepoint a')],
      [parse(CITIES, 's'), bind({ statement: 's', portal: 'p' }), execute('p', 1), sync()],
      [query(`rollback to a; declare p cursor for ${NAMES}`), execute('p', 2), sync()],
    ],
  },
  {
    name: 'a portal of the wire takes the name of a cursor that ended with its transaction',
    as: 'carla',
    steps: [
      [query('begin'), query('declare c cursor for select 1'), query('commit'), query('begin')],
      [parse(NAMES, 's'), bind({ statement: 's', portal: 'c' }), sync()],
      [query('fetch all from c')],
    ],
  },
  {
    name: 'a portal of the wire takes the name of a cursor that the wire closed',
    as: 'carla',
    steps: [
      [query('begin'), query('declare c cursor for select 1')],
      [close('P', 'c'), parse(NAMES, 's'), bind({ statement: 's', portal: 'c' }), sync()],
      [query('fetch all from c')],
    ],
  },
  {
    name: 'the same, fetched by the wire’s own half of the protocol',
    as: 'carla',
    steps: [
      [query('begin'), query('declare c cursor for select 1'), query('commit'), query('begin')],
      [parse('fetch all from c', 'f'), describe('S', 'f'), sync()],
      [parse(NAMES, 's'), bind({ statement: 's', portal: 'c' }), bind({ statement: 'f' }), execute(), sync()],
    ],
  },
  {
    name: 'FETCH is prepared over one cursor and runs over another',
    as: 'carla',
    steps: [
      [query('begin'), query(`declare c cursor for ${CITIES}`)],
      [parse('fetch all from c', 'f'), describe('S', 'f'), sync()],
      [query('close c'), query(`declare c cursor for ${NAMES}`), ...run('f')],
    ],
  },
  {
    name: 'a prepared statement is deallocated and prepared again',
    as: 'carla',
    steps: [
      [parse(CITIES, 's'), describe('S', 's'), sync()],
      [...run('s')],
      [query(`deallocate s; prepare s as ${NAMES}`), ...run('s')],
      [...run('s')],
    ],
  },
  {
    name: 'the same, inside a pipeline',
    as: 'carla',
    steps: [
      [parse(CITIES, 's'), describe('S', 's'), sync()],
      [parse('deallocate s'), bind(), execute(), parse(`prepare s as ${NAMES}`), bind(), execute(), ...run('s')],
    ],
  },
  {
    name: 'DISCARD ALL, and prepared again',
    as: 'ana',
    steps: [
      [parse(CITIES, 's'), describe('S', 's'), sync()],
      [query('discard all'), query(`prepare s as ${NAMES}`), ...run('s')],
    ],
  },
  {
    name: 'a closed statement is parsed again in the same breath',
    as: 'carla',
    steps: [
      [parse(CITIES, 's'), describe('S', 's'), sync()],
      [close('S', 's'), parse(NAMES, 's'), ...run('s')],
    ],
  },
  {
    name: 'the unnamed statement is replaced by a simple query’s',
    as: 'carla',
    steps: [[parse(CITIES), describe('S'), sync()], [query(`prepare s as ${NAMES}`), ...run('')], [...run('s')]],
  },
  {
    name: 'the search path moves under a prepared statement',
    as: 'payments-bot',
    steps: [
      [query('begin'), query('create schema evil'), query('create table evil.customers (id bigint, name text)')],
      [query('set search_path = evil, public')],
      [parse(NAMES, 's'), describe('S', 's'), sync()],
      [...run('s')],
      [query('set local search_path = public')],
      [...run('s')],
    ],
  },
  {
    name: 'a temporary table vanishes under a prepared statement',
    as: 'payments-bot',
    steps: [
      [query('create temp table customers (id bigint, name text)')],
      [parse(NAMES, 's'), describe('S', 's'), sync()],
      [...run('s')],
      [query('discard temp')],
      [...run('s')],
    ],
  },
  {
    name: 'a temporary table ends with its transaction, the prepared statement does not',
    as: 'payments-bot',
    steps: [
      [query('begin'), query('create temp table customers (id bigint, name text) on commit drop')],
      [parse(NAMES, 's'), describe('S', 's'), sync()],
      [...run('s'), query('commit')],
      [...run('s')],
    ],
  },
  {
    name: 'a rolled back table was what a simple query of the same shape was described by',
    as: 'payments-bot',
    steps: [
      [query('begin'), query('create temp table customers (id bigint, name text)'), query(NAMES), query('rollback')],
      [query(NAMES)],
    ],
  },
  {
    name: 'a view is described, and replaced by another session’s meaning of its name',
    as: 'payments-bot',
    steps: [
      [query('begin'), query('create schema evil'), query('create view evil.v as select city as shown from customers')],
      [query('create temp view v as select contact as shown from customer_mail')],
      [query('select shown from v where shown is not null limit 5')],
    ],
  },
  {
    name: 'a portal is fetched in parts, with a table between that takes the name',
    as: 'payments-bot',
    steps: [
      [query('begin')],
      [parse(NAMES, 's'), bind({ statement: 's', portal: 'p' }), describe('P', 'p'), execute('p', 1), sync()],
      [query('create temp table customers (id bigint, name text)')],
      [execute('p', 2), sync()],
      [query('fetch all from p')],
    ],
  },
  {
    name: 'the binary format is asked for after a description in text',
    as: 'carla',
    steps: [
      [parse(NAMES, 's'), describe('S', 's'), sync()],
      [bind({ statement: 's', resultFormats: [1] }), execute(), sync()],
      [parse('select id, name from customers where id <= 5', 't'), bind({ statement: 't', resultFormats: [1, 0] })],
      [execute(), sync()],
    ],
  },
  {
    name: 'several portals are read in turns',
    as: 'carla',
    steps: [
      [query('begin')],
      [
        parse(NAMES, 'n'),
        parse(CITIES, 'c'),
        bind({ statement: 'n', portal: 'n' }),
        bind({ statement: 'c', portal: 'c' }),
        execute('c', 1),
        execute('n', 1),
        execute('c', 1),
        execute('n', 1),
        sync(),
      ],
    ],
  },
  {
    name: 'a reading of many statements puts rows of one under the description of another',
    as: 'carla',
    steps: [[query(`${CITIES}; ${NAMES}; select 1; ${NAMES}; ${CITIES}`)]],
  },
  {
    name: 'two columns change places between two executions',
    as: 'carla',
    steps: [
      [query('select city, name from customers where id <= 5')],
      [query('select name, city from customers where id <= 5')],
      [query('select city, name from customers where id <= 3')],
    ],
  },
];
