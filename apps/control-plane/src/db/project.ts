/**
 * Which projects there are: the default one, whose id is known once bootstrap ran, and all of them as the database says.
 * Refuses to make or change projects; projects/ does. Whose project a call is for stands in its Caller, not here.
 */
import { Injectable } from '@nestjs/common';
import { Database, type Tx } from './database.ts';

/** The project that holds what belongs to the installation: owners, keys, certificate authorities. */
export const DEFAULT_PROJECT = 'default';

/** Stands for a project that is not there, so that asking for one by name tells a stranger nothing. */
export const NO_PROJECT = '00000000-0000-0000-0000-000000000000';

/** Id of the default project. */
@Injectable()
export class Project {
  /** UUID text; set by bootstrap before any server listens. */
  id = '';
}

export interface ProjectRow {
  readonly id: string;
  readonly name: string;
  readonly disabledAt: Date | null;
}

const select = { id: true, name: true, disabledAt: true } as const;

@Injectable()
export class ProjectDirectory {
  /** Names never change, so what was read once holds. */
  readonly #names = new Map<string, string>();
  constructor(private readonly database: Database) {}

  /** All of them, disabled ones too: their record goes on. Oldest first. */
  all(tx: Tx = this.database.client): Promise<ProjectRow[]> {
    return tx.project.findMany({ select, orderBy: { id: 'asc' } });
  }

  /** Id of the one in use that is called so, for a sign-in to it. @param name undefined = the default project */
  async idToSignIn(name: string | undefined): Promise<string> {
    return (await this.enabled(name ?? DEFAULT_PROJECT))?.id ?? NO_PROJECT;
  }

  /** One that is in use. */
  async enabled(name: string, tx: Tx = this.database.client): Promise<ProjectRow | undefined> {
    return (await tx.project.findFirst({ where: { name, disabledAt: null }, select })) ?? undefined;
  }

  async isEnabled(id: string, tx: Tx = this.database.client): Promise<boolean> {
    return (await tx.project.count({ where: { id, disabledAt: null } })) > 0;
  }

  /** @returns '' for an id that no project has */
  async nameOf(id: string): Promise<string> {
    const known = this.#names.get(id);
    if (known !== undefined) return known;
    const name = (await this.database.client.project.findUnique({ where: { id }, select: { name: true } }))?.name;
    if (name === undefined) return '';
    this.#names.set(id, name);
    return name;
  }
}
