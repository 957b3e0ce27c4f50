/** Things are addressed by id or by name: a UUID is an id, anything else a name. */
import { parseUuid } from '@sallyport/core';

export const idOrName = (reference: string): { readonly id: string } | { readonly name: string } =>
  parseUuid(reference) === undefined ? { name: reference } : { id: reference.toLowerCase() };
