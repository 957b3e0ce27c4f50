/** What every protocol keeps, kept by SSH: a client of one's own, the real session, a real sshd that logs what it runs. */
import { execFileSync } from 'node:child_process';
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describeConformance } from '@sallyport/protocol-kit/conformance';
import { sshdMissing } from '@sallyport/testkit';
import { afterAll, beforeAll, test } from 'vitest';
import { type Bench, openBench } from '../test/bench.fixture.ts';
import { ExecClient } from '../test/exec-client.fixture.ts';

let bench: Bench;
let ranFile: string;

if (sshdMissing) test.skip('conformance needs sshd', () => undefined);
else {
  beforeAll(async () => {
    bench = await openBench();
    ranFile = path.join(bench.dir, 'ran');
    writeFileSync(ranFile, '');
    appendFileSync(ranFile, '');
  });
  afterAll(() => bench?.stop());

  describeConformance('SSH', {
    // What runs leaves its marker on the host.
    reads: (marker) => `echo ${marker} >> ${ranFile}; seq 3`,
    // It ends with its stdin, as sshd ends it: what reads nothing outlives its connection there (SECURITY.md).
    lasts: (marker) => `echo ${marker} >> ${ranFile}; exec sh -c 'read x' ${marker}`,
    unknown: (marker) => `echo ${marker} >> ${ranFile}; echo 'open`,
    start: async (options) => {
      const gateway = await bench.gateway(options);
      return {
        judged: gateway.judged,
        held: () => gateway.holds,
        recordedRows: () =>
          Buffer.concat(
            gateway.recorded.streams.flatMap((frame) =>
              frame.kind === 'output' && frame.stream === 'stdout' ? [frame.bytes] : [],
            ),
          ),
        end: (code) => gateway.end(code),
        close: () => gateway.close(),
        upstreamSaw: (marker) => existsSync(ranFile) && readFileSync(ranFile, 'utf8').includes(marker),
        running: (marker) => {
          const seen = execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' });
          return Promise.resolve(
            seen.split('\n').filter((line) => line.startsWith('sh -c read x') && line.endsWith(marker)).length,
          );
        },
        connect: async () => {
          const client = new ExecClient(gateway.port);
          await client.ready;
          return {
            ask: (statement) => client.begin(statement),
            push: (statement) => client.push(statement),
            closed: () => client.closed(),
            destroy: () => client.destroy(),
          };
        },
      };
    },
  });
}
