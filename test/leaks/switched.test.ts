/**
 * What a service says beside its data on a connection that was switched (101): in the answer's headers, how a command ended, why a
 * socket closes. None of it may show what masks hide. In the place of the API server stands what says it.
 */
import { encodeWebSocketFrame, FrameReader } from '@sallyport/http';
import type { MaskSet } from '@sallyport/model';
import { PREFIX, RawClient, SIGNED, startHttpGateway } from '@sallyport/protocol-http/bench';
import { startRawService } from '@sallyport/protocol-http/raw-service';
import { startKubeGateway } from '@sallyport/protocol-kubernetes/bed';
import { allow, type Gateway } from '@sallyport/testkit';
import { afterEach, expect, test } from 'vitest';

const MAIL = 'ana.smith@example.com';
const ACCEPT = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=';
const MASKS: MaskSet = { columns: [], detect: [{ detect: 'email', with: 'redact' }] };
const EXEC = '/api/v1/namespaces/shop/pods/web/exec?command=date&stdout=true';
const UPGRADE = `connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n`;
const status = (more: object): string => `\x03${JSON.stringify({ kind: 'Status', status: 'Failure', ...more })}`;
const closing = (reason: string): Buffer =>
  encodeWebSocketFrame(8, Buffer.concat([Buffer.of(0x03, 0xf3), Buffer.from(reason)]));
const binary = (text: string): Buffer => encodeWebSocketFrame(2, Buffer.from(text));

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const undo of cleanUps.splice(0).reverse()) await undo();
});

/** @returns what the client got, of frames the payload alone, and all that was recorded of it */
async function shown(
  kind: 'http' | 'kubernetes',
  header: string,
  frames: Buffer,
): Promise<{ readonly said: string; readonly kept: string }> {
  const subprotocol = kind === 'http' ? '' : 'sec-websocket-protocol: v5.channel.k8s.io\r\n';
  const answer = `HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: ${ACCEPT}\r\n${subprotocol}${header}\r\n`;
  const service = await startRawService((socket) => void socket.end(Buffer.concat([Buffer.from(answer), frames])));
  cleanUps.push(() => service.close());
  const options = { decide: () => allow(MASKS), recording: 'full' } as const;
  const gateway: Gateway =
    kind === 'http' ? await startHttpGateway(service.url, options) : await startKubeGateway(service.url, options);
  cleanUps.push(() => gateway.close());
  const client = new RawClient(gateway.port);
  cleanUps.push(() => client.destroy());
  const target = kind === 'http' ? `${PREFIX}/x` : `/r/prod${EXEC}`;
  client.send(`GET ${target} HTTP/1.1\r\nhost: a\r\n${SIGNED}${subprotocol}${UPGRADE}\r\n`);
  await client.closed();
  const at = client.bytes.indexOf('\r\n\r\n') + 4;
  const said = [client.bytes.subarray(0, at).toString('latin1')];
  const reader = new FrameReader(false);
  reader.push(client.bytes.subarray(at), {
    head: () => said.push(' '),
    payload: (_raw, plain) => said.push(Buffer.from(plain).toString('latin1')),
    end: () => undefined,
  });
  expect(reader.broken).toBe(false);
  const { http, streams } = gateway.recorded;
  const kept = http.map(({ text, body }) => text + body.toString());
  return { said: said.join(''), kept: kept.join('\n') + JSON.stringify(streams) };
}

test.each<[string, 'http' | 'kubernetes', string, Buffer, string]>([
  ['a header of a WebSocket’s answer', 'http', `x-by: ${MAIL}\r\n`, Buffer.alloc(0), 'x-by: [redacted]'],
  ['a header of a command’s answer', 'kubernetes', `x-by: ${MAIL}\r\n`, Buffer.alloc(0), 'x-by: [redacted]'],
  ['why a WebSocket closes', 'http', '', closing(`no ${MAIL}`), 'no [redacted]'],
  ['why a command’s socket closes', 'kubernetes', '', closing(`no ${MAIL}`), 'no [redacted]'],
  ['how a command ended', 'kubernetes', '', binary(status({ message: `no ${MAIL}` })), 'no [redacted]'],
  [
    'the causes of how a command ended',
    'kubernetes',
    '',
    binary(status({ message: 'no', details: { name: MAIL, causes: [{ message: `exec: "${MAIL}"` }] } })),
    'exec: \\"[redacted]\\"',
  ],
  ['how a command ended, in a text', 'kubernetes', '', binary(`\x03no ${MAIL}`), 'no [redacted]'],
  ['the end of a stream', 'kubernetes', '', encodeWebSocketFrame(2, Buffer.from(`\xff\x01${MAIL}`, 'latin1')), ACCEPT],
])('%s', async (_what, kind, header, frames, shows) => {
  const { said, kept } = await shown(kind, header, frames);
  expect(said).toContain(ACCEPT);
  expect(said).toContain(shows);
  expect(said + kept).not.toContain('smith');
});

test('a reason to close that grows under masks is cut between characters', async () => {
  // Ten characters instead of six: what is too long then is cut, and stays a text.
  const { said } = await shown('http', '', closing(`${'a@b.co '.repeat(8)}${'é'.repeat(30)}`));
  const reason = Buffer.from(said.slice(said.indexOf('\x03\xf3') + 2), 'latin1').toString();
  expect(reason).toMatch(/^(\[redacted\] ){8}é+$/);
});
