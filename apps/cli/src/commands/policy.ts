/** policy test, check, explain, ls. The first two need no control plane: they run the engine that agents run. */
import type { Explanation } from '@sallyport/api-client';
import type { CaseResult, PolicyProblem } from '@sallyport/policy';
import { type Context, collect } from '../context.ts';
import { EXIT } from '../exit-codes.ts';
import { safeLine, safeText } from '../output/safe-text.ts';
import { type Column, renderTable } from '../output/table.ts';
import { styled } from '../terminal.ts';
import { type Registry, repeated } from './command.ts';
import { readDocuments, splitDocuments } from './documents.ts';

// Loaded when a command needs them: the grammar and CEL are most of this program's size.
const loadEngine = () => import('@sallyport/policy');
const loadSql = () => import('@sallyport/sql');
const loadShell = () => import('@sallyport/shell');

export function registerPolicy({ program, run }: Registry): void {
  const policy = program.command('policy').description('rules: test them offline, check them, ask why');
  policy.command('ls', { isDefault: true }).description('list the policies in force').action(run(list));
  policy
    .command('test')
    .argument('<dir>', 'folder with policies and tables (kind PolicyTest)')
    .description('run tables of statements against a folder of policies, offline')
    .option('--verbose', 'also print cases that hold')
    .action(run(test));
  policy
    .command('check')
    .argument('<file>', 'file, folder or `-`')
    .description('check policy documents offline: syntax, types, dead rules')
    .action(run(check));
  policy
    .command('explain')
    .argument('<resource>')
    .argument(
      '<statement>',
      'SQL; a command line; `POST /v1/x` with headers and body below; `delete namespaces/shop`; `tools/call name {…}` (`-` = stdin)',
    )
    .description('tell what would be decided about a statement, and which rules said so')
    .option('--principal <name>', 'as this principal')
    .option('--group <name>', 'as a member of this group (repeatable)', repeated)
    .action(run(explain));
}

async function list(context: Context): Promise<void> {
  await context.requireToken();
  const items = await collect(context.api.policies.list());
  context.list(
    items,
    [
      { title: 'name', show: (item) => item.name },
      { title: 'revision', show: (item) => item.revision },
      { title: 'rules', show: (item) => item.rules },
    ],
    'No policies.',
  );
}

async function test(context: Context, dir: string, options: { readonly verbose?: boolean }): Promise<void> {
  const documents = splitDocuments(await readDocuments(context.terminal, dir));
  const [{ testPolicies, parsePolicyDocument }, { extractSqlFacts, loadSqlParser }, { readCommand }] =
    await Promise.all([loadEngine(), loadSql(), loadShell()]);
  await loadSqlParser();
  const report = await orProblems(context, () =>
    testPolicies({
      policies: documents
        .filter(({ kind }) => kind === 'Policy')
        .map(({ file, text }) => parsePolicyDocument(text, file)),
      tables: documents.filter(({ kind }) => kind === 'PolicyTest').map(({ file, text }) => ({ file, source: text })),
      extract: extractSqlFacts,
      readCommand,
    }),
  );
  if (report === undefined) return;
  context.answer(report, () => [
    ...report.results
      .filter((result) => options.verbose === true || !result.passed)
      .map((result) => renderCase(context, result)),
    ...(report.results.length === 0 ? [`There are no tables of kind PolicyTest under ${dir}.`] : []),
    `${report.passed} passed, ${report.failed} failed`,
  ]);
  // A folder without a single case is a mistake of its own: a green run must have run something.
  if (report.failed > 0 || report.results.length === 0) context.finish(EXIT.failure);
}

function renderCase(context: Context, result: CaseResult): string {
  const place = `${result.file}:${result.line}`;
  const statement = safeLine(result.statement);
  if (result.passed) return `${styled(context.terminal, 'green', 'ok  ')} ${place}  ${statement}  ${result.got}`;
  return `${styled(context.terminal, 'red', 'FAIL')} ${place}  ${statement}\n       expected ${result.expected}, got ${result.got}`;
}

async function check(context: Context, target: string): Promise<void> {
  const documents = splitDocuments(await readDocuments(context.terminal, target)).filter(
    ({ kind }) => kind === 'Policy',
  );
  const { PolicyDocumentError, parsePolicyDocument } = await loadEngine();
  const names = await orProblems(context, () => {
    const problems: PolicyProblem[] = [];
    const good: string[] = [];
    for (const { file, text } of documents) {
      try {
        good.push(parsePolicyDocument(text, file).name);
      } catch (error) {
        if (!(error instanceof PolicyDocumentError)) throw error;
        problems.push(...error.problems);
      }
    }
    if (problems.length > 0) throw new PolicyDocumentError(problems);
    return good;
  });
  if (names === undefined) return;
  context.answer({ valid: true, policies: names }, () => [
    names.length === 0 ? `There are no policies in ${target}.` : `Valid: ${names.join(', ')}.`,
  ]);
}

/** Prints what is wrong with documents, each with its place; undefined then, and the exit code says `invalid`. */
async function orProblems<T>(context: Context, work: () => T): Promise<T | undefined> {
  const { PolicyDocumentError, problemLine } = await loadEngine();
  try {
    return work();
  } catch (error) {
    if (!(error instanceof PolicyDocumentError)) throw error;
    context.finish(EXIT.invalid);
    if (context.json) context.say(JSON.stringify({ valid: false, problems: error.problems }, undefined, 2));
    else context.note(...error.problems.map((problem) => `error: ${safeText(problemLine(problem))}`));
    return undefined;
  }
}

async function explain(
  context: Context,
  resource: string,
  sql: string,
  options: { readonly principal?: string; readonly group?: readonly string[] },
): Promise<void> {
  await context.requireToken();
  const statement = sql === '-' ? (await readDocuments(context.terminal, '-'))[0]!.text : sql;
  const answer = await context.api.policies.explain({
    resource,
    statement,
    ...(options.principal === undefined ? {} : { principal: options.principal }),
    ...(options.group === undefined ? {} : { groups: options.group }),
  });
  context.answer(answer, () => renderExplanation(context, answer));
}

const STYLES = { allow: 'green', hold: 'yellow', deny: 'red' } as const;

function renderExplanation(context: Context, answer: Explanation): readonly string[] {
  const { verdict, effects, statementEffects, grants, unknown, shell } = answer;
  const rules = answer.rules.filter((rule) => rule.outcome !== 'other_subject' && rule.outcome !== 'other_resource');
  const message = typeof verdict['message'] === 'string' ? `: ${safeText(verdict['message'])}` : '';
  return [
    `${styled(context.terminal, STYLES[verdict.kind], verdict.kind)} by ${safeLine(verdict.rule)}${message}`,
    ...(unknown === null ? [] : [`The statement could not be understood (${unknown}), so it is refused.`]),
    `the statement does: ${statementEffects.join(', ') || 'nothing known'}; granted: ${effects.join(', ') || 'nothing'} (${grants.length} ${grants.length === 1 ? 'grant' : 'grants'})`,
    ...(shell == null ? [] : renderShell(shell)),
    ...(rules.length === 0 ? [] : ['', ...renderTable(rules, RULES, context.terminal.columns())]),
  ];
}

function renderShell(shell: NonNullable<Explanation['shell']>): readonly string[] {
  const { commands, pathsWritten, pathsRead, opaque } = shell;
  const line = (title: string, words: readonly string[]): readonly string[] =>
    words.length === 0 ? [] : [`${title}: ${words.map(safeLine).join(', ')}`];
  return [
    ...commands.map((command) => `runs: ${safeLine(command)}`),
    ...line('writes', pathsWritten),
    ...line('reads', pathsRead),
    ...line('cannot be told', opaque),
  ];
}

const RULES: readonly Column<Explanation['rules'][number]>[] = [
  { title: 'rule', show: (rule) => rule.rule },
  { title: 'verdict', show: (rule) => `${rule.verdict}${rule.mode === 'shadow' ? ' (shadow)' : ''}` },
  { title: 'outcome', show: (rule) => rule.outcome.replaceAll('_', ' ') },
  { title: 'when', show: (rule) => rule.when, least: 20 },
];
