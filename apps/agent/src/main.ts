#!/usr/bin/env node
/** Settings of V8 first, then the agent's process: what is imported statically would run before them. */
import './flags.ts';

await import('./process.ts');
