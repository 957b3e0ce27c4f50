/**
 * What making a bundle costs: cold, and after each kind of change, with the control plane's own code on its own database, in
 * this process; and what the agent's own code needs to take it. Refuses to start servers.
 */
import { createHash, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { wire } from '@sallyport/contract';
import { ROOT } from '../../scripts/stack/build.ts';

