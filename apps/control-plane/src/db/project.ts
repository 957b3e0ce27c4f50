/**
 * The project that a call belongs to. There is one (`default`) now; every table, key and check carries its id already.
 * Refuses to make projects; bootstrap does.
 */
import { Injectable } from '@nestjs/common';

@Injectable()
export class Project {
  /** UUID text; set by bootstrap before any server listens. */
  id = '';
}
