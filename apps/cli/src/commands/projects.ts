/** projects: namespaces of one installation. A new admin's token is shown once, on stdout, and kept nowhere. */
import type { Project } from '@sallyport/api-client';
import { type Context, collect } from '../context.ts';
import type { Column } from '../output/table.ts';
import { parseSpan, showInstant } from '../output/time.ts';
import type { Registry } from './command.ts';

const PROJECTS: readonly Column<Project>[] = [
  { title: 'name', show: (project) => project.name },
  { title: 'description', show: (project) => project.description, least: 16 },
  { title: 'state', show: (project) => (project.disabledAt == null ? 'active' : 'disabled') },
  { title: 'created', show: (project) => showInstant(project.createdAt) },
];

export function registerProjects({ program, run }: Registry): void {
  const projects = program.command('projects').description('namespaces with their own people, resources and policies');
  projects
    .command('ls', { isDefault: true })
    .description('list the projects you may sign in to; owners see all')
    .action(run(listProjects));
  projects.command('show').argument('<name>').description('show one project').action(run(showProject));
  projects
    .command('create')
    .argument('<name>')
    .description('make a project (owners)')
    .option('--description <text>', 'what it is for')
    .action(run(createProject));
  projects
    .command('admin')
    .argument('<project>')
    .argument('<person>')
    .description('give a project an admin, with a token that is printed once (owners)')
    .option('--expires <time>', 'how long the token is good for', '24h')
    .action(run(addAdmin));
  projects
    .command('disable')
    .argument('<name>')
    .description('end everything in a project; its record stays (owners)')
    .action(run((context: Context, name: string) => setDisabled(context, name, true)));
  projects
    .command('enable')
    .argument('<name>')
    .description('bring a disabled project back (owners)')
    .action(run((context: Context, name: string) => setDisabled(context, name, false)));
}

async function listProjects(context: Context): Promise<void> {
  await context.requireToken();
  context.list(await collect(context.api.projects.list()), PROJECTS);
}

async function showProject(context: Context, name: string): Promise<void> {
  await context.requireToken();
  context.one(await context.api.projects.get(name), PROJECTS);
}

async function createProject(
  context: Context,
  name: string,
  options: { readonly description?: string },
): Promise<void> {
  await context.requireToken();
  const { description } = options;
  context.one(
    await context.api.projects.create({ name, ...(description === undefined ? {} : { description }) }),
    PROJECTS,
  );
}

async function setDisabled(context: Context, name: string, disabled: boolean): Promise<void> {
  await context.requireToken();
  context.one(await context.api.projects.update(name, { disabled }), PROJECTS);
}

async function addAdmin(
  context: Context,
  project: string,
  person: string,
  options: { readonly expires: string },
): Promise<void> {
  await context.requireToken();
  const made = await context.api.projects.addAdmin(project, {
    name: person,
    expiresInSeconds: Math.round(parseSpan(options.expires) / 1000),
  });
  context.note(
    made.signsIn
      ? `${person} signs in with \`sallyport login --project ${project}\` too.`
      : `${person} has no sign-in there: this token is the way in.`,
    'It is shown once. Keep it in a file that only they can read.',
  );
  context.answer(made, () => [made.token]);
}
