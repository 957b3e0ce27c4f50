/**
 * V8 settings that must be in place before anything allocates; imported first by main.ts.
 * Without this one TLS reads count as garbage pressure and force a full collection every few hundred statements
 * (Node 24; check again at each Node upgrade). V8 takes `--max-semi-space-size=4` on the command line alone, so launchers
 * give it (deploy/): without, the young generation grows to 64 MB and more under load, and nothing is faster for it.
 */
import v8 from 'node:v8';

v8.setFlagsFromString('--external-memory-accounted-in-global-limit');
