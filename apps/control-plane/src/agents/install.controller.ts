/**
 * What a host needs to become an agent: the script and the program. Code alone, the same for everybody, so it needs no
 * token; the join token is what lets an agent in. Refuses any file that is not in the agent's build folder.
 */
import { hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { Controller, Get, Header, Param, StreamableFile } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { GatewayError } from '@sallyport/core';
import { z } from 'zod';
import { Public } from '../http/caller.ts';
import { Answers } from '../http/schema.ts';

const ROOT = path.join(import.meta.dirname, '../../../..');
const BUILDS = path.join(ROOT, 'apps/agent/dist');
/** Which of them is current: the line that scripts/publish-build.ts writes. */
const CURRENT = /^import '\.\/(build-[0-9a-f]{16})\/agent\.mjs';$/m;
const FILE = /^[\w.-]+\.(mjs|js|wasm|node|json|map)$/;

const PackageFiles = z
  .object({ files: z.array(z.object({ name: z.string(), sha256: z.string(), size: z.number() })) })
  .meta({ id: 'AgentPackage' });

const missing = (what: string, cause: unknown): GatewayError =>
  new GatewayError('request.not_found', { what }, { cause });

/** The build in force; asked for anew each time, since `npm start` may have made another. */
async function packageDir(): Promise<string> {
  const entry = await readFile(path.join(BUILDS, 'agent.mjs'), 'utf8').catch((cause: unknown) => {
    throw missing('package', cause);
  });
  const name = CURRENT.exec(entry)?.[1];
  if (name === undefined) throw missing('package', undefined);
  return path.join(BUILDS, name);
}

@ApiTags('agents')
@Controller()
export class InstallController {
  /** Public: it holds no secret, and a fresh host has no token. */
  @Public()
  @Get('/install-agent.sh')
  @Header('content-type', 'text/x-shellscript; charset=utf-8')
  async script(): Promise<string> {
    return await readFile(path.join(ROOT, 'deploy/install-agent.sh'), 'utf8').catch((cause: unknown) => {
      throw missing('install-agent.sh', cause);
    });
  }

  /** Public: as the script. */
  @Public()
  @Get('/v1/agents/package')
  @ApiOperation({ summary: 'Files of the agent’s program, with their digests.' })
  @Answers(PackageFiles)
  async files(): Promise<z.infer<typeof PackageFiles>> {
    const dir = await packageDir();
    const entries = await readdir(dir, { withFileTypes: true });
    const names = entries.filter((entry) => entry.isFile() && FILE.test(entry.name)).map((entry) => entry.name);
    const files = await Promise.all(
      names.sort().map(async (name) => {
        const bytes = await readFile(path.join(dir, name));
        return { name, sha256: hash('sha256', bytes), size: bytes.length };
      }),
    );
    return { files };
  }

  /** Public: as the script. */
  @Public()
  @Get('/v1/agents/package/:file')
  @ApiOperation({ summary: 'One file of the agent’s program.' })
  async file(@Param('file') file: string): Promise<StreamableFile> {
    const { files } = await this.files();
    if (!files.some((known) => known.name === file)) throw new GatewayError('request.not_found', { file });
    const bytes = createReadStream(path.join(await packageDir(), file));
    return new StreamableFile(bytes, { type: 'application/octet-stream' });
  }
}
