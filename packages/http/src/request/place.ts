/**
 * What a resource says of the path a request is for: its route, and whether GraphQL is spoken there. Of the path as it is written,
 * and as services read it that take parameters off segments (`/a;x=1`), or find GraphQL in any case and behind a slash.
 * Refuses to say which of the readings holds: whoever judges takes both.
 */
import { EFFECTS, type Effect, type HttpFacts, type HttpRoute, withoutParameters } from '@sallyport/model';
import { matchRoute } from './routes.ts';

export interface Place {
  readonly route: HttpRoute | undefined;
  /** Of the path without parameters. */
  readonly plain: HttpRoute | undefined;
  readonly hasParameters: boolean;
  /** `meant`: by another spelling of it than the resource's. */
  readonly graphql: 'named' | 'meant' | 'no';
}

interface Described {
  readonly routes?: readonly HttpRoute[];
  readonly graphql?: readonly string[];
}

/** @param path normalised and decoded, below the resource's own path */
export function placeOf({ routes = [], graphql }: Described, method: string, path: string): Place {
  const bare = withoutParameters(path);
  const route = matchRoute(routes, method, path);
  return {
    route,
    plain: bare === path ? route : matchRoute(routes, method, bare),
    hasParameters: bare !== path,
    graphql: graphql === undefined ? 'no' : graphqlAt(graphql, path, bare),
  };
}

function graphqlAt(paths: readonly string[], path: string, bare: string): Place['graphql'] {
  if (paths.includes(path)) return 'named';
  const loose = looseOf(bare);
  return paths.some((each) => looseOf(each) === loose) ? 'meant' : 'no';
}
const looseOf = (path: string): string => path.toLowerCase().replace(/(?<=.)\/$/, '');

/** As facts name the routes. */
export const routeFacts = ({ route, plain }: Place): Pick<HttpFacts, 'route' | 'operation' | 'plain'> => ({
  ...namesOf(route),
  ...(plain === route ? {} : { plain: namesOf(plain) }),
});
const namesOf = (route: HttpRoute | undefined): { readonly route: string; readonly operation: string } => ({
  route: route?.path ?? '',
  operation: route?.operation ?? '',
});

/**
 * All that either reading does; a route's own word counts.
 * @param unrouted what the request does where no route says, by GraphQL or without
 */
export function effectsAt(place: Place, unrouted: (isGraphql: boolean) => readonly Effect[]): readonly Effect[] {
  const { route, plain, hasParameters, graphql } = place;
  const otherwise = (): readonly Effect[] =>
    graphql === 'meant' ? joined(unrouted(true), unrouted(false)) : unrouted(graphql === 'named');
  const effects = route?.effects ?? otherwise();
  return hasParameters ? joined(effects, plain?.effects ?? otherwise()) : effects;
}

const joined = (a: readonly Effect[], b: readonly Effect[]): readonly Effect[] =>
  EFFECTS.filter((effect) => a.includes(effect) || b.includes(effect));
