/** Shapes of projects in REST. Every field says who may see it (http/schema.ts). */
import { z } from 'zod';
import { pageOf, pageQuery } from '../http/page.ts';
import { Instant, Name, open, Prose, secret } from '../http/schema.ts';
import { PrincipalName } from '../identity/identity.dto.ts';

const DAY_S = 86_400;

export const ProjectView = z
  .object({
    id: open(z.uuid()),
    name: open(Name),
    description: open(z.string()),
    disabledAt: open(Instant.nullable()),
    createdAt: open(Instant),
  })
  .meta({ id: 'Project' });
export type ProjectView = z.infer<typeof ProjectView>;
export const ProjectPage = pageOf(ProjectView).meta({ id: 'ProjectPage' });
export const ProjectQuery = pageQuery(['name', 'createdAt'], 'name');
export type ProjectQuery = z.infer<typeof ProjectQuery>;

export const CreateProject = z
  .strictObject({
    name: open(Name).describe('Never changes.'),
    description: open(Prose(500)).default(''),
  })
  .meta({ id: 'CreateProject' });
export type CreateProject = z.infer<typeof CreateProject>;

export const UpdateProject = z
  .strictObject({
    description: open(Prose(500).optional()),
    disabled: open(z.boolean().optional()).describe('Nobody signs in and no grant counts; the record stays.'),
  })
  .meta({ id: 'UpdateProject' });
export type UpdateProject = z.infer<typeof UpdateProject>;

export const AddProjectAdmin = z
  .strictObject({
    name: open(PrincipalName).describe(
      'Name of the person. One of project `default` that is called so may sign in to this project as well.',
    ),
    expiresInSeconds: open(
      z
        .number()
        .int()
        .min(60)
        .max(30 * DAY_S),
    ).default(DAY_S),
  })
  .meta({ id: 'AddProjectAdmin' });
export type AddProjectAdmin = z.infer<typeof AddProjectAdmin>;

export const ProjectAdminView = z
  .object({
    principalId: open(z.uuid()),
    name: open(PrincipalName),
    signsIn: open(z.boolean()).describe('By the same identity as in project `default`; else by the token alone.'),
    token: secret(z.string()).describe('An API token of theirs, shown this once.'),
    expiresAt: open(Instant),
  })
  .meta({ id: 'ProjectAdmin' });
export type ProjectAdminView = z.infer<typeof ProjectAdminView>;
