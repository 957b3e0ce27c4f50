/**
 * Values in messages of protobuf, MessagePack and CBOR, where a length or a tag stands beside them that looks like a letter or a
 * digit, and in UTF-16: in metadata of gRPC and in binary messages of a WebSocket. None may reach the client; a message without any passes as it came.
 */
import { encodeWebSocketFrame } from '@sallyport/http';
import type { MaskSet } from '@sallyport/model';
import { PREFIX, RawClient, SIGNED, startHttpGateway } from '@sallyport/protocol-http/bench';
import { startRawService } from '@sallyport/protocol-http/raw-service';
import { allow } from '@sallyport/testkit';
import { afterEach, describe, expect, test } from 'vitest';

const CARD = '4111111111111111';
const MASKS: MaskSet = {
  columns: [],
  detect: [
    { detect: 'payment_card', with: 'redact' },
    { detect: 'national_id', with: 'redact' },
  ],
};

/** A field of bytes. @param tag its number times 8, and 2 */
const field = (tag: number, value: string | Buffer): Buffer => {
  const bytes = Buffer.from(value);
  const length = bytes.length < 128 ? [bytes.length] : [0x80 | (bytes.length & 0x7f), bytes.length >> 7];
  return Buffer.concat([Buffer.of(tag, ...length), bytes]);
};
const padded = (text: string, bytes: number): string => text.padEnd(bytes, ' no');
/** As gRPC frames a message: a flag and four bytes of length. */
const framed = (...messages: readonly Buffer[]): Buffer =>
  Buffer.concat(messages.flatMap((each) => [Buffer.of(0, 0, 0, each.length >> 8, each.length & 0xff), each]));
const nested = (message: Buffer, times: number): Buffer =>
  times === 0 ? message : nested(field(26, message), times - 1);
/** MessagePack's texts of up to 31 bytes, and of up to 255. */
const short = (text: string): Buffer => Buffer.concat([Buffer.of(0xa0 | text.length), Buffer.from(text)]);
const long = (text: string): Buffer => Buffer.concat([Buffer.of(0xd9, text.length), Buffer.from(text)]);
/** Of CBOR: its bytes before the text. */
const cbor = (head: readonly number[], text: string): Buffer => Buffer.concat([Buffer.of(...head), Buffer.from(text)]);
const wide = (text: string): Buffer => Buffer.from(text, 'utf16le');
const entry = Buffer.concat([field(10, 'card'), field(18, padded(CARD, 49))]);

const LEAKS: readonly (readonly [string, Buffer])[] = [
  ['behind a length that is a digit', field(10, padded(CARD, 52))],
  ['behind a length that is a letter', field(10, padded(CARD, 66))],
  ['before a tag that is a digit', Buffer.concat([field(10, `no ${CARD}`), field(50, 'b')])],
  ['before a tag that is a letter', Buffer.concat([field(10, `no ${CARD}`), field(66, 'b')])],
  ['behind a length of two bytes', field(10, padded('123-45-6789', 49 * 128))],
  ['in a message that begins as a frame would', Buffer.concat([Buffer.of(0x80, 1, 5), field(10, padded(CARD, 52))])],
  ['in a message that gRPC frames', framed(field(10, padded(CARD, 52)))],
  ['in the second of two that gRPC frames', framed(field(10, 'x'), field(10, padded(CARD, 66)))],
  [
    'in a message inside',
    Buffer.concat([Buffer.of(8, 5), field(26, Buffer.concat([field(10, 'x'), field(26, entry)]))]),
  ],
  ['in messages inside, one in the other', nested(field(10, padded(CARD, 52)), 40)],
  ['in messages inside, deeper than anybody reads', nested(field(10, padded(CARD, 52)), 200)],
  ['MessagePack: behind a length', Buffer.concat([Buffer.of(0x81), short('card'), long(padded(CARD, 52))])],
  ['MessagePack: behind a long length', Buffer.concat([Buffer.of(0xda, 1, 50), Buffer.from(padded(CARD, 306))])],
  ['MessagePack: before a number', Buffer.concat([Buffer.of(0x92), short(CARD), Buffer.of(52)])],
  [
    'MessagePack: in bytes, after what its reader says of a frame',
    Buffer.concat([Buffer.of(0xb9, 1, 0x92, 0xc4, 56, 0x91), long(padded(CARD, 53))]),
  ],
  ['MessagePack: behind bytes of an own kind', Buffer.concat([Buffer.of(0xd4, 7, 65, 0x91), long(padded(CARD, 66))])],
  ['MessagePack: in a message of protobuf', field(10, Buffer.concat([Buffer.of(0x91), long(padded(CARD, 66))]))],
  ['CBOR: behind a length', cbor([0xa1, 0x61, 97, 0x78, 52], padded(CARD, 52))],
  ['CBOR: behind what says a length', cbor([0x81, 0x70], CARD)],
  ['CBOR: before a number', Buffer.concat([cbor([0x83, 1, 0x78, 24], `no more ${CARD}`), Buffer.of(0x34)])],
  [
    'CBOR: in pieces',
    Buffer.concat([Buffer.of(0x81, 0x7f), cbor([0x67], '4111111'), cbor([0x69], '111111111'), Buffer.of(0xff)]),
  ],
  ['UTF-16', Buffer.concat([Buffer.of(1, 0, 0, 0), wide(`to ${CARD}.`), Buffer.of(0xff, 0xff)])],
  ['UTF-16, its big half first', Buffer.concat([Buffer.of(1, 0, 0, 32), wide(`to ${CARD}.`).swap16()])],
  ['UTF-16 behind a length', Buffer.concat([Buffer.of(52, 0), wide(padded(CARD, 52))])],
  ['UTF-16 before a number', Buffer.concat([wide(CARD), Buffer.of(52, 0, 1)])],
];
const CLEAR: readonly (readonly [string, Buffer])[] = [
  ['no value', field(10, padded('4111 of them', 52))],
  ['no value in MessagePack', Buffer.concat([Buffer.of(0x92), long(padded('4111 of them', 52)), Buffer.of(52)])],
  ['no value in UTF-16', wide('4111 of them, and more')],
  ['no message', Buffer.from(`\x0a\x7f4${'9'.repeat(17)}`)],
];

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const undo of cleanUps.splice(0).reverse()) await undo();
});

async function shown(answer: Buffer, headers = ''): Promise<Buffer> {
  const service = await startRawService((socket) => void socket.end(answer));
  const gateway = await startHttpGateway(service.url, { decide: () => allow(MASKS) });
  const client = new RawClient(gateway.port);
  cleanUps.push(
    () => service.close(),
    () => gateway.close(),
    () => client.destroy(),
  );
  client.send(`GET ${PREFIX}/x HTTP/1.1\r\nhost: a\r\n${SIGNED}${headers || 'connection: close\r\n'}\r\n`);
  await client.closed();
  return client.bytes;
}

describe('metadata of gRPC', () => {
  const asked = async (bytes: Buffer): Promise<string> => {
    const value = bytes.toString('base64').replace(/=+$/, '');
    const answer = `HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ngrpc-status: 3\r\ngrpc-status-details-bin: ${value}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`;
    const text = (await shown(Buffer.from(answer))).toString('latin1');
    expect(text).toContain('grpc-status: 3');
    return /grpc-status-details-bin: (.*)\r\n/.exec(text)?.[1] === value ? 'shown' : text;
  };
  test.each(LEAKS)('%s', async (_name, bytes) => {
    expect(await asked(bytes)).not.toContain('details-bin');
    expect(await asked(bytes)).not.toBe('shown');
  });
  test.each(CLEAR)('%s passes', async (_name, bytes) => expect(await asked(bytes)).toBe('shown'));
});

describe('a binary message of a WebSocket', () => {
  const UPGRADE = `connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n`;
  const SWITCHED = `HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n`;
  const asked = (bytes: Buffer): Promise<Buffer> =>
    shown(Buffer.concat([Buffer.from(SWITCHED), encodeWebSocketFrame(2, bytes)]), UPGRADE);
  test.each(LEAKS)('%s', async (_name, bytes) => {
    const said = await asked(bytes);
    expect(said.includes('http.body_unmaskable')).toBe(true);
    expect(said.includes(CARD) || said.includes('45-6789')).toBe(false);
  });
  test.each(CLEAR)('%s passes', async (_name, bytes) => expect((await asked(bytes)).includes(bytes)).toBe(true));
});
