/** How long a project keeps what can be read of its sessions, in REST. */
import { z } from 'zod';
import { open } from '../http/schema.ts';

/** A century: more is `null`. */
const DAYS_MAX = 36_500;
const Days = z.number().int().min(1).max(DAYS_MAX).nullable();

export const RetentionSetting = z
  .strictObject({
    sessionsDays: open(Days).describe(
      'Days after its end that a session can be read; then its key is destroyed and its recording deleted. null = for good.',
    ),
    eventsDays: open(Days).describe(
      'Days that events can be searched for; the record itself and administrative acts stay. null = for good.',
    ),
  })
  .meta({ id: 'Retention' });
export type RetentionSetting = z.infer<typeof RetentionSetting>;
