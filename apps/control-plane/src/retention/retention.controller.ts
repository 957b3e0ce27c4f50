/** REST of retention. Parses, calls, returns. */
import { Body, Controller, Get, Put } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { type Caller, From, Requires } from '../http/caller.ts';
import { Answers } from '../http/schema.ts';
import { RetentionSetting } from './retention.dto.ts';
import { Retention } from './retention.service.ts';

@ApiTags('trail')
@Controller('/v1/retention')
export class RetentionController {
  constructor(private readonly retention: Retention) {}

  @Requires('trail:read')
  @Get()
  @ApiOperation({ summary: 'After how many days this project’s sessions are erased and its events leave the index.' })
  @Answers(RetentionSetting)
  get(@From() caller: Caller) {
    return this.retention.get(caller);
  }

  @Requires('retention:update')
  @Put()
  @ApiOperation({
    summary: 'Say after how many days sessions are erased. What is older goes within the hour, for good.',
  })
  @Answers(RetentionSetting)
  set(@From() caller: Caller, @Body({ schema: RetentionSetting }) body: RetentionSetting) {
    return this.retention.set(caller, body);
  }
}
