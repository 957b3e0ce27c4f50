export { extractSqlFacts } from './extract.ts';
export { createFactsCache, type FactsCache } from './facts-cache.ts';
export { HARMLESS_FUNCTIONS, HARMLESS_OPERATORS, HARMLESS_VOLATILE_FUNCTIONS } from './harmless-functions.ts';
export { createParsePool, type ParsePool, type ParsePoolOptions } from './parse-pool.ts';
export { loadSqlParser, PARSER_VERSION, SUPPORTED_SERVER_MAJORS } from './parser.ts';
export { effectsOf, isUnknownSql, type SqlReading, type SqlUnknown, type UnknownReason } from './reading.ts';
export { shapeKey } from './shape-key.ts';
