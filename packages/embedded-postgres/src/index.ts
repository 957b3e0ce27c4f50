export { type EmbeddedPostgres, type EmbeddedPostgresOptions, startEmbeddedPostgres, stopLeftover } from './server.ts';
