/** The version this program says it has; package.json's, checked by a test. */
export const VERSION = '0.1.0';
