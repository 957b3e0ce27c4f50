import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { readFirstPacket, readMessage } from './reading.ts';
import { encodeFatal, encodeMessage, encodePassword, encodeStartup, parseFirstPacket } from './startup.ts';

const words = (...numbers: readonly number[]): Buffer => {
  const bytes = Buffer.alloc(numbers.length * 4);
  for (const [i, number] of numbers.entries()) bytes.writeInt32BE(number, i * 4);
  return bytes;
};
const V30 = 196_608;

test('a startup packet comes back as it went', () => {
  const parameters = new Map([
    ['user', 'reader+payments-db'],
    ['database', 'päyments'],
    ['application_name', ''],
  ]);
  expect(parseFirstPacket(encodeStartup(V30 + 2, parameters))).toEqual({
    kind: 'startup',
    version: V30 + 2,
    parameters,
  });
});

test('requests for encryption and cancels are told apart', () => {
  expect(parseFirstPacket(words(8, 80_877_103))).toEqual({ kind: 'ssl' });
  expect(parseFirstPacket(words(8, 80_877_104))).toEqual({ kind: 'gss' });
  const cancel = words(16, 80_877_102, 7, 8);
  expect(parseFirstPacket(cancel)).toEqual({ kind: 'cancel', bytes: cancel });
});

test('malformed first packets are refused', () => {
  const good = encodeStartup(V30, new Map([['user', 'a']]));
  const bad: readonly Buffer[] = [
    words(4),
    words(9, V30),
    words(12, 80_877_103, 0),
    words(12, 80_877_102, 7),
    Buffer.concat([words(8 + 300, 80_877_102), Buffer.alloc(300)]),
    words(8, V30),
    Buffer.concat([words(9 + 4, V30), Buffer.from('user\0')]),
    Buffer.concat([good.subarray(0, 0), words(good.length + 1, V30), good.subarray(8), Buffer.from('x')]),
    encodeStartup(V30, new Map([['user', 'a']])).fill(1, 8),
  ];
  for (const [i, packet] of bad.entries())
    expect(() => parseFirstPacket(packet), `case ${i}`).toThrow(
      expect.objectContaining({ code: 'protocol.malformed' }),
    );
  expect(() => parseFirstPacket(words(8, 2 << 16))).toThrow(expect.objectContaining({ code: 'protocol.unsupported' }));
});

test('a parameter named twice is refused', () => {
  const body = Buffer.from('user\0a\0user\0b\0\0');
  expect(() => parseFirstPacket(Buffer.concat([words(8 + body.length, V30), body]))).toThrow(
    expect.objectContaining({ code: 'protocol.malformed' }),
  );
});

test('packets are read whole at every split, and what follows stays in the stream', async () => {
  const first = encodeStartup(V30, new Map([['user', 'a']]));
  const second = encodePassword('token');
  const rest = Buffer.from('rest');
  const all = Buffer.concat([first, second, rest]);
  for (let cut = 0; cut <= all.length; cut++) {
    const stream = new PassThrough();
    stream.write(all.subarray(0, cut));
    setImmediate(() => stream.end(all.subarray(cut)));
    expect(await readFirstPacket(stream)).toEqual(first);
    expect(await readMessage(stream, 100)).toMatchObject({ type: 'p', body: Buffer.from('token\0') });
    const left: Buffer[] = [];
    for await (const chunk of stream) left.push(chunk as Buffer);
    expect(Buffer.concat(left)).toEqual(rest);
  }
});

test('a peer that leaves is undefined before a packet and malformed inside of one', async () => {
  const none = new PassThrough();
  none.end();
  expect(await readFirstPacket(none)).toBeUndefined();
  const half = new PassThrough();
  half.end(Buffer.from([0, 0, 0, 20, 1]));
  await expect(readFirstPacket(half)).rejects.toMatchObject({ code: 'protocol.malformed' });
});

test('lengths beyond a limit are refused before they are read', async () => {
  const stream = new PassThrough();
  stream.write(words(10_001));
  await expect(readFirstPacket(stream)).rejects.toMatchObject({ code: 'frame.too_large' });
  const message = new PassThrough();
  message.write(Buffer.concat([Buffer.from('p'), words(105)]));
  await expect(readMessage(message, 100)).rejects.toMatchObject({ code: 'frame.too_large' });
});

test('an error carries its fields and no NUL of ours inside of one', () => {
  const bytes = encodeFatal('28P01', 'wrong\0 password', 'hint');
  expect(bytes.subarray(5).toString()).toBe('SFATAL\0VFATAL\0C28P01\0Mwrong password\0Hhint\0\0');
  expect(bytes.readInt32BE(1)).toBe(bytes.length - 1);
  expect(encodeMessage('Z', Buffer.from('I'))).toEqual(Buffer.from([0x5a, 0, 0, 0, 5, 0x49]));
});
