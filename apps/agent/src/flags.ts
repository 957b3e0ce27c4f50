/**
 * V8 settings that must be in place before anything allocates; imported first by main.ts.
 * Without this one TLS reads count as garbage pressure and force a full collection every few hundred statements
 * (Node 24; check again at each Node upgrade).
 */
import v8 from 'node:v8';

v8.setFlagsFromString('--external-memory-accounted-in-global-limit');
