/** REST of projects. Parses, calls, returns. */
import { Body, Controller, Delete, Get, HttpCode, Param, Patch, Post, Query } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { type Caller, From, Requires } from '../http/caller.ts';
import { Answers } from '../http/schema.ts';
import {
  AddProjectAdmin,
  CreateProject,
  ProjectAdminView,
  ProjectPage,
  ProjectQuery,
  ProjectView,
  UpdateProject,
} from './projects.dto.ts';
import { Projects } from './projects.service.ts';

@ApiTags('projects')
@Controller('/v1/projects')
export class ProjectsController {
  constructor(private readonly projects: Projects) {}

  @Requires('project:read', 'project:own')
  @Get()
  @ApiOperation({ summary: 'List projects: one’s own and those one may sign in to; owners see all.' })
  @Answers(ProjectPage)
  list(@From() caller: Caller, @Query({ schema: ProjectQuery }) query: ProjectQuery) {
    return this.projects.list(caller, query);
  }

  @Requires('project:create')
  @Post()
  @ApiOperation({ summary: 'Create a project.' })
  @Answers(ProjectView, 201)
  create(@From() caller: Caller, @Body({ schema: CreateProject }) body: CreateProject) {
    return this.projects.create(caller, body);
  }

  @Requires('project:read', 'project:own')
  @Get(':project')
  @ApiOperation({ summary: 'Show a project.' })
  @Answers(ProjectView)
  get(@From() caller: Caller, @Param('project') reference: string) {
    return this.projects.get(caller, reference);
  }

  @Requires('project:update')
  @Patch(':project')
  @ApiOperation({ summary: 'Change a project’s description, disable it or bring it back.' })
  @Answers(ProjectView)
  update(
    @From() caller: Caller,
    @Param('project') reference: string,
    @Body({ schema: UpdateProject }) body: UpdateProject,
  ) {
    return this.projects.update(caller, reference, body);
  }

  @Requires('project:delete')
  @Delete(':project')
  @HttpCode(204)
  @ApiOperation({ summary: 'Disable a project: everything in it ends at once, its record stays.' })
  @Answers(z.undefined(), 204)
  async remove(@From() caller: Caller, @Param('project') reference: string): Promise<void> {
    await this.projects.remove(caller, reference);
  }

  @Requires('project:update')
  @Post(':project/admins')
  @ApiOperation({ summary: 'Give a project an admin, with a token that is shown once.' })
  @Answers(ProjectAdminView, 201)
  addAdmin(
    @From() caller: Caller,
    @Param('project') reference: string,
    @Body({ schema: AddProjectAdmin }) body: AddProjectAdmin,
  ) {
    return this.projects.addAdmin(caller, reference, body);
  }
}
