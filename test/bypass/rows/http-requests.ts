/**
 * Ways a request got past a rule, or could have, against `policies/http-baseline.yaml`, and two rules over a path and an amount.
 * Each row is what goes over the wire and what a person would see; `refused` = it is no request to the gateway. Rows never leave.
 */
export interface RequestRow {
  /** `POST /v1/x`, then headers; `\n\n` and the body. Host and length are added. */
  readonly request: string;
  readonly expect: 'allow' | 'hold' | 'deny' | 'refused';
}

const JSON_TYPE = 'content-type: application/json';
const FORM = 'content-type: application/x-www-form-urlencoded';
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
    { request: `POST /v1/customers/42\n${FORM}\n\n_method=DELETE`, expect: 'deny' },
    { request: `POST /v1/customers/42\n${FORM}\n\na=1&%5Fmethod=DELETE`, expect: 'deny' },
    { request: `POST /v1/customers/42\n${FORM}\n\n{"_method":"DELETE"}`, expect: 'deny' },
    { request: `POST /v1/customers/42\ncontent-type: multipart/form-data; boundary=x\n\n--x--`, expect: 'deny' },
    { request: 'delete /v1/customers/42', expect: 'refused' },
    { request: 'Delete /v1/customers/42', expect: 'refused' },
    { request: 'PURGE /v1/customers/42', expect: 'hold' },
    { request: 'COPY /v1/customers/42', expect: 'hold' },
  ],
  'another path than the one that is judged': [
    { request: 'GET /public\nX-Original-URL: /admin', expect: 'deny' },
    { request: 'GET /public\nX-Rewrite-URL: /admin', expect: 'deny' },
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
    { request: payout('\uFEFF{"amount":5000}'), expect: 'deny' },
    { request: payout('{"amount":5000}', 'content-type: text/plain'), expect: 'deny' },
    { request: payout('{"amount":5000}', 'content-type: application/vnd.api+json'), expect: 'deny' },
    { request: payout('{"amount":5000}', 'content-type: application/json; charset=utf-16'), expect: 'deny' },
    { request: payout('{"amount":5000}', `${JSON_TYPE}\ncontent-type: text/plain`), expect: 'deny' },
    { request: payout('{"amount":5000}', `${JSON_TYPE}\ncontent-encoding: gzip`), expect: 'deny' },
    { request: payout('{"amount":5000}', 'x-no-type: 1'), expect: 'deny' },
    { request: payout('amount=5000', FORM), expect: 'deny' },
    { request: payout('amount=1&amount=5000', FORM), expect: 'deny' },
    { request: payout(`{"amount":1,"pad":"${'x'.repeat(300_000)}"}`), expect: 'deny' },
    { request: payout(`${'['.repeat(100)}${']'.repeat(100)}`), expect: 'deny' },
  ],
  'what deletes, and who may do what': [
    { request: 'DELETE /v1/customers/42', expect: 'hold' },
    { request: `POST /v1/API-Keys\n${JSON_TYPE}\n\n{}`, expect: 'hold' },
    { request: `POST /v1/api%2Dkeys\n${JSON_TYPE}\n\n{}`, expect: 'hold' },
    { request: `PATCH /v1/users/42/\n${JSON_TYPE}\n\n{"admin":true}`, expect: 'hold' },
    { request: 'GET /v1/users/42', expect: 'allow' },
    { request: `POST /graphql\n${JSON_TYPE}\n\n{"query":"{ a }"}`, expect: 'allow' },
    { request: `POST /graphql\n${JSON_TYPE}\n\n{"query":"mutation { a }"}`, expect: 'hold' },
    {
      request: `POST /graphql\n${JSON_TYPE}\n\n{"query":"query Q { a } mutation M { b }","operationName":"M"}`,
      expect: 'hold',
    },
    { request: `POST /graphql\n${JSON_TYPE}\n\n[{"query":"{ a }"},{"query":"mutation { b }"}]`, expect: 'hold' },
    { request: `POST /graphql?query=mutation%20%7B%20a%20%7D\n${JSON_TYPE}\n\n{"query":"{ a }"}`, expect: 'deny' },
    { request: 'GET /graphql?query=mutation%20%7B%20a%20%7D', expect: 'deny' },
  ],
};
