/** In which order a pipe does what each piece from the host asks for. The channels are named stand-ins: they note their calls. */
import { expect, test } from 'vitest';
import type { Channel } from './channels.ts';
import type { Filter } from './mask.ts';
import { Pipe } from './pipe.ts';

function pipeOf(write: () => boolean) {
  const order: string[] = [];
  const client = {
    write: () => {
      order.push('written');
      return write();
    },
    flush: () => void order.push('left'),
    queued: 0,
  } as unknown as Channel;
  const host = { took: () => void order.push('window') } as unknown as Channel;
  const filter: Filter = {
    saturated: false,
    owes: true,
    settle: () => void order.push('digested'),
    down: (chunk) => chunk,
    up: (chunk) => chunk,
    rest: () => Buffer.alloc(0),
  };
  const owner = { exited: () => undefined, closed: () => undefined };
  return { order, pipe: new Pipe(client, host, filter, owner) };
}

test('what a record leaves out is digested when it has left for the client and the host may send more', () => {
  const { order, pipe } = pipeOf(() => true);
  pipe.data(Buffer.from('piece'), false);
  expect(order).toEqual(['written', 'window', 'left', 'digested']);
});

test('it is digested while its memory is as it was, though the client cannot be written to', () => {
  const { order, pipe } = pipeOf(() => {
    throw new Error('no');
  });
  expect(() => pipe.data(Buffer.from('piece'), false)).toThrow('no');
  expect(order).toEqual(['written', 'digested']);
});
