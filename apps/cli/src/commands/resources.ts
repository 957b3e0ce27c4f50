/** resources ls, show: what one may reach, and how. */
import type { Resource } from '@sallyport/api-client';
import { type Context, collect } from '../context.ts';
import { type Column, renderFields } from '../output/table.ts';
import { pairs, type Registry, repeated } from './command.ts';

const labelText = (labels: Readonly<Record<string, string>> | undefined | null): string =>
  Object.entries(labels ?? {})
    .map(([key, value]) => `${key}=${value}`)
    .join(' ');

const COLUMNS: readonly Column<Resource>[] = [
  { title: 'name', show: (resource) => resource.name },
  { title: 'type', show: (resource) => resource.type },
  { title: 'you may', show: (resource) => resource.effects?.join(', ') },
  { title: 'databases', show: (resource) => resource.databases?.join(', '), least: 12 },
  { title: 'labels', show: (resource) => labelText(resource.labels), least: 12 },
  {
    title: 'endpoint',
    show: (resource) => resource.endpoints?.find((endpoint) => endpoint.plaintext !== true)?.address,
  },
];

export function registerResources({ program, run }: Registry): void {
  const resources = program.command('resources').description('what can be reached');
  resources
    .command('ls', { isDefault: true })
    .description('list resources you may reach')
    .option('--all', 'every resource, as an administrator or auditor')
    .option('--label <key=value>', 'only with this label (repeatable)', repeated)
    .action(run(list));
  resources
    .command('show')
    .argument('<resource>')
    .description('show one resource: endpoints, databases, what you may do')
    .action(run(show));
}

async function list(
  context: Context,
  options: { readonly all?: boolean; readonly label?: readonly string[] },
): Promise<void> {
  pairs(options.label);
  await context.requireToken();
  const query = options.all === true ? {} : { reachable: true };
  const items = await collect(context.api.resources.list({ ...query, label: options.label }));
  context.list(items, COLUMNS, emptyList(options));
}

function emptyList(options: { readonly all?: boolean; readonly label?: readonly string[] }): string {
  if (options.label !== undefined) return 'No resource with these labels.';
  return options.all === true ? 'No resources.' : 'You may reach nothing. An administrator can grant it.';
}

async function show(context: Context, name: string): Promise<void> {
  await context.requireToken();
  const resource = await context.api.resources.get(name);
  context.answer(resource, () =>
    renderFields([
      ['name', resource.name],
      ['id', resource.id],
      ['type', resource.type],
      ['description', resource.description],
      ['labels', labelText(resource.labels)],
      ['you may', resource.effects?.join(', ')],
      ['as roles', resource.roles?.join(', ')],
      ['databases', resource.databases?.join(', ')],
      [
        'endpoints',
        resource.endpoints
          ?.map(
            (endpoint) =>
              `${endpoint.protocol} ${endpoint.address}${endpoint.plaintext === true ? ' (plaintext)' : ' (TLS)'}`,
          )
          .join('\n'),
      ],
      ['recording', resource.recording],
      ['holds', resource.approval],
      ['beyond the grant', resource.exceeded],
      ['credential', resource.credential],
      ['agents', resource.agents?.join(', ')],
    ]),
  );
}
