/**
 * Where identity providers may stand. Those of project `default` and of the environment anywhere a control plane may ask, this
 * host too; those of other projects, whose admins are no admins of the installation, on the public Internet and in the private
 * networks that the operator named. Refuses to know who asks: the project of a provider says it.
 */
import { Injectable } from '@nestjs/common';
import { Config } from '../../config.ts';
import { Project } from '../../db/project.ts';
import { ProviderHttp } from './provider-fetch.ts';

@Injectable()
export class ProviderReach {
  readonly #everywhere = new ProviderHttp({ loopback: true });
  readonly #projects: ProviderHttp;
  constructor(
    config: Config,
    private readonly project: Project,
  ) {
    this.#projects = new ProviderHttp({ loopback: false, networks: config.projectNetworks });
  }

  /** @param projectId undefined = a provider of the environment */
  of(projectId: string | undefined): ProviderHttp {
    return projectId === undefined || projectId === this.project.id ? this.#everywhere : this.#projects;
  }
}
