/**
 * What a server of an older major reads otherwise than the grammar of the newest one, though both accept the text.
 * Such a text is refused for that server, which is how one grammar can judge for several majors; docs/reference/policy.md has the list.
 * Found by comparing the grammars of 13 to 18 statement by statement (scan.l and gram.y of each); test/conformance/majors.test.ts
 * shows each on the servers themselves.
 */
import { type Fields, Refusal } from './ast.ts';
import { scanWords, type Word } from './parser.ts';

/** A server of any other major is not spoken to. */
export const SUPPORTED_SERVER_MAJORS: readonly number[] = [13, 14, 15, 16, 17, 18];
/** The major whose grammar reads the texts. */
export const NEWEST_SERVER_MAJOR = 18;

/** Syntax that looks like a call of a function: before this major it is one, of whatever function has the name. */
const SYNTAX_SINCE: Readonly<Record<string, number>> = {
  JsonObjectConstructor: 16,
  JsonArrayConstructor: 16,
  JsonArrayQueryConstructor: 16,
  JsonObjectAgg: 16,
  JsonArrayAgg: 16,
  JsonIsPredicate: 16,
  JsonFuncExpr: 17,
  JsonParseExpr: 17,
  JsonScalarExpr: 17,
  JsonSerializeExpr: 17,
  JsonTable: 17,
  MergeSupportFunc: 17,
};

/** @throws Refusal for a node that a server of this major makes nothing of, or something else */
export function requireSyntax(type: string, major: number): void {
  if (major < (SYNTAX_SINCE[type] ?? 0)) throw new Refusal('construct', type);
}

/**
 * The major by which to judge a call: undefined for one that the grammar made of syntax (EXTRACT, OVERLAY), which is
 * PostgreSQL's own in every major. SYSTEM_USER is syntax since 16; before, it is a column or a table of that name.
 * @throws Refusal
 */
export function callMajor(name: string, call: Fields, major: number): number | undefined {
  if (call.funcformat !== 'COERCE_SQL_SYNTAX') return major;
  if (major < 16 && name === 'system_user') throw new Refusal('construct', name);
  return undefined;
}

/** `0x1f`, `1_000`: one number since 16, an error in 15, and before that a number with a name behind it. */
const MAYBE_NUMBER = /\d_\d|0[xob][\da-f_]/i;
const PLAIN_NUMBER = /^[\d.]+(?:e[+-]?\d+)?$/i;

/**
 * Until 13 an operator may stand behind its one operand. Where one of these words follows, 13 takes the operator for such a
 * one (its grammar's precedence of POSTFIXOP is above theirs), and later majors take the word for a column, function or type.
 */
const AFTER_POSTFIX = 'between|escape|ilike|is|isnull|like|notnull|set|similar';
const MAYBE_POSTFIX = new RegExp(`--|operator|[~!@#^&|\`?+*/%<>=-]\\s*(?:${AFTER_POSTFIX})\\b`, 'i');
const AFTER_POSTFIX_WORD = new RegExp(`^(?:${AFTER_POSTFIX})$`, 'i');

/** What the tree does not show any more. `text` was read by the newest grammar. @throws Refusal */
export function requireSameTokens(text: string, major: number): void {
  if (major >= 16) return;
  const numbers = MAYBE_NUMBER.test(text);
  const postfix = major < 14 && MAYBE_POSTFIX.test(text);
  if (!numbers && !postfix) return;
  const words = scanWords(text);
  if (words.some((word) => word.kind === 'number' && !PLAIN_NUMBER.test(word.text)))
    throw new Refusal('construct', 'number');
  if (postfix && words.some((word, at) => AFTER_POSTFIX_WORD.test(word.text) && followsOperator(words, at)))
    throw new Refusal('construct', 'postfix operator');
}

function followsOperator(words: readonly Word[], at: number): boolean {
  const before = words[at - 1];
  if (before?.kind === 'operator') return true;
  if (before?.text !== ')') return false;
  // OPERATOR(schema.name): no parenthesis can be inside of it.
  for (let i = at - 2; i > 0 && words[i]!.text !== ')'; i--)
    if (words[i]!.text === '(') return words[i - 1]!.text.toLowerCase() === 'operator';
  return false;
}
