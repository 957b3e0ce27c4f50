/** Gives every feature the database. Global, since each of them needs it and none may make its own. */
import { Global, Module } from '@nestjs/common';
import { Database } from './database.ts';

@Global()
@Module({ providers: [Database], exports: [Database] })
export class DbModule {}
