/**
 * Ways a request got past a rule, or could have, against `policies/http-baseline.yaml`, and two rules over a path and an amount.
 * Each row is what goes over the wire and what a person would see; `refused` = it is no request to the gateway. Rows never leave.
 */
import { hash } from 'node:crypto';

export interface RequestRow {
  /** `POST /v1/x`, then headers; `\n\n` and the body. Host and length are added. */
  readonly request: string;
  /** By somebody who may only read. */
  readonly reader?: true;
  readonly expect: 'allow' | 'hold' | 'deny' | 'refused';
}

const JSON_TYPE = 'content-type: application/json';
const FORM = 'content-type: application/x-www-form-urlencoded';
const persisted = (sha256Hash: string): string =>
  `"extensions":${JSON.stringify({ persistedQuery: { version: 1, sha256Hash } })}`;
const PARTS = 'content-type: multipart/form-data; boundary=x';
const part = (disposition: string, content: string): string =>
  `--x\r\nContent-Disposition: form-data; ${disposition}\r\n\r\n${content}\r\n`;
const payout = (body: string, type = JSON_TYPE): string => `POST /v1/payouts\n${type}\n\n${body}`;

export const HTTP_REQUESTS: Readonly<Record<string, readonly RequestRow[]>> = {
  'a method inside a request': [
    { request: 'POST /v1/customers/42\nX-HTTP-Method-Override: DELETE', expect: 'refused' },
    { request: 'POST /v1/customers/42\nX-Method-Override: DELETE', expect: 'refused' },
    { request: 'POST /v1/customers/42\nX_HTTP_Method_Override: DELETE', expect: 'refused' },
    { request: 'POST /v1/customers/42\nX-HTTP_Method-Override: DELETE', expect: 'refused' },
    { request: 'POST /v1/customers/42?_method=DELETE', expect: 'deny' },
    { request: 'POST /v1/customers/42?%5Fmethod=DELETE', expect: 'deny' },
    { request: 'POST /v1/customers/42?a=1&_method=DELETE', expect: 'deny' },
    // PHP makes `_method` of each.
    ...['.method', '%20_method', '+.method', '%5bmethod', '_method%00x'].flatMap((name): RequestRow[] => [
      { request: `POST /v1/customers/42?${name}=DELETE`, expect: 'deny' },
      { request: `POST /v1/customers/42\n${FORM}\n\n${name}=DELETE`, expect: 'deny' },
    ]),
    { request: 'POST /v1/customers/42?a.method=x&my_method.x=y', expect: 'allow' },
    { request: `POST /v1/customers/42\n${FORM}\n\na.method=x&my_method.x=y`, expect: 'allow' },
    { request: `POST /v1/customers/42\n${FORM}\n\n_method=DELETE`, expect: 'deny' },
    { request: `POST /v1/customers/42\n${FORM}\n\na=1&%5Fmethod=DELETE`, expect: 'deny' },
    { request: `POST /v1/customers/42\n${FORM}\n\n{"_method":"DELETE"}`, expect: 'deny' },
    { request: `POST /v1/customers/42\n${FORM}\n\na=1;_method=DELETE`, expect: 'deny' },
    { request: `POST /v1/customers/42\n${FORM}\n\na=1%3b_method%3dDELETE`, expect: 'allow' },
    { request: 'POST /v1/customers/42?a=1;_method=DELETE', expect: 'deny' },
    { request: `POST /v1/customers/42\ncontent-type: multipart/form-data; boundary=x\n\n--x--`, expect: 'deny' },
    { request: `POST /v1/customers/42\n${PARTS}\n\n${part('name="_method"', 'DELETE')}--x--`, expect: 'deny' },
    { request: `POST /v1/customers/42\n${PARTS}\n\n${part('name="_METHOD"; filename="a"', 'x')}--x--`, expect: 'deny' },
    { request: `POST /v1/customers/42\n${PARTS}\n\n${part('name="note"', '_method')}--x--`, expect: 'allow' },
    // Laravel takes it from JSON as well.
    { request: `POST /v1/customers/42\n${JSON_TYPE}\n\n{"_method":"DELETE"}`, expect: 'deny' },
    { request: `POST /v1/customers/42\n${JSON_TYPE}\n\n{"a":1,"\\u005fmethod":"delete"}`, expect: 'deny' },
    { request: `POST /v1/customers/42\ncontent-type: text/plain\n\n{"_method":"DELETE"}`, expect: 'deny' },
    { request: `POST /v1/customers/42\n${JSON_TYPE}\n\n{"a":{"_method":"x"}}`, expect: 'allow' },
    { request: 'POST /v1/customers/42\nX-Original-Method: DELETE', expect: 'deny' },
    { request: 'POST /v1/customers/42\nX-Forwarded-Method: DELETE', expect: 'deny' },
    { request: 'delete /v1/customers/42', expect: 'refused' },
    { request: 'Delete /v1/customers/42', expect: 'refused' },
    { request: 'PURGE /v1/customers/42', expect: 'hold' },
    { request: 'COPY /v1/customers/42', expect: 'hold' },
  ],
  'another path than the one that is judged': [
    { request: 'GET /public\nX-Original-URL: /admin', expect: 'deny' },
    { request: 'GET /public\nX-Rewrite-URL: /admin', expect: 'deny' },
    ...[
      'X-Original-Path',
      'X-Forwarded-URI',
      'X-Forwarded-Path',
      'X-Envoy-Original-Path',
      'X-Original-Host',
      'X-HTTP-Host-Override',
      'X-HTTP-DestinationURL',
      // A Next.js server leaves its own checks out (CVE-2025-29927).
      'X-Middleware-Subrequest',
    ].map((name): RequestRow => ({ request: `GET /public\n${name}: /admin`, expect: 'deny' })),
    { request: 'GET /public\nX_Original_URL: /admin', expect: 'refused' },
    { request: 'GET /public\nX_Rewrite_URL: /admin', expect: 'refused' },
    { request: 'GET /public\nContent_Length: 5', expect: 'refused' },
    { request: 'GET /public\nX-Forwarded-Host: evil.example', expect: 'deny' },
    { request: 'POST /v1/pub/../payouts', expect: 'refused' },
    { request: 'POST /v1/./payouts', expect: 'refused' },
    { request: 'POST //v1/payouts', expect: 'refused' },
    { request: 'POST /v1//payouts', expect: 'refused' },
    { request: 'POST /v1%2fpayouts', expect: 'refused' },
    { request: 'POST /v1%252fpayouts', expect: 'refused' },
    { request: 'POST /v1\\payouts', expect: 'refused' },
    { request: 'POST /v1/payouts%00', expect: 'refused' },
    { request: 'POST /v1/payouts/..;/x', expect: 'refused' },
    { request: 'GET /v1/export', expect: 'deny' },
    { request: 'GET /v1/%65xport', expect: 'deny' },
    { request: 'GET /v1/export?x=/ok', expect: 'deny' },
    { request: 'GET /v1/EXPORT/', expect: 'deny' },
    { request: 'GET /v1/exports', expect: 'allow' },
  ],
  // RFC 3986 section 3.3; Tomcat, Spring, Jetty and JAX-RS take them off a path before they look for what serves it.
  'a path with parameters in its segments': [
    { request: 'GET /v1/export;x=1', expect: 'deny' },
    { request: 'GET /v1/export;', expect: 'deny' },
    { request: 'GET /v1/export;jsessionid=1/', expect: 'deny' },
    { request: 'GET /v1/export;jsessionid=1/all', expect: 'deny' },
    { request: 'GET /v1;a=b/export', expect: 'deny' },
    { request: 'GET /v1;a=b;c/%65xport;d=e;f?x=1', expect: 'deny' },
    { request: 'GET /v1/export%3bx=1', expect: 'deny' },
    { request: 'GET /v1/export%3Bx%3D1', expect: 'deny' },
    { request: 'GET /v1/export%253bx', expect: 'refused' },
    { request: 'GET /v1/;x=1/export', expect: 'refused' },
    { request: 'GET /v1/%3bx=1/export', expect: 'refused' },
    { request: 'GET /;x/v1/export', expect: 'refused' },
    { request: 'GET /v1/.;x/export', expect: 'refused' },
    { request: 'GET /v1/export/;x=1', expect: 'deny' },
    { request: `POST /v1/payouts;a\n${JSON_TYPE}\n\n{"amount":5000}`, expect: 'deny' },
    { request: `POST /v1/payouts;a\n${JSON_TYPE}\n\n{"amount":100}`, expect: 'allow' },
    { request: `POST /v1/wipe;x=1\n${JSON_TYPE}\n\n{}`, expect: 'deny' },
    { request: `POST /v1;x=1/wipe/\n${JSON_TYPE}\n\n{}`, expect: 'deny' },
    { request: `POST /v1/users;x/42\n${JSON_TYPE}\n\n{}`, expect: 'hold' },
    // As it is written it counts as well.
    { request: 'GET /v1/notes;draft', expect: 'deny' },
    { request: 'GET /v1/notes', expect: 'allow' },
    { request: 'GET /v1/exports;x=1', expect: 'allow' },
    { request: 'GET /v1/ex;x=1/port', expect: 'allow' },
    { request: 'GET /v1/list;/export', expect: 'allow' },
    { request: 'GET /;jsessionid=1', expect: 'allow' },
  ],
  'another amount than the one that is judged': [
    { request: payout('{"amount":100}'), expect: 'allow' },
    { request: payout('{"amount":5000}'), expect: 'deny' },
    { request: payout('{"amount":5e3}'), expect: 'deny' },
    { request: payout('{"amount":"5000"}'), expect: 'deny' },
    { request: payout('{"amount":" 5000 "}'), expect: 'deny' },
    { request: payout('{"\\u0061mount":5000}'), expect: 'deny' },
    { request: payout('{"amount":1,"amount":5000}'), expect: 'deny' },
    { request: payout('{"amount":5000,"amount":1}'), expect: 'deny' },
    { request: payout('{"amount":1,"\\u0061mount":5000}'), expect: 'deny' },
    // Go's encoding/json, ASP.NET and others match names without regard to case.
    { request: payout('{"Amount":5000}'), expect: 'deny' },
    { request: payout('{"AMOUNT":5000}'), expect: 'deny' },
    { request: payout('{"currency":"EUR","total":{"Amount":1}}'), expect: 'allow' },
    { request: payout('Amount=5000', FORM), expect: 'deny' },
    { request: payout('{"cards":1,"card\\u017f":5000}'), expect: 'deny' },
    { request: `POST /v1/refunds\n${JSON_TYPE}\n\n{"IBAN":"x"}`, expect: 'deny' },
    { request: `POST /v1/refunds\n${JSON_TYPE}\n\n{"note":"x"}`, expect: 'allow' },
    { request: 'GET /v1/purge?FORCE=true', expect: 'deny' },
    { request: 'GET /v1/purge?force=true', expect: 'deny' },
    { request: 'GET /v1/purge?Color=red', expect: 'allow' },
    // Rack 2, Python before 3.9.2 and Perl's CGI part at a semicolon, too.
    { request: 'GET /v1/purge?x=1;force=true', expect: 'deny' },
    { request: 'GET /v1/purge?;force=true;', expect: 'deny' },
    { request: 'GET /v1/purge;x?a=1;force=true', expect: 'deny' },
    { request: 'GET /v1/purge?force=true;x=1', expect: 'deny' },
    { request: 'GET /v1/purge?type=text/html;charset=utf-8', expect: 'allow' },
    { request: 'GET /v1/secrets', expect: 'deny' },
    { request: 'GET /v1/secrets?dry=1', expect: 'allow' },
    { request: 'GET /v1/secrets?x=1;dry=1', expect: 'deny' },
    { request: payout('\uFEFF{"amount":5000}'), expect: 'deny' },
    { request: payout('{"amount":5000}', 'content-type: text/plain'), expect: 'deny' },
    { request: payout('{"amount":5000}', 'content-type: application/vnd.api+json'), expect: 'deny' },
    { request: payout('{"amount":5000}', 'content-type: application/json; charset=utf-16'), expect: 'deny' },
    { request: payout('{"amount":5000}', `${JSON_TYPE}\ncontent-type: text/plain`), expect: 'deny' },
    { request: payout('{"amount":5000}', `${JSON_TYPE}\ncontent-encoding: gzip`), expect: 'deny' },
    { request: payout('{"amount":5000}', 'x-no-type: 1'), expect: 'deny' },
    { request: payout('amount=5000', FORM), expect: 'deny' },
    { request: payout('amount=1&amount=5000', FORM), expect: 'deny' },
    { request: payout(`${part('name="amount"', '100')}--x--`, PARTS), expect: 'allow' },
    { request: payout(`${part('name="doc"; filename="a.png"', '\u0000\u0001')}--x--`, PARTS), expect: 'allow' },
    { request: payout(`${part('name="amount"', '5000')}--x--`, PARTS), expect: 'deny' },
    { request: payout(`${part('name="Amount"', '5000')}--x--`, PARTS), expect: 'deny' },
    { request: payout(`${part('name="amount"; filename="a"', '5000')}--x--`, PARTS), expect: 'deny' },
    { request: payout(`${part('name="amount"', '1')}${part('name="amount"', '5000')}--x--`, PARTS), expect: 'deny' },
    {
      request: payout(`${part('name="a"', '1')}--x--\r\n${part('name="amount"', '5000')}--x--`, PARTS),
      expect: 'deny',
    },
    { request: payout(`${part('name="a"', '1\n--x\nname="amount"')}--x--`, PARTS), expect: 'deny' },
    { request: payout(`${part('name="a"', '1')}--x--`, `${PARTS},y`), expect: 'deny' },
    { request: payout(`{"amount":1,"pad":"${'x'.repeat(300_000)}"}`), expect: 'deny' },
    { request: payout(`${'['.repeat(100)}${']'.repeat(100)}`), expect: 'deny' },
  ],
  'what deletes, and who may do what': [
    { request: 'DELETE /v1/customers/42', expect: 'hold' },
    { request: `POST /v1/API-Keys\n${JSON_TYPE}\n\n{}`, expect: 'hold' },
    { request: `POST /v1/api%2Dkeys\n${JSON_TYPE}\n\n{}`, expect: 'hold' },
    { request: `PATCH /v1/users/42/\n${JSON_TYPE}\n\n{"admin":true}`, expect: 'hold' },
    { request: 'GET /v1/users/42', expect: 'allow' },
    { request: 'GET /v1/users/42', reader: true, expect: 'allow' },
    { request: 'GET /v1/logout', reader: true, expect: 'deny' },
    { request: 'GET /v1/logout;x=1', reader: true, expect: 'deny' },
    { request: 'GET /v1;x=1/logout/', reader: true, expect: 'deny' },
    { request: `POST /v1/search\n${JSON_TYPE}\n\n{}`, reader: true, expect: 'allow' },
    { request: `POST /v1/search;x=1\n${JSON_TYPE}\n\n{}`, reader: true, expect: 'deny' },
    { request: `POST /v1/orders\n${JSON_TYPE}\n\n{}`, reader: true, expect: 'deny' },
    { request: `POST /graphql\n${JSON_TYPE}\n\n{"query":"{ a }"}`, reader: true, expect: 'allow' },
    { request: `POST /graphql;x\n${JSON_TYPE}\n\n{"query":"mutation { a }"}`, reader: true, expect: 'deny' },
    { request: 'GET /graphql/?query=mutation%20%7B%20a%20%7D', reader: true, expect: 'deny' },
    // It is no GraphQL because it says so.
    { request: 'POST /v1/orders\ncontent-type: application/graphql\n\n{ a }', reader: true, expect: 'deny' },
    { request: `POST /graphql\n${JSON_TYPE}\n\n{"query":"{ a }"}`, expect: 'allow' },
    { request: `POST /graphql\n${JSON_TYPE}\n\n{"query":"mutation { a }"}`, expect: 'hold' },
    {
      request: `POST /graphql\n${JSON_TYPE}\n\n{"query":"query Q { a } mutation M { b }","operationName":"M"}`,
      expect: 'hold',
    },
    { request: `POST /graphql\n${JSON_TYPE}\n\n[{"query":"{ a }"},{"query":"mutation { b }"}]`, expect: 'hold' },
    { request: `POST /graphql?query=mutation%20%7B%20a%20%7D\n${JSON_TYPE}\n\n{"query":"{ a }"}`, expect: 'deny' },
    { request: 'GET /graphql?query=mutation%20%7B%20a%20%7D', expect: 'deny' },
    // Some servers take forms; and a document that the server knows by a name is another than the one that is sent along.
    { request: `POST /graphql\n${FORM}\n\nquery=mutation%20%7B%20a%20%7D`, expect: 'hold' },
    ...['"id":"a"', '"documentId":"a"', '"doc_id":"a"', '"QueryID":1', persisted('0'.repeat(64))].map(
      (more): RequestRow => ({ request: `POST /graphql\n${JSON_TYPE}\n\n{"query":"{ a }",${more}}`, expect: 'hold' }),
    ),
    { request: `POST /graphql?doc_id=a\n${JSON_TYPE}\n\n{"query":"{ a }"}`, expect: 'hold' },
    { request: `POST /graphql?Query=mutation%7Ba%7D\n${JSON_TYPE}\n\n{"query":"{ a }"}`, expect: 'hold' },
    {
      request: `POST /graphql\n${JSON_TYPE}\n\n{"query":"{ a }",${persisted(hash('sha256', '{ a }'))}}`,
      expect: 'allow',
    },
    { request: 'GET /graphql?query=%7Ba%7D', reader: true, expect: 'allow' },
    { request: 'GET /graphql?query=%7Ba%7D&documentId=a', reader: true, expect: 'deny' },
    {
      request: `GET /graphql?query=%7Ba%7D&extensions=${encodeURIComponent(persisted('0'.repeat(64)).replace('"extensions":', ''))}`,
      reader: true,
      expect: 'deny',
    },
    // Where frameworks look for it by default: in any case, with a slash behind it, without parameters.
    ...['/graphql;x=1', '/graphql/', '/GraphQL', '/graphql%3bx', '/GRAPHQL;a/'].flatMap((path) => [
      { request: `POST ${path}\n${JSON_TYPE}\n\n{"query":"mutation { a }"}`, expect: 'hold' } as const,
      { request: `GET ${path}?query=mutation%20%7B%20a%20%7D`, expect: 'deny' } as const,
    ]),
  ],
};
