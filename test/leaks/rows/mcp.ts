/**
 * Values in what an MCP server says, and where they were hidden there. None may come to the client: not in an answer that is one
 * document, and not in events, whole or a byte at a time. Rows never leave.
 */
export const SSN = '078-05-1120';
const MAIL = 'ada.lovelace@example.com';
const base64 = (text: string): string => Buffer.from(text).toString('base64');

export const NEVER: readonly string[] = [SSN, '05-1120', MAIL, 'lovelace@', base64(SSN), base64(MAIL)];

export interface McpLeak {
  readonly name: string;
  /** `jsonrpc` is added. */
  readonly message: object;
  /** What must come, so that it is not empty for another reason. */
  readonly shows: string;
  /** Besides the values above. */
  readonly never?: readonly string[];
}

const PICTURE = Buffer.concat([
  Buffer.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0xff),
  Buffer.from(` ${MAIL} `),
]).toString('base64');
const PERSON = { people: [{ name: 'Ada', ssn: SSN }], note: `to ${MAIL}` };
const TEXT = JSON.stringify(PERSON);
const ok = (result: unknown): object => ({ id: 1, result });
const blob = (bytes: Buffer): object => ok({ contents: [{ uri: 'a:b', blob: bytes.toString('base64') }], end: 1 });

/** `people[].ssn` is masked by its path, e-mail addresses wherever they stand. */
export const MCP_LEAKS: readonly McpLeak[] = [
  { name: 'structured content', message: ok({ content: [], structuredContent: PERSON }), shows: 'Ada' },
  { name: 'a text that is JSON', message: ok({ content: [{ type: 'text', text: TEXT }] }), shows: 'Ada' },
  {
    name: 'a text that is JSON behind spaces',
    message: ok({ content: [{ type: 'text', text: `\n ${TEXT}` }] }),
    shows: 'Ada',
  },
  ...[
    `Here is the result: ${TEXT}`,
    `Two of [them] (see {here}):\n${TEXT}\n\nand\n\`\`\`json\n${JSON.stringify(PERSON, undefined, 2)}\n\`\`\` Ada.`,
    `["a" is no JSON; this is: ${TEXT}] Ada`,
    `Ada {note: 'x', people: [{"ssn": "${SSN}"}]}`,
    `Ada {people: [{ssn: '${SSN}'}]}`,
    `Ada ${TEXT.slice(0, TEXT.indexOf(SSN) + SSN.length)}`,
    `Ada ${TEXT.replace('"ssn"', '"s\\u0073n"')}`,
    `Ada ${TEXT.replace('"ssn"', '"s\\u0073n"').slice(0, -2)}`,
  ].map((text) => ({
    name: `JSON within a text: ${text}`,
    message: ok({ content: [{ type: 'text', text }], end: 'Ada' }),
    shows: 'Ada',
  })),
  { name: 'a text', message: ok({ content: [{ type: 'text', text: `Write to ${MAIL}, Ada` }] }), shows: 'Ada' },
  {
    name: 'a value over two items of content',
    message: ok({
      content: [
        { type: 'text', text: 'it is ada.lovelace@exam' },
        { type: 'text', text: 'ple.com' },
        { type: 'text', text: '; Ada' },
      ],
    }),
    shows: 'Ada',
    never: ['lovelace@exam', 'ple.com'],
  },
  {
    name: 'a value over the texts of a resource',
    message: ok({
      contents: [
        { uri: 'a:b', text: 'ada.lovelace@' },
        { uri: 'a:b', text: 'example.com' },
        { uri: 'a:c', text: '; Ada' },
      ],
    }),
    shows: 'Ada',
    never: ['lovelace', 'example.com'],
  },
  { name: 'a member of an item', message: ok({ content: [{ type: 'text', text: 'x', ...PERSON }] }), shows: 'Ada' },
  { name: 'a member beside the content', message: ok({ content: [], ...PERSON }), shows: 'Ada' },
  { name: 'a member of the server’s own beside it', message: ok({ content: [], answer: PERSON }), shows: 'Ada' },
  { name: 'a result of the server’s own', message: ok(PERSON), shows: 'Ada' },
  { name: 'a result’s _meta', message: ok({ content: [], _meta: PERSON }), shows: 'Ada' },
  { name: 'an error’s text', message: { id: 1, error: { code: -1, message: `no ${MAIL}, Ada` } }, shows: 'Ada' },
  { name: 'an error’s text that is JSON', message: { id: 1, error: { code: -1, message: TEXT } }, shows: 'Ada' },
  { name: 'an error’s data', message: { id: 1, error: { code: -1, message: 'no', data: PERSON } }, shows: 'Ada' },
  { name: 'an error’s data as text', message: { id: 1, error: { code: -1, message: 'no', data: TEXT } }, shows: 'Ada' },
  {
    name: 'a progress notification',
    message: { method: 'notifications/progress', params: { progressToken: 1, progress: 1, message: `${MAIL} Ada` } },
    shows: 'Ada',
  },
  {
    name: 'a progress notification that is JSON',
    message: { method: 'notifications/progress', params: { progressToken: 1, progress: 1, message: TEXT } },
    shows: 'Ada',
  },
  {
    name: 'a log message',
    message: { method: 'notifications/message', params: { level: 'info', data: PERSON } },
    shows: 'Ada',
  },
  {
    name: 'a log message that is JSON',
    message: { method: 'notifications/message', params: { data: TEXT } },
    shows: 'Ada',
  },
  { name: 'a notification of its own', message: { method: 'vendor/told', params: PERSON }, shows: 'Ada' },
  {
    name: 'a question to the client',
    message: {
      id: 7,
      method: 'sampling/createMessage',
      params: { messages: [{ role: 'user', content: { type: 'text', text: TEXT } }] },
    },
    shows: 'Ada',
  },
  {
    name: 'a prompt',
    message: ok({ messages: [{ role: 'user', content: { type: 'text', text: TEXT } }] }),
    shows: 'Ada',
  },
  { name: 'a resource’s text', message: ok({ contents: [{ uri: 'a:b', text: TEXT }] }), shows: 'Ada' },
  { name: 'a resource’s bytes', message: blob(Buffer.from(TEXT)), shows: '"end":1', never: [base64(TEXT)] },
  {
    name: 'a resource’s bytes that are no text',
    message: blob(Buffer.concat([Buffer.of(0xff, 0x00), Buffer.from(` ${MAIL} `), Buffer.of(0xff)])),
    shows: '"end":1',
  },
  ...[
    { mimeType: 'text/calendar', text: 'BEGIN:VEVENT\r\nSUMMARY:Ada, ada.lovela\r\n ce@example.com\r\nEND:VEVENT' },
    { mimeType: 'text/vcard; charset=utf-8', text: 'BEGIN:VCARD\nEMAIL:ada.lovelace@exam\n\tple.com\nEND:VCARD' },
    { mimeType: 'text/vcard', text: 'NOTE;ENCODING=QUOTED-PRINTABLE:ada.lovelace=40example.com' },
    { mimeType: 'text/vcard', text: `NOTE;VALUE=uri:data:text/plain;base64,${base64(MAIL)}` },
    { mimeType: 'message/rfc822', text: 'content-transfer-encoding: quoted-printable\n\nada.lovelace=40example.com' },
    { mimeType: 'application/rtf', text: "{\\rtf1 ada.lovelace\\'40example.com}" },
    { mimeType: 'application/yaml', text: `people:\n  - ssn: ${SSN}` },
    { mimeType: 'text/csv', text: `ssn\n${SSN}` },
    { mimeType: 'text/html', text: '<p>ada.lovelace&#64;example.com' },
    { mimeType: 'application/xml', text: '<p>ada.lovelace&#x40;example.com' },
    { mimeType: 'application/x-www-form-urlencoded', text: 'a=ada.lovelace%40example.com' },
    { mimeType: 'text/plain; charset=utf-7', text: 'ada.lovelace+AEA-example.com' },
  ].flatMap(({ mimeType, text }): readonly McpLeak[] =>
    Object.entries({
      'a resource': ok({ contents: [{ uri: 'a:b', mimeType, text }], end: 1 }),
      'a resource’s bytes': ok({ contents: [{ uri: 'a:b', mimeType, blob: base64(text) }], end: 1 }),
      'a resource within content': ok({
        content: [{ type: 'resource', resource: { text, uri: 'a:b', mimeType } }],
        end: 1,
      }),
    }).map(([name, message]) => ({
      name: `${name}: ${mimeType} that says ${text}`,
      message,
      shows: '"end":1',
      never: [
        'lovelace=40',
        'lovelace&',
        'lovelace+',
        'lovelace%40',
        'ce@exam',
        'lovelace@',
        "lovelace\\\\'40",
        base64(text),
      ],
    })),
  ),
  {
    name: 'a resource’s text that was read out of a document',
    message: ok({ contents: [{ uri: 'a:b', mimeType: 'application/pdf', text: `To ${MAIL}, Ada` }] }),
    shows: 'Ada',
  },
  {
    name: 'a resource’s text that says it is JSON, and is none',
    message: ok({ contents: [{ uri: 'a:b', mimeType: 'application/json', text: `To ${MAIL}, Ada` }] }),
    shows: 'Ada',
  },
  {
    name: 'a resource within content',
    message: ok({ content: [{ type: 'resource', resource: { uri: 'a:b', text: TEXT } }] }),
    shows: 'Ada',
  },
  {
    name: 'a link’s address',
    message: ok({ content: [{ type: 'resource_link', name: 'Ada', uri: `mailto:${MAIL}` }] }),
    shows: 'Ada',
  },
  { name: 'a completion', message: ok({ completion: { values: [MAIL, 'Ada'] } }), shows: 'Ada' },
  { name: 'an address as a key', message: ok({ structuredContent: { [MAIL]: 1, a: 'Ada' } }), shows: 'Ada' },
  ...['image', 'audio'].flatMap((type): readonly McpLeak[] => [
    {
      name: `${type}: a text that is called one`,
      message: ok({ content: [{ type, data: MAIL, mimeType: 'image/png' }], end: 1 }),
      shows: '"end":1',
    },
    {
      name: `${type}: a text in base64`,
      message: ok({ content: [{ type, data: base64(TEXT), mimeType: 'image/png' }], end: 1 }),
      shows: '"end":1',
      never: [base64(TEXT)],
    },
    {
      name: `${type}: one with a value in its bytes`,
      message: ok({ content: [{ type, data: PICTURE, mimeType: 'image/png' }], end: 1 }),
      shows: `[${type} withheld`,
      never: [PICTURE],
    },
    {
      name: `${type}: within a prompt`,
      message: ok({ messages: [{ role: 'user', content: { type, data: PICTURE, mimeType: 'image/png' } }], end: 1 }),
      shows: `[${type} withheld`,
      never: [PICTURE],
    },
  ]),
  {
    name: 'a resource’s bytes that are a picture',
    message: ok({ contents: [{ uri: 'a:b', mimeType: 'image/png', blob: PICTURE }], end: 1 }),
    shows: '"end":1',
    never: [PICTURE],
  },
  {
    name: 'a resource’s bytes that are no base64',
    message: ok({ contents: [{ uri: 'a:b', blob: MAIL }], end: 1 }),
    shows: '"end":1',
  },
];
