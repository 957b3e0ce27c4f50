/**
 * Values in answers of HTTP services, and how they were packed, cut or hidden there. None of them may reach the client or the
 * recording. Each is asked for in every coding, in one piece and a byte at a time.
 */

export const SSN = '078-05-1120';
const CARD = '4111111111111111';
const MAIL = 'ada.lovelace@example.com';

export interface BodyRow {
  readonly name: string;
  /** Of the answer; absent = none. */
  readonly type?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: string;
  /**
   * What must come, so that it is not empty for another reason; `refused` = 502, `cut` = an answer that is not whole,
   * `unreadable` = either.
   */
  readonly shows: string;
  /** Besides the values above. */
  readonly never?: readonly string[];
}

const OFFICE = 'application/vnd.openxmlformats-officedocument';
const MULTIPART = 'multipart/mixed; boundary=b';

export const NEVER: readonly string[] = [SSN, '05-1120', CARD, '41111111', MAIL, 'lovelace@', 'lovelace%40'];

const escaped = (text: string): string =>
  Array.from(text, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`).join('');

const references = (text: string): string => Array.from(text, (char) => `&#${char.charCodeAt(0)};`).join('');

const wide = (text: string): string => Array.from(text, (char) => `${char}\0`).join('');
/** `ada.lovelace@` as UTF-7 has it. */
const SEVEN = 'ada.lovelace+AEA-example.com';
const ENCODED_MAIL = Buffer.from(MAIL).toString('base64');

/** `ssn` is named by a path anywhere, `people[].secret` by another; cards and e-mail addresses are looked for. */
export const BODIES: readonly BodyRow[] = [
  { name: 'a member', type: 'application/json', body: `{"ssn":"${SSN}","end":1}`, shows: '"end":1' },
  {
    name: 'a member, its name escaped',
    type: 'application/json',
    body: `{"${escaped('ssn')}":"${SSN}","end":1}`,
    shows: '"end":1',
  },
  {
    name: 'an object at the path',
    type: 'application/json',
    body: `{"ssn":{"a":["}","${SSN}"]},"end":1}`,
    shows: '"end":1',
  },
  { name: 'a member twice', type: 'application/json', body: `{"ssn":"x","ssn":"${SSN}","end":1}`, shows: '"end":1' },
  {
    name: 'elements',
    type: 'application/json',
    body: `{"people":[{"secret":"${SSN}"},{"secret":["${SSN}"]}],"end":1}`,
    shows: '"end":1',
  },
  {
    name: 'a string beyond the bound',
    type: 'application/json',
    body: `{"ssn":"${SSN.repeat(7_000)}","end":1}`,
    shows: '"end":1',
  },
  {
    name: 'an address in a long string',
    type: 'application/json',
    body: `["${'x'.repeat(66_000)} ${MAIL} y","end"]`,
    shows: '"end"',
  },
  {
    name: 'an escaped address',
    type: 'application/json',
    body: `["${escaped(MAIL)}","${MAIL.replace('@', '\\u0040')}","end"]`,
    shows: '"end"',
  },
  { name: 'an address as a name', type: 'application/json', body: `{"${MAIL}":1,"end":1}`, shows: '"end":1' },
  {
    name: 'a card as a number',
    type: 'application/json',
    body: `[${CARD},4.111111111111111e15,"end"]`,
    shows: '"end"',
    never: ['4.111111111111111e15'],
  },
  {
    name: 'lines of JSON',
    type: 'application/x-ndjson',
    body: `{"ssn":"${SSN}"}\n{"n":${CARD}}\n{"end":1}\n`,
    shows: '"end":1',
  },
  { name: 'a byte order mark', type: 'application/json', body: `\u{feff}{"ssn":"${SSN}","end":1}`, shows: '"end":1' },
  {
    name: 'JSON that is none behind its middle',
    type: 'application/json',
    body: `{"a":1,,"ssn":"${SSN}"}`,
    shows: 'cut',
  },
  { name: 'JSON in single quotes', type: 'application/json', body: `{'ssn':'${SSN}'}`, shows: 'cut' },
  { name: 'JSON with padding', type: 'text/plain', body: `callback({"ssn":"${SSN}"})`, shows: 'cut' },
  { name: 'JSON as text', type: 'text/plain', body: `{"ssn":"${SSN}","end":1}`, shows: '"end":1' },
  { name: 'JSON without a type', body: `{"ssn":"${SSN}","end":1}`, shows: '"end":1' },
  {
    name: 'JSON as a download',
    type: 'application/octet-stream',
    body: ` \n{"ssn":"${SSN}","end":1}`,
    shows: '"end":1',
  },
  { name: 'JSON as HTML without markup', type: 'text/html', body: `to ${MAIL}, end`, shows: 'end' },
  {
    name: 'events',
    type: 'text/event-stream',
    body: `: ${MAIL}\nid: ${MAIL}\ndata: {"ssn":\ndata: "${SSN}"}\n\ndata: ${CARD} end\n\n`,
    shows: 'end',
  },
  {
    name: 'events behind a byte order mark',
    type: 'text/event-stream',
    body: `\u{feff}data: {"ssn":"${SSN}","end":1}\n\n`,
    shows: '"end":1',
  },
  {
    name: 'events that bring a text in pieces',
    type: 'text/event-stream',
    body: `${Array.from(`${MAIL} and ${CARD} end`, (content) => `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }] })}\n\n`).join('')}data: [DONE]\n\n`,
    shows: '[DONE]',
    never: ['"content":"@"', '"content":"4"'],
  },
  {
    name: 'lines of JSON that bring a text in pieces',
    type: 'application/x-ndjson',
    body: `${['ada.love', 'lace@example', '.com 41111111', '11111111 end'].map((content) => `${JSON.stringify({ choices: [{ delta: { content } }] })}\n`).join('')}{"done":true}\n`,
    shows: '"done":true',
    never: ['ada.love', '.com'],
  },
  {
    name: 'a value over lines of an event',
    type: 'text/event-stream',
    body: 'data: card 4111 1111\ndata: 1111 1111\n\ndata: end\n\n',
    shows: 'end',
    never: ['4111 1111', '1111 1111'],
  },
  { name: 'an event that is no JSON', type: 'text/event-stream', body: `data: {ssn:'${SSN}'}\n\n`, shows: 'cut' },
  {
    name: 'plain text',
    type: 'text/plain',
    body: `to ${MAIL} by 4111 1111 1111 1111 end`,
    shows: 'end',
    never: ['1111 1111'],
  },
  {
    name: 'character references in HTML',
    type: 'text/html',
    body: `<p>${references(MAIL)}, &#x34;&#49;11&#32;1111 &#49;&#x31;11 1&#000049;1&#49 <a href="mailto:${MAIL.replace('@', '&commat;').replace('.com', '&period;com')}">&lt;end&gt;</a>`,
    shows: '&lt;end&gt;',
    never: [references(MAIL), references(MAIL).slice(-30), 'lovelace&commat;', '1111 '],
  },
  {
    name: 'character references in a part',
    type: 'multipart/mixed; boundary=b',
    body: `--b\r\ncontent-type: text/html\r\n\r\n${MAIL.replace('@', '&#x00040;')}&amp;end\r\n--b--\r\n`,
    shows: '&amp;end',
    never: ['lovelace&#x'],
  },
  { name: 'XML', type: 'application/xml', body: `<ssn>${SSN}</ssn>`, shows: 'refused' },
  { name: 'CSV', type: 'text/csv', body: `ssn\n${SSN}\n`, shows: 'refused' },
  { name: 'a form', type: 'application/x-www-form-urlencoded', body: `ssn=${SSN}`, shows: 'refused' },
  {
    name: 'a form in parts',
    type: 'multipart/form-data; boundary=b',
    body: `--b\r\nContent-Disposition: form-data; name="ssn"\r\n\r\n${SSN}\r\n--b--\r\n`,
    shows: 'refused',
  },
  {
    name: 'a form in parts in a part',
    type: MULTIPART,
    body: `--b\r\nContent-Type: multipart/form-data; boundary=c\r\n\r\n--c\r\nContent-Disposition: form-data; name="ssn"\r\n\r\n${SSN}\r\n--c--\r\n--b--\r\n`,
    shows: 'cut',
  },
  { name: 'packed values', type: 'application/x-protobuf', body: SSN, shows: 'refused' },
  // Forms that nobody reads here, by whatever they are called or by nothing.
  ...['application/octet-stream', 'application/x-own', 'text/plain', undefined].flatMap((type): BodyRow[] =>
    [
      { how: 'protobuf', body: `\n\u000b${SSN}` },
      { how: 'BSON', body: `\u001a\0\0\0\u0002ssn\0\u000c\0\0\0${SSN}\0\0` },
    ].map(({ how, body }) => ({
      name: `packed values (${how}) as ${type ?? 'nothing'}`,
      ...(type === undefined ? {} : { type }),
      body,
      shows: 'cut',
    })),
  ),
  ...['application/x-bson', 'application/cbor-seq', 'application/x-plist', 'application/vnd.apache.orc'].map(
    (type): BodyRow => ({ name: `packed values: ${type}`, type, body: `ssn ${SSN}`, shows: 'refused' }),
  ),
  {
    name: 'packed values: Smile',
    type: 'application/smile',
    body: `:)\n\u0001\u00fa\u0082num\u004f${CARD}\u00fb`,
    shows: 'refused',
  },
  ...[
    'text/x-csv',
    'text/comma-separated-values',
    'text/tsv',
    'application/x-csv',
    'application/vnd.yaml',
    'text/x-toml',
    'text/x-java-properties',
  ].map((type): BodyRow => ({ name: `a table: ${type}`, type, body: `ssn\n${SSN}\n`, shows: 'refused' })),
  ...['application/vnd.ms-excel', 'application/msexcel'].flatMap((type): BodyRow[] => [
    { name: `a table: ${type}`, type, body: `ssn\n${SSN}\n`, shows: 'unreadable' },
    {
      name: `a table in HTML: ${type}`,
      type,
      body: `<table><th>ssn<tr><td>${SSN}${' '.repeat(600)}</table>`,
      shows: 'unreadable',
    },
  ]),
  { name: 'UTF-7', type: 'application/json; charset=utf-7', body: `{"ssn":"${SSN}"}`, shows: 'refused' },
  {
    name: 'two codings',
    type: 'application/json',
    headers: { 'content-encoding': 'gzip, br' },
    body: SSN,
    shows: 'refused',
  },
  {
    name: 'a stretch',
    type: 'application/json',
    headers: { ':status': '206', 'content-range': 'bytes 2-9/99' },
    body: `"${SSN}"`,
    shows: 'refused',
  },
  {
    name: 'parts',
    type: 'multipart/mixed; boundary=b',
    body: `--b\r\n\r\n${MAIL}\r\n--b\r\ncontent-type: application/json\r\n\r\n{"ssn":"${SSN}","end":1}\r\n--b--\r\n`,
    shows: '"end":1',
  },
  {
    name: 'a part whose head ends in two ways of ending a line',
    type: MULTIPART,
    body: `--b\r\ncontent-type: text/plain\n\r\n{"ssn":"${SSN}","end":1}\r\n\r\n--b--\r\n`,
    shows: '"end":1',
  },
  ...['boundary=a; boundary=b', 'x="; boundary=a"; boundary=b', "boundary=b; boundary*=us-ascii''a"].map(
    (parameters): BodyRow => ({
      name: `parts between one of two borders: ${parameters}`,
      type: `multipart/mixed; ${parameters}`,
      body: `--a\r\ncontent-type: application/json\r\n\r\n{"ssn":"${SSN}"}\r\n--a--\r\n`,
      shows: 'refused',
    }),
  ),
  {
    name: 'a part nobody reads',
    type: 'multipart/mixed; boundary=b',
    body: `--b\r\ncontent-type: text/csv\r\n\r\n${SSN}\r\n--b--`,
    shows: 'cut',
  },
  {
    name: 'a header',
    type: 'text/plain',
    headers: { 'x-owner': MAIL, location: `/u/${encodeURIComponent(MAIL)}`, 'x-ssn': SSN },
    body: 'end',
    shows: 'end',
  },
  // A service that can be asked to say another type (`response-content-type`, `callback=`), or that says none of its own.
  { name: 'JSON as HTML', type: 'text/html', body: `\n{"ssn":"${SSN}","end":1}`, shows: '"end":1' },
  { name: 'JSON as HTML behind a guard', type: 'text/html', body: `)]}',\n{"ssn":"${SSN}"}`, shows: 'cut' },
  { name: 'JSON as HTML behind a byte order mark', type: 'text/html', body: `\u{feff}{"ssn":"${SSN}"}`, shows: '' },
  {
    name: 'character references in HTML that begins with words',
    type: 'text/html',
    body: `to ${MAIL.replace('@', '&#x00040;')}&amp;end`,
    shows: '&amp;end',
    never: ['lovelace&#x'],
  },
  { name: 'JSON as a stylesheet', type: 'text/css', body: `{"ssn":"${SSN}","end":1}`, shows: '"end":1' },
  { name: 'JSON as a drawing', type: 'image/svg+xml', body: `{"ssn":"${SSN}","end":1}`, shows: '"end":1' },
  { name: 'JSON as a text of its own kind', type: 'text/x-own', body: `{"ssn":"${SSN}","end":1}`, shows: '"end":1' },
  { name: 'JSON as a script', type: 'application/javascript', body: `{"ssn":"${SSN}","end":1}`, shows: '"end":1' },
  {
    name: 'JSON with padding as a script',
    type: 'text/javascript; charset=utf-8',
    body: `/**/ typeof cb === 'function' && cb({"ssn":"${SSN}"});`,
    shows: 'cut',
  },
  { name: 'JSON as a picture', type: 'image/png', body: `{"ssn":"${SSN}","end":1}`, shows: '"end":1' },
  { name: 'JSON as an archive', type: 'application/zip', body: `[{"ssn":"${SSN}"},"end"]`, shows: 'refused' },
  { name: 'a text as sound', type: 'audio/mpeg', body: `to ${MAIL}, end`, shows: 'end' },
  { name: 'a text as PDF', type: 'application/pdf', body: `to ${MAIL}, end`, shows: 'refused' },
  ...[
    { name: 'a zip', type: 'application/zip', body: `PK\u0003\u0004 ${MAIL}` },
    { name: 'a zip as a picture', type: 'image/png', body: `PK\u0003\u0004 ${MAIL}` },
    { name: 'a zip without a type', body: `PK\u0003\u0004 ${MAIL}` },
    { name: 'a zip as a table', type: 'text/csv', body: `PK\u0003\u0004 ${MAIL}` },
    { name: 'a zip as events', type: 'text/event-stream', body: `PK\u0003\u0004 ${MAIL}` },
    { name: 'a zip in a part', type: MULTIPART, body: `--b\r\n\r\nPK\u0003\u0004 ${MAIL}\r\n--b--\r\n` },
    { name: 'a sheet of an office', type: `${OFFICE}.spreadsheetml.sheet`, body: `PK\u0003\u0004 ${MAIL}` },
    { name: 'a letter of an office', type: 'application/msword', body: `\u0000\u0001 ${MAIL}` },
    { name: 'a PDF', type: 'application/pdf', body: `%PDF-1.7 (${MAIL})` },
    { name: 'a PDF as octets', type: 'application/octet-stream', body: `%PDF-1.7 (${MAIL})` },
    ...[
      'content-transfer-encoding: 8bit\r\nContent-Transfer-Encoding: base64\r\n\r\n',
      'content-transfer-encoding : base64\r\n\r\n',
      'x: y\rcontent-transfer-encoding: base64\r\r',
    ].map((head) => ({
      name: `a part whose head may be read in another way: ${JSON.stringify(head)}`,
      type: MULTIPART,
      body: `--b\r\n${head}${ENCODED_MAIL}\r\n\r\n\r\n--b--\r\n`,
      never: [ENCODED_MAIL],
    })),
    { name: 'a mail', type: 'message/rfc822', body: `content-type: text/plain\r\n\r\nto ${MAIL}` },
    {
      name: 'a mail in a part',
      type: MULTIPART,
      body: `--b\r\ncontent-type: message/rfc822\r\n\r\n\r\nada.lovelace=40example.com\r\n--b--\r\n`,
      never: ['lovelace=40'],
    },
    { name: 'rich text', type: 'text/rtf', body: "{\\rtf1 ada.lovelace\\'40example.com}", never: ['lovelace\\'] },
    { name: 'rich text without a type', body: "{\\rtf1 ada.lovelace\\'40example.com}", never: ['lovelace\\'] },
    {
      name: 'rich text as a table',
      type: 'text/csv',
      body: "{\\rtf1 ada.lovelace\\'40example.com}",
      never: ['lovelace\\'],
    },
    ...['ENCODING=QUOTED-PRINTABLE', 'QUOTED-PRINTABLE', 'CHARSET=UTF-8;ENCO\r\n DING=Quoted-Printable;X=y'].map(
      (how) => ({
        name: `a card, a note of it encoded: ${how}`,
        type: 'text/vcard',
        body: `BEGIN:VCARD\r\nNOTE;${how}:ada.lovelace=40example.com\r\nEND:VCARD\r\n`,
        never: ['lovelace=40'],
      }),
    ),
    {
      name: 'a calendar with a file in it',
      type: 'text/calendar',
      body: `BEGIN:VEVENT\nATTACH;ENCODING=BASE64;VALUE=BINARY:${Buffer.from(MAIL).toString('base64')}\nEND:VEVENT\n`,
      never: [Buffer.from(MAIL).toString('base64')],
    },
    ...[
      `NOTE;VALUE=uri:data:text/plain;base64,${ENCODED_MAIL}`,
      `KEY:data:application/pgp-keys;base64,${ENCODED_MAIL}`,
      `PHOTO:data:image/jpeg\\;base64\\,${ENCODED_MAIL}`,
      `NOTE;VALUE=uri:data:;base64,${ENCODED_MAIL}`,
      `NOTE;VALUE="uri":DA\r\n TA:text/plain;bas\r\n e64\r\n ,${ENCODED_MAIL}`,
      'NOTE;VALUE=uri:data:,ada.lovelace%40example.com',
    ].map((line) => ({
      name: `a card with data in it: ${line}`,
      type: 'text/vcard',
      body: `BEGIN:VCARD\r\nVERSION:4.0\r\n${line}\r\nEND:VCARD\r\n`,
      never: [ENCODED_MAIL],
    })),
    { name: 'a card in UTF-16', type: 'text/vcard', body: Array.from(`NOTE:${MAIL}`, (char) => `${char}\0`).join('') },
    { name: 'an archive of files', type: 'application/x-tar', body: `notes\0\0\0 ${MAIL}` },
  ].map((row): BodyRow => ({ ...row, shows: 'unreadable' })),
  ...[
    'text/calendar; charset=utf-7',
    'text/plain; charset=utf-8; charset=utf-7',
    'text/plain; charset=utf-7; charset=utf-8',
    'text/plain; x="; charset=utf-7; y="',
    "text/plain; charset*=us-ascii''utf-7",
    'text/html; charset=ISO-2022-JP',
    'text/html; charset=utf-16',
    'text/plain; charset=UTF-16LE',
    'text/plain; charset=utf-32',
    'text/vcard; charset=shift_jis',
    'text/plain; charset=cp037',
    'text/event-stream; charset=utf-7',
  ].map((type): BodyRow => ({ name: `text in ${type}`, type, body: SEVEN, shows: 'refused', never: [SEVEN] })),
  ...[
    { type: 'text/html', body: `<!doctype html><META charset = 'utf-7'><p>${SEVEN}` },
    { type: 'text/html', body: `<meta http-equiv=content-type content="text/html; charset=iso-2022-jp"><p>${SEVEN}` },
    { type: 'text/html', body: `\n<head><meta name=a charset="x-user-defined"><p>${SEVEN}` },
    { type: 'image/svg+xml', body: `<?xml version="1.0" encoding="UTF-7"?><svg>${SEVEN}</svg>` },
    { type: 'text/html', body: wide(`<p>${references(MAIL)}</p>`) },
    { type: 'text/plain', body: wide(`to ${MAIL}`) },
    { type: 'text/calendar', body: `\u0000${wide(`to ${MAIL}`)}` },
    { type: MULTIPART, body: `--b\r\ncontent-type: text/html; charset=utf-7\r\n\r\n${SEVEN}\r\n--b--\r\n` },
    { type: MULTIPART, body: `--b\r\ncontent-type: text/plain\r\n\r\n${wide(SEVEN)}\r\n--b--\r\n` },
  ].map(
    (row): BodyRow => ({
      ...row,
      name: `a text that says what it is written in: ${row.body.replaceAll('\0', '').slice(0, 50)}`,
      shows: 'unreadable',
      never: [SEVEN, wide(SEVEN), wide(MAIL), 'd\0a\0.'],
    }),
  ),
  {
    name: 'a text that says it is in UTF-8',
    type: 'text/html; charset="utf-8"',
    body: `<meta charset=utf-8><META content="text/html;charset=UTF-8"><p>charset=utf-7, to ${MAIL}, end`,
    shows: 'end',
  },
  {
    name: 'a card that speaks of data',
    type: 'text/vcard',
    body: `NOTE:all our data: more and base64, too, to ${MAIL}\r\nURL:https://example.com/data,1\r\nend`,
    shows: 'end',
  },
  ...['\r\n ', '\n\t', '\r\n \r\n ', '\r '].flatMap((fold) =>
    ['text/calendar; charset=utf-8', 'text/x-vcard'].map(
      (type): BodyRow => ({
        name: `${type}: lines folded by ${JSON.stringify(fold)}`,
        type,
        body: `BEGIN:X\r\nNOTE:to ada.lovela${fold}ce@exam${fold}ple.com, ${CARD.slice(0, 7)}${fold}${CARD.slice(7)}\r\nEND:X\r\nend`,
        shows: 'end',
        never: ['ce@exam', 'ple.com', CARD.slice(7)],
      }),
    ),
  ),
  {
    name: 'headers of the protocol',
    type: `application/json; charset=utf-8; name="${MAIL}"; file=lovelace%40example.com`,
    headers: {
      allow: `GET, ${MAIL}`,
      'alt-svc': `h2="${MAIL}"`,
      'cache-control': `no-store, of="${MAIL}"`,
      'retry-after': CARD,
      vary: MAIL,
    },
    body: '{"end":1}',
    shows: '"end":1',
  },
  { name: 'a picture', type: 'image/png', body: '\u0089PNG\r\n\u001a\n\0\0\0\rend', shows: 'end' },
  {
    name: 'JSON as a picture in a part',
    type: 'multipart/mixed; boundary=b',
    body: `--b\r\ncontent-type: image/png\r\n\r\n{"ssn":"${SSN}","end":1}\r\n--b--\r\n`,
    shows: '"end":1',
  },
  {
    name: 'JSON as HTML in a part',
    type: 'multipart/mixed; boundary=b',
    body: `--b\r\ncontent-type: text/html\r\n\r\n{"ssn":"${SSN}","end":1}\r\n--b--\r\n`,
    shows: '"end":1',
  },
  ...['id: ', 'event:', ': ', 'foo: ', '', 'Data: ', 'data : ', '\u{feff}\u{feff}data: '].map((field) => ({
    name: `JSON in an event's ${JSON.stringify(field)}`,
    type: 'text/event-stream',
    body: `${field}{"ssn":"${SSN}"}\ndata: end\n\n`,
    shows: 'data: end',
  })),
  { name: 'JSON of gRPC', type: 'application/grpc+json', body: `\0\0\0\0\x1b{"ssn":"${SSN}"}`, shows: 'refused' },
  {
    name: 'gRPC for browsers',
    type: 'application/grpc-web-text+proto',
    body: Buffer.from(`\0\0\0\0\x0d\n\x0b${SSN}`).toString('base64'),
    shows: 'refused',
    never: [Buffer.from(SSN).toString('base64').slice(4, 12)],
  },
  {
    name: 'a header in base64, as gRPC has them',
    type: 'text/plain',
    headers: {
      'x-owner-bin': Buffer.from(MAIL).toString('base64'),
      'grpc-status-details-bin': `AAAA,${Buffer.from(`\x08\x05\x12\x18${MAIL}`).toString('base64url')}`,
    },
    body: 'end',
    shows: 'end',
    never: [
      Buffer.from(MAIL).toString('base64').slice(0, 20),
      Buffer.from(`\x08\x05\x12\x18${MAIL}`).toString('base64url').slice(0, 20),
    ],
  },
  {
    name: 'digests of the whole',
    type: 'application/json',
    headers: {
      etag: 'W/"1f-the-digest-of-it"',
      'x-ms-blob-content-md5': 'the-digest-of-it',
      'x-amz-checksum-crc64nvme': 'the-digest-of-it',
      'x-checksum-sha256': 'the-digest-of-it',
    },
    body: `{"ssn":"${SSN}","end":1}`,
    shows: '"end":1',
    never: ['the-digest-of-it'],
  },
];
