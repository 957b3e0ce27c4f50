/** A record that conditions know by its class. Refuses to check its fields: the registry lists which there are. */
export class Fact {
  constructor(fields: object) {
    Object.assign(this, fields);
  }
}

/** Fields that nobody could read: a condition that needs one is not computable, one that does not is as ever. */
export function unreadable<T extends Fact>(fact: T, fields: readonly string[]): T {
  for (const field of fields)
    Object.defineProperty(fact, field, {
      enumerable: true,
      get: () => {
        throw new Error(`${field} was not read`);
      },
    });
  return fact;
}
