/**
 * Values in messages of protobuf, where a length or a tag stands beside them that looks like a letter or a digit: in metadata of gRPC
 * and in binary messages of a WebSocket. None may reach the client; a message without any passes as it came.
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
];
const CLEAR: readonly (readonly [string, Buffer])[] = [
  ['no value', field(10, padded('4111 of them', 52))],
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
