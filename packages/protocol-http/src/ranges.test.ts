/** Ranges (RFC 9110 section 14): a stretch passes as it came where nothing is masked, and where something is nobody gets one. */
import http from 'node:http';
import { type MaskSet, NO_MASKS } from '@sallyport/model';
import { afterEach, expect, test } from 'vitest';
import { RawClient, SIGNED, startHttpGateway } from '../test/bench.fixture.ts';
import { type Service, startService } from '../test/service.fixture.ts';

const BODY = '0123456789 ask ada@example.com, or nobody';
const BORDER = 'THE-BORDER';
const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const undo of cleanUps.splice(0).reverse()) await undo();
});

/** Ranges as a file server has them. @param always with what it takes for asked when nobody did */
const file =
  (type: string, always?: string): http.RequestListener =>
  (request, response) => {
    const asked = request.headers.range ?? always;
    if (asked === undefined)
      return void response.writeHead(200, { 'content-type': type, 'accept-ranges': 'bytes' }).end(BODY);
    const ranges = [...asked.matchAll(/(\d+)-(\d*)/g)].map(([, from, to]) => [
      Number(from),
      Math.min(BODY.length - 1, to === '' ? BODY.length : Number(to)),
    ]);
    if (ranges[0]![0]! >= BODY.length)
      return void response.writeHead(416, { 'content-range': `bytes */${BODY.length}` }).end();
    const span = ([from, to]: readonly number[]): string => `bytes ${from}-${to}/${BODY.length}`;
    const bytes = ([from, to]: readonly number[]): string => BODY.slice(from, to! + 1);
    if (ranges.length === 1)
      return void response
        .writeHead(206, { 'content-type': type, 'content-range': span(ranges[0]!), etag: '"1"' })
        .end(bytes(ranges[0]!));
    const parts = ranges.map(
      (one) => `--${BORDER}\r\ncontent-type: ${type}\r\ncontent-range: ${span(one)}\r\n\r\n${bytes(one)}\r\n`,
    );
    response
      .writeHead(206, { 'content-type': `multipart/byteranges; boundary=${BORDER}` })
      .end(`${parts.join('')}--${BORDER}--\r\n`);
  };

async function open(handle: http.RequestListener, masks: MaskSet): Promise<{ service: Service; client: RawClient }> {
  const service = await startService(handle);
  const decide = () => ({ kind: 'allow', rule: 'test/allow', masks }) as const;
  const gateway = await startHttpGateway(service.url, { decide });
  const client = new RawClient(gateway.port);
  cleanUps.push(
    () => service.close(),
    () => gateway.close(),
    () => client.destroy(),
  );
  return { service, client };
}

test('without masks a stretch, several of them and one that is not there pass as they came', async () => {
  const { client } = await open(file('text/plain'), NO_MASKS);
  const one = await client.ask('GET /f', `${SIGNED}range: bytes=2-5\r\n`);
  expect([one.status, one.body.toString()]).toEqual([206, '2345']);
  expect(one.head.toLowerCase()).toContain(`content-range: bytes 2-5/${BODY.length}`);
  const several = await client.ask('GET /f', `${SIGNED}range: bytes=0-1,4-5\r\n`);
  expect([several.status, several.body.toString()]).toEqual([
    206,
    [
      [0, 1],
      [4, 5],
    ]
      .map(
        ([a, b]) =>
          `--${BORDER}\r\ncontent-type: text/plain\r\ncontent-range: bytes ${a}-${b}/${BODY.length}\r\n\r\n${BODY.slice(a, b! + 1)}\r\n`,
      )
      .join('') + `--${BORDER}--\r\n`,
  ]);
  expect((await client.ask('GET /f', `${SIGNED}range: bytes=900-\r\n`)).status).toBe(416);
});

const MAIL: MaskSet = { ...NO_MASKS, detect: [{ detect: 'email', with: 'redact' }] };
const PATHS: MaskSet = { ...NO_MASKS, json: [{ path: '**.ssn', with: 'redact' }] };

test('under masks whoever asks for a stretch gets the whole, masked, and is told of no ranges', async () => {
  const { client, service } = await open(file('text/plain'), MAIL);
  for (const range of ['bytes=18-', 'bytes=15-20', 'bytes=15-17,18-30', 'bytes=-20']) {
    const { status, head, body } = await client.ask('GET /f', `${SIGNED}range: ${range}\r\nif-range: "1"\r\n`);
    expect([status, body.toString()]).toEqual([200, BODY.replace('ada@example.com', '[redacted]')]);
    expect(head).not.toMatch(/range/i);
  }
  expect(service.seen.flatMap(({ headers }) => [headers.range, headers['if-range']])).toEqual(Array(8).fill(undefined));
});

test('a stretch that nobody asked for by its own header is refused under masks: two of them show what neither does', async () => {
  for (const [asked, type, masks] of [
    ['bytes=11-', 'text/plain', MAIL],
    ['bytes=0-18', 'text/plain', MAIL],
    ['bytes=0-9,11-', 'text/plain', MAIL],
    ['bytes=11-', 'image/png', MAIL],
    ['bytes=11-', 'application/json', PATHS],
  ] as const) {
    const { client } = await open(file(type, asked), masks);
    const refused = await client.ask('GET /f');
    expect([refused.status, (JSON.parse(refused.body.toString()) as { code: string }).code]).toEqual([
      502,
      'http.body_unmaskable',
    ]);
  }
});
