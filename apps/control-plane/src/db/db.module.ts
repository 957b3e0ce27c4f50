/** Gives every feature the database. Global, since each of them needs it and none may make its own. */
import { Global, Module } from '@nestjs/common';
import { Backlog } from './backlog.ts';
import { Database } from './database.ts';
import { ProjectDirectory } from './project.ts';
import { Upkeep } from './upkeep.ts';

@Global()
@Module({ providers: [Database, ProjectDirectory, Upkeep, Backlog], exports: [Database, ProjectDirectory] })
export class DbModule {}
