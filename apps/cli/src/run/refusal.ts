/** What the loopback proxy of `run` says itself, in plain words for whoever reads the program's output. Refuses to name tokens. */
import type { ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

export interface Refusal {
  readonly status: 403 | 404 | 407 | 502;
  readonly text: string;
}

const REASONS = {
  403: 'Forbidden',
  404: 'Not Found',
  407: 'Proxy Authentication Required',
  502: 'Bad Gateway',
} as const;
const CHALLENGE = 'Basic realm="sallyport run"';

export function refuse(response: ServerResponse, { status, text }: Refusal): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  response.writeHead(status, {
    'content-type': 'text/plain; charset=utf-8',
    connection: 'close',
    ...(status === 407 ? { 'proxy-authenticate': CHALLENGE } : {}),
  });
  response.end(`${text}\n`);
}

/** The same on a connection that asked for a tunnel or an upgrade. */
export function refuseOn(socket: Duplex, { status, text }: Refusal): void {
  const body = Buffer.from(`${text}\n`);
  const head = [
    `HTTP/1.1 ${status} ${REASONS[status]}`,
    'content-type: text/plain; charset=utf-8',
    `content-length: ${body.length}`,
    ...(status === 407 ? [`proxy-authenticate: ${CHALLENGE}`] : []),
    'connection: close',
  ];
  socket.end(Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), body]));
}
