/** apply: documents of a folder become what the control plane holds, all or nothing. */
import path from 'node:path';
import type { ApplyDocument, Change } from '@sallyport/api-client';
import type { Context } from '../context.ts';
import { safeText } from '../output/safe-text.ts';
import { styled } from '../terminal.ts';
import { type Registry, repeated } from './command.ts';
import { readDocuments } from './documents.ts';

export function registerApply({ program, run }: Registry): void {
  program
    .command('apply')
    .description(
      'apply documents (kinds Resource, Group, Grant, Policy, AccessPolicy, IdentityProvider, AccessReview), all or nothing',
    )
    .requiredOption('-f, --file <path>', 'folder or file with YAML (`-` = stdin; repeatable)', repeated)
    .option('--dry-run', 'only show what would change')
    .option('--prune', 'also remove what earlier documents named and these do not, of the kinds that are here')
    .action(run(apply));
}

async function apply(
  context: Context,
  options: { readonly file: readonly string[]; readonly dryRun?: boolean; readonly prune?: boolean },
): Promise<void> {
  await context.requireToken();
  const all: ApplyDocument[] = [];
  const documents: ApplyDocument[] = [];
  for (const target of options.file) {
    const found = await readDocuments(context.terminal, target);
    all.push(...found);
    documents.push(...found.filter(({ file }) => !isTestFile(target, file)));
  }
  if (documents.length < all.length && !context.json) {
    context.note(`${all.length - documents.length} files under tests/ are left to \`sallyport policy test\`.`);
  }
  const dryRun = options.dryRun === true;
  const answer = await context.api.apply(documents, { dryRun, prune: options.prune === true });
  context.answer(answer, ({ changes }) => {
    const changed = changes.filter((change) => change.action !== 'none');
    const verb = dryRun ? 'would change' : 'changed';
    return [
      ...changed.flatMap((change) => renderChange(context, change)),
      ...changes.flatMap((change) =>
        (change.warnings ?? []).map((text) => styled(context.terminal, 'yellow', `! ${safeText(text)}`)),
      ),
      `${changed.length} ${verb}, ${changes.length - changed.length} as they were.`,
    ];
  });
}

/** Tables of `policy test` and their fixtures live in folders of that name, and are never applied with the rest. */
const isTestFile = (target: string, file: string): boolean =>
  path.relative(target, file).split(path.sep).slice(0, -1).includes('tests');

const MARKS = { create: ['+', 'green'], update: ['~', 'yellow'], delete: ['-', 'red'], none: [' ', 'dim'] } as const;

function renderChange(context: Context, change: Change): readonly string[] {
  const [mark, style] = MARKS[change.action];
  return [
    styled(context.terminal, style, `${mark} ${change.kind} ${safeText(change.name)}`),
    ...change.diff.map((line) => `    ${safeText(line)}`),
  ];
}
