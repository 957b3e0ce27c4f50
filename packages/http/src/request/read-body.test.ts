import { gzipSync } from 'node:zlib';
import { type Header, type ReadBody, readGraphqlQuery, readRequestBody } from '@sallyport/http';
import { describe, expect, test } from 'vitest';

const read = (
  type: string,
  body: string | Uint8Array,
  more: { graphql?: boolean; query?: string; headers?: readonly Header[] } = {},
): ReadBody =>
  readRequestBody(
    [...(type === '' ? [] : [['content-type', type] as const]), ...(more.headers ?? [])],
    Buffer.from(body),
    {
      graphql: more.graphql === true,
      query: more.query ?? '',
    },
  );
const paths = ({ facts }: ReadBody): unknown =>
  facts.read ? facts.fields.map((field) => [field.path, field.value, field.number, field.kind]) : 'unread';

const PART = (disposition: string, content: string): string =>
  `--b\r\nContent-Disposition: form-data; ${disposition}\r\n\r\n${content}\r\n`;
/** @param parts disposition, content, disposition, content … */
const PARTS = (...parts: readonly string[]): string =>
  `${parts.map((part, i) => (i % 2 === 1 ? '' : PART(part, parts[i + 1] ?? ''))).join('')}--b--\r\n`;

test('every value of a JSON body has a path, and numbers stand as they are written', () => {
  expect(
    paths(
      read('application/json', '{"a":{"b":[1.50,"2"]},"x y":true,"n":null,"big":12345678901234567890,"e":{},"l":[]}'),
    ),
  ).toEqual([
    ['a.b[0]', '1.50', 1.5, 'number'],
    ['a.b[1]', '2', 2, 'string'],
    ['"x y"', 'true', 0, 'bool'],
    ['n', '', 0, 'null'],
    ['big', '12345678901234567890', 12345678901234567000, 'number'],
    ['e', '', 0, 'object'],
    ['l', '', 0, 'array'],
  ]);
  expect(paths(read('application/json', '{"__proto__":{"a":1},"\\u0061":"\\u0040"}'))).toEqual([
    ['__proto__.a', '1', 1, 'number'],
    ['a', '@', 0, 'string'],
  ]);
});

describe('what the service could read otherwise is unread', () => {
  test.each([
    ['a key twice', 'application/json', '{"a":1,"a":2}'],
    ['a key twice, escaped', 'application/json', '{"a":1,"\\u0061":2}'],
    ['a key twice but for its case', 'application/json', '{"amount":1,"Amount":2}'],
    ['a comment', 'application/json', '{"a":1/**/}'],
    ['two documents', 'application/json', '{"a":1}{"a":2}'],
    ['a comma too many', 'application/json', '[1,]'],
    ['a leading zero', 'application/json', '[01]'],
    ['NaN', 'application/json', '[NaN]'],
    ['a raw control character', 'application/json', '["\u0001"]'],
    ['a byte order mark', 'application/json', '\u{feff}{}'],
    ['too deep', 'application/json', `${'['.repeat(70)}1${']'.repeat(70)}`],
    ['too many values', 'application/json', `[${'1,'.repeat(5_000)}1]`],
    ['no JSON', 'application/json', 'a=1'],
    ['JSON that says it is a form', 'application/x-www-form-urlencoded', '{"a":1}'],
    ['broken JSON as text', 'text/plain', '{"a":1,"a":2}'],
    ['UTF-16', 'application/json; charset=utf-16', '{}'],
    ['a coding nobody knows', 'application/json', '{}', [['content-encoding', 'compress']]],
    ['two types', 'application/json', '{}', [['content-type', 'text/plain']]],
    ['a form of no parts', 'multipart/form-data; boundary=b', '--b--'],
    ['parts of no form', 'multipart/mixed; boundary=b', PARTS('name="a"', '1')],
    ['packed values', 'application/x-protobuf', 'x'],
  ] as readonly [string, string, string, (readonly Header[])?][])('%s', (_name, type, body, headers = []) => {
    expect(read(type, body, { headers }).facts).toEqual({ read: false });
  });
  test('no UTF-8', () => {
    expect(read('application/json', Buffer.from('["\xc1\x80"]', 'latin1')).facts.read).toBe(false);
  });
});

describe('a form in parts', () => {
  const FORM = 'multipart/form-data; boundary=b';
  test('its parts are fields, and a file is its content, its name and its size', () => {
    const body = `${PART('name="amount"', '1500')}${PART('name="x y"', '')}${PART(
      'name="doc"; filename="a.txt"\r\nContent-Type: text/plain',
      '2000',
    )}${PART('name="meta"; filename="blob"\r\nContent-Type: application/json', '{"a":[1]}')}--b--\r\n`;
    const form = read(FORM, body);
    expect(paths(form)).toEqual([
      ['amount', '1500', 1500, 'string'],
      ['"x y"', '', 0, 'string'],
      ['doc', '2000', 2000, 'string'],
      ['doc.filename', 'a.txt', 0, 'string'],
      ['doc.size', '4', 4, 'number'],
      ['meta', '{"a":[1]}', 0, 'string'],
      ['meta.filename', 'blob', 0, 'string'],
      ['meta.size', '9', 9, 'number'],
      ['meta.a[0]', '1', 1, 'number'],
    ]);
    expect(form).toMatchObject({ facts: { duplicateKeys: false, text: body }, text: body });
    expect(paths(read('multipart/form-data; boundary="-=b"', body.replaceAll('--b', '---=b')))).toHaveLength(9);
    expect(read(FORM, PARTS('name="a"', '1', 'name="a"', '2')).facts).toMatchObject({ duplicateKeys: true });
  });
  test('a file that is no text is shown by its size', () => {
    const sent = Buffer.from(PARTS('name="a"', '1', 'name="doc"; filename="x.png"', '\xff\xd8'), 'latin1');
    const form = read(FORM, sent);
    expect(form.text).toContain('\r\n\r\n[2 bytes]\r\n--b--');
    expect(paths(form)).toContainEqual(['doc.size', '2', 2, 'number']);
  });
  test.each([
    ['text before it', `x\r\n${PARTS('name="a"', '1')}`],
    ['a line end before it', `\r\n${PARTS('name="a"', '1')}`],
    ['text behind it', `${PARTS('name="a"', '1')}${PARTS('name="b"', '2')}`],
    ['no end', PART('name="a"', '1')],
    ['line ends without CR', PARTS('name="a"', '1').replaceAll('\r', '')],
    ['a delimiter behind LF', PARTS('name="a"', '1\n--b\nx')],
    ['a delimiter in the middle of a line', PARTS('name="a"', '1--b2')],
    ['blanks behind a delimiter', PARTS('name="a"', '1').replace('--b', '--b ')],
    ['a longer delimiter', PARTS('name="a"', '1\r\n--bb\r\nx')],
    ['no name', PARTS('filename="a"', '1')],
    ['an empty name', PARTS('name=""', '1')],
    ['a name without quotes', PARTS('name=a', '1')],
    ['a name twice', PARTS('name="a"; name="b"', '1')],
    ['a name in another alphabet', PARTS("name*=utf-8''a", '1')],
    ['an escape in a name', PARTS('name="a\\"b"', '1')],
    ['a name with a browser’s escape', PARTS('name="a%22b"', '1')],
    ['a name inside a file’s', PARTS('name="a"; filename="; name=b"', '1')],
    ['a file’s name twice', PARTS('name="a"; filename="x"; filename*=utf-8\'\'y', '1')],
    ['a file without a name', PARTS('name="a"; filename=""', '1')],
    ['a disposition twice', PARTS('name="a"\r\nContent-Disposition: form-data; name="b"', '1')],
    ['a disposition inside another field', PARTS('name="a"\r\nX-Content-Disposition: form-data; name="b"', '1')],
    ['a folded line', PARTS('name="a"\r\n ; name="b"', '1')],
    ['a line that ends with CR', PARTS('name="a"\rContent-Type: text/plain', '1')],
    ['another field', PARTS('name="a"\r\nX-Y: 1', '1')],
    ['a blank before the colon', PARTS('name="a"', '1').replace('Disposition:', 'Disposition :')],
    ['base64', PARTS('name="a"\r\nContent-Transfer-Encoding: base64', 'MQ==')],
    ['another length', PARTS('name="a"\r\nContent-Length: 1', '12')],
    ['another charset', PARTS('name="a"\r\nContent-Type: text/plain; charset=utf-16', '1')],
    ['a charset of the form’s own', PARTS('name="_charset_"', 'utf-7', 'name="a"', '1')],
    ['parts in a part', PARTS('name="a"\r\nContent-Type: multipart/mixed; boundary=c', '--c--')],
    ['JSON with a key twice in a part', PARTS('name="a"\r\nContent-Type: application/json', '{"a":1,"a":2}')],
  ])('%s is unread', (_name, body) => {
    expect(read(FORM, body).facts).toEqual({ read: false });
  });
  test.each([
    'multipart/form-data',
    'multipart/form-data; boundary=',
    'multipart/form-data; boundary=b,c',
    'multipart/form-data; boundary=b c',
    'multipart/form-data; boundary="b\\"',
    'multipart/form-data; boundary=b; boundary=b',
    'multipart/form-data; x="; boundary=c"; boundary=b',
    "multipart/form-data; boundary*=utf-8''b",
    'multipart/form-data; boundary=b; charset=utf-16',
  ])('%s says no boundary that all take alike', (type) => {
    expect(read(type, PARTS('name="a"', '1')).facts).toEqual({ read: false });
  });
  test('where GraphQL is spoken it is unread', () => {
    expect(read(FORM, PARTS('name="query"', '{ a }'), { graphql: true })).toMatchObject({
      facts: { read: false },
      renames: true,
    });
  });
});

test('forms, texts and JSON without its type are read', () => {
  const form = read('application/x-www-form-urlencoded', 'a=1&b+c=%40&a=2&d');
  expect(paths(form)).toEqual([
    ['a', '1', 1, 'string'],
    ['"b c"', '@', 0, 'string'],
    ['a', '2', 2, 'string'],
    ['d', '', 0, 'string'],
  ]);
  expect(form.facts).toMatchObject({ duplicateKeys: true });
  expect(read('text/plain', 'hello').facts).toMatchObject({ read: true, text: 'hello', fields: [] });
  expect(paths(read('', ' {"a":1}'))).toEqual([['a', '1', 1, 'number']]);
  expect(paths(read('application/json', gzipSync('{"a":1}'), { headers: [['content-encoding', 'gzip']] }))).toEqual([
    ['a', '1', 1, 'number'],
  ]);
});

describe('GraphQL', () => {
  const graphql = (body: unknown): ReadBody => read('application/json', JSON.stringify(body), { graphql: true });
  const says = ({ facts }: ReadBody): unknown =>
    facts.read ? [facts.graphqlKind, facts.graphqlName, facts.graphqlFields] : 'unread';

  test('the kind, the name and the fields at the root, through fragments and aliases', () => {
    expect(
      says(
        graphql({
          query: 'query Q { me { id } ...F ... on Query { x: orders { id } } } fragment F on Query { users { id } }',
        }),
      ),
    ).toEqual(['query', 'Q', ['me', 'users', 'orders']]);
    expect(says(graphql({ query: '{ a } ' }))).toEqual(['query', '', ['a']]);
    expect(says(graphql({ query: 'mutation M { pay } query Q { me }', operationName: 'M' }))).toEqual([
      'mutation',
      'M',
      ['pay'],
    ]);
    expect(says(graphql([{ query: '{ a }' }, { query: 'mutation { b }' }]))).toEqual(['mutation', '', ['a', 'b']]);
    expect(says(read('application/graphql', 'subscription { a }', { graphql: true }))).toEqual([
      'subscription',
      '',
      ['a'],
    ]);
    expect(says(readGraphqlQuery('query=%7B%20a%20%7D'))).toEqual(['query', '', ['a']]);
  });
  test('an alias is told, since no path can follow it', () => {
    expect(graphql({ query: '{ me { x: ssn } }' }).renames).toBe(true);
    expect(graphql({ query: '{ me { ssn: ssn } }' }).renames).toBe(false);
  });
  test.each([
    ['a persisted query', { extensions: { persistedQuery: { sha256Hash: 'x' } } }],
    ['several operations and none named', { query: 'query A { a } mutation B { b }' }],
    ['an operation that is not there', { query: 'query A { a }', operationName: 'B' }],
    ['two of one name', { query: 'query A { a } mutation A { b }', operationName: 'A' }],
    ['a fragment that is not there', { query: '{ ...F }' }],
    ['no GraphQL', { query: '{ a' }],
    ['a schema', { query: 'type A { b: C } query Q { a }' }],
    ['too long', { query: `{ ${'a '.repeat(20_000)} }` }],
    ['an empty batch', []],
    ['no request', ['x']],
  ])('%s is unread', (_name, body) => {
    expect(says(graphql(body))).toBe('unread');
  });
  test('what the URL says as well is unread', () => {
    expect(
      read('application/json', '{"query":"{ a }"}', { graphql: true, query: 'query=mutation{b}' }).facts.read,
    ).toBe(false);
    expect(readGraphqlQuery('query={a}&query={b}').facts.read).toBe(false);
  });
});
