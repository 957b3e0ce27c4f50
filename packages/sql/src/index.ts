export { extractSqlFacts } from './extract.ts';
export { createFactsCache, type FactsCache } from './facts-cache.ts';
export { isShippedBy } from './functions-since.ts';
export { HARMLESS_FUNCTIONS, HARMLESS_OPERATORS, HARMLESS_VOLATILE_FUNCTIONS } from './harmless-functions.ts';
export { NEWEST_SERVER_MAJOR, SUPPORTED_SERVER_MAJORS } from './majors.ts';
export { createParsePool, type ParsePool, type ParsePoolOptions } from './parse-pool.ts';
export { loadSqlParser, PARSER_VERSION } from './parser.ts';
export { effectsOf, isUnknownSql, type SqlReading, type SqlUnknown, type UnknownReason } from './reading.ts';
export { shapeKey } from './shape-key.ts';
