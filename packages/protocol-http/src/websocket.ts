/**
 * A WebSocket through the gateway: both directions strict, text to the client masked message by message, what was said recorded.
 * Refuses extensions (compression would hide what is masked) and what cannot be masked. RFC 6455; docs/reference/http-masking.md.
 */
import { randomBytes } from 'node:crypto';
import { CODES, type ErrorCode } from '@sallyport/core';
import {
  bodyMasks,
  encodeWebSocketFrame,
  type Header,
  headerOf,
  OPCODES,
  openJoinedTexts,
  type RequestHead,
  type ResponseHead,
  WebSocketSide,
} from '@sallyport/http';
import type { DialectSession, UpgradeHost, UpgradeMachine } from '@sallyport/http-session';
import { maskDetected } from '@sallyport/mask';
import type { MaskSet } from '@sallyport/model';

const EXTENSIONS = 'sec-websocket-extensions';
const POLICY_VIOLATION = 1008;
const PROTOCOL_ERROR = 1002;
const NEWLINE = '\n';

export const isWebSocket = (request: RequestHead): boolean => request.upgrade === 'websocket';

/** No extension is asked for: a compressed message cannot be masked as it comes. */
export const withoutExtensions = (headers: readonly Header[]): readonly Header[] =>
  headers.filter(([name]) => name !== EXTENSIONS);

export function openWebSocket(
  response: ResponseHead,
  session: DialectSession,
  masks: MaskSet,
  host: UpgradeHost,
): UpgradeMachine | undefined {
  // One that was not asked for (section 9.1).
  if (headerOf(response.headers, EXTENSIONS) !== undefined) return undefined;
  return new WebSocketMachine(session, masks, host);
}

class WebSocketMachine implements UpgradeMachine {
  readonly #host: UpgradeHost;
  readonly #session: DialectSession;
  readonly #masks: MaskSet;
  readonly #fromClient: WebSocketSide;
  readonly #fromServer: WebSocketSide;
  #isOver = false;

  constructor(session: DialectSession, masks: MaskSet, host: UpgradeHost) {
    this.#host = host;
    this.#session = session;
    this.#masks = masks;
    this.#fromClient = new WebSocketSide(true, undefined, {
      send: (bytes) => {
        if (!host.toUpstream(bytes)) host.pauseClient(true);
      },
      message: (text, bytes) => this.#record('request', text, bytes),
    });
    const { maskKey } = session.road;
    this.#fromServer = new WebSocketSide(
      false,
      bodyMasks(masks, maskKey),
      {
        send: (bytes) => {
          if (!host.toClient(bytes)) host.pauseUpstream(true);
        },
        message: (text, bytes) => this.#record('response', text, bytes),
      },
      openJoinedTexts(masks, maskKey, session.resource.http?.streams),
    );
  }

  clientBytes(chunk: Buffer): void {
    if (this.#isOver) return;
    this.#fromClient.push(chunk);
    if (this.#fromClient.failed !== undefined) this.ended(this.#fromClient.failed);
  }
  upstreamBytes(chunk: Buffer): void {
    if (this.#isOver) return;
    this.#fromServer.push(chunk);
    if (this.#fromServer.failed !== undefined) this.ended(this.#fromServer.failed);
  }
  clientDrained(): void {
    this.#host.pauseUpstream(false);
  }
  upstreamDrained(): void {
    this.#host.pauseClient(false);
  }
  closed(): void {
    this.#isOver = true;
  }

  /** Both sides are told by a close frame; a message that was in the middle is not ended. */
  ended(code: ErrorCode): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const status = code === 'http.malformed' ? PROTOCOL_ERROR : POLICY_VIOLATION;
    const payload = Buffer.concat([Buffer.of(status >> 8, status & 255), Buffer.from(`${code}: ${CODES[code].text}`)]);
    const reason = payload.subarray(0, 120);
    this.#host.toClient(encodeWebSocketFrame(OPCODES.close, reason));
    this.#host.toUpstream(encodeWebSocketFrame(OPCODES.close, reason.subarray(0, 2), randomBytes(4)));
    this.#host.end(code);
  }

  rows(): number {
    return this.#fromServer.messages;
  }

  /** One line for each message; of a binary one, its size. */
  #record(side: 'request' | 'response', text: Uint8Array | undefined, bytes: number): void {
    const said = text === undefined ? `[binary message of ${bytes} bytes]` : Buffer.from(text).toString('utf8');
    const shown = side === 'request' ? maskDetected(said, this.#masks.detect, this.#session.road.maskKey).text : said;
    this.#session.recorder.httpBody(this.#host.statementNumber, side, Buffer.from(shown + NEWLINE));
  }
}
