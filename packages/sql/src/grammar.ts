/** What is used of libpg-query, to be imported when something is read: its import starts the WebAssembly. */
export { loadModule, parseSync, scanSync } from 'libpg-query';
