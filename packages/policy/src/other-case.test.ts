/** Conditions over names that stand in another case: not computable where their answer hangs on them, and only there. */
import { fieldsOf } from '@sallyport/model';
import { expect, test } from 'vitest';
import { compileCondition, type FactContext } from './condition.ts';
import { bodyFact, httpFact, mcpFact } from './http-facts.ts';

const contextOf = (body: object, query: Readonly<Record<string, readonly string[]>> = {}): FactContext => ({
  body: bodyFact({
    read: true,
    fields: fieldsOf(body) ?? [],
    graphqlKind: '',
    graphqlName: '',
    graphqlFields: [],
    duplicateKeys: false,
    text: '',
  }),
  mcp: mcpFact({
    method: 'tools/call',
    tool: 'pay',
    resourceUri: '',
    prompt: '',
    arguments: fieldsOf(body) ?? [],
    changed: false,
  }),
  http: httpFact({
    method: 'POST',
    scheme: 'https',
    host: 'api',
    path: '/v1/payouts',
    route: '',
    operation: '',
    query,
    headers: {},
    contentType: 'application/json',
    size: 1,
    upgrade: '',
  }),
});

function answerOf(source: string, context: FactContext): boolean | 'not computable' {
  const condition = compileCondition(source);
  if (condition.kind === 'problem') throw new Error(condition.message);
  try {
    return condition.test(context);
  } catch {
    return 'not computable';
  }
}

const AMOUNT = 'body.fields.exists(f, f.path == "amount" && f.number > 10)';

test.each([
  [AMOUNT, { amount: 5 }, false],
  [AMOUNT, { amount: 50 }, true],
  [AMOUNT, { Amount: 5 }, 'not computable'],
  [AMOUNT, { total: { Amount: 5 } }, false],
  [AMOUNT, { ' amount': 5 }, 'not computable'],
  [AMOUNT, { 'a.mount': 5 }, false],
  ['body.fields.exists(f, f.path == "is_admin")', { 'is.admin': 1 }, 'not computable'],
  ['body.fields.exists(f, f.path == "is_admin")', { is: { admin: 1 } }, false],
  ['body.fields.exists(f, f.path == "\\"is.admin\\"")', { 'is.admin': 1 }, true],
  ['body.fields.exists(f, f.path.startsWith("payment."))', { payment_method: 'x' }, false],
  ['body.fields.exists(f, "amount" == f.path)', { AMOUNT: 5 }, 'not computable'],
  ['body.fields.exists(f, f.path in ["a", "cards"])', { 'card\u017f': 1 }, 'not computable'],
  ['body.fields.exists(f, f.path.startsWith("payment."))', { Payment: { to: 'x' } }, 'not computable'],
  ['body.fields.exists(f, f.path.endsWith(".to"))', { payment: { TO: 'x' } }, 'not computable'],
  ['body.fields.exists(f, f.path.contains("iban"))', { to: { IBAN: 'x' } }, 'not computable'],
  ['body.fields.exists(f, f.value == "amount")', { x: 'Amount' }, false],
  ['mcp.arguments.exists(a, a.path == "amount")', { Amount: 5 }, 'not computable'],
  [`http.path == "/v2" && ${AMOUNT}`, { Amount: 5 }, false],
  [`http.path == "/V1/payouts" && ${AMOUNT}`, { amount: 5 }, false],
  [`http.path == "/v1/payouts" || ${AMOUNT}`, { Amount: 5 }, true],
  ['"amount" in body.fields.map(f, f.path)', { Amount: 5 }, 'not computable'],
  ['body.fields.map(f, f.path).exists(p, p == "amount")', { Amount: 5 }, 'not computable'],
  ['body.fields.exists(f, f.path + "" == "amount")', { Amount: 5 }, 'not computable'],
  ['body.fields.exists(f, f.path.re("^amount$"))', { Amount: 5 }, false],
  ['body.duplicate_keys', { Amount: 5 }, false],
])('%s of %j: %s', (source, body, expected) => {
  expect(answerOf(source, contextOf(body))).toBe(expected);
});

test.each([
  ['"force" in http.query', { force: ['1'] }, true],
  ['"force" in http.query', { Force: ['1'] }, 'not computable'],
  ['"force" in http.query', { colour: ['1'] }, false],
  ['"x" in http.query && http.query["x"][0] == "1"', { X: ['1'] }, 'not computable'],
  ['http.query.exists(k, k == "force")', { Force: ['1'] }, 'not computable'],
  ['http.query.exists(k, k == "force")', { colour: ['1'] }, false],
  ['http.method == "GET" && "force" in http.query', { Force: ['1'] }, false],
])('%s of parameters %j: %s', (source, query, expected) => {
  expect(answerOf(source, contextOf({}, query))).toBe(expected);
});

test('what one condition may not read another still does', () => {
  const context = contextOf({ Amount: 5 });
  expect(answerOf(AMOUNT, context)).toBe('not computable');
  expect(answerOf('body.fields.exists(f, f.path == "Amount")', context)).toBe(true);
});
