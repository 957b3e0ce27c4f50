/** Paths as text: `.` and `..` taken out, doubled slashes too. Symbolic links are the host's; nothing here follows them. */

/** `~` and `~name` in front stay what they are: home directories whose place is not known. */
export function normalPath(path: string): string {
  if (!path.includes('/') && path !== '.' && path !== '..') return path;
  const absolute = path.startsWith('/');
  const out: string[] = [];
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue;
    const last = out.at(-1);
    // Above a home directory is unknown ground: `~/..` stays readable as what it is.
    if (part === '..' && last !== undefined && last !== '..' && !last.startsWith('~')) out.pop();
    else if (part !== '..' || !absolute || out.length > 0) out.push(part);
  }
  if (absolute) return `/${out.join('/')}`;
  return out.length === 0 ? '.' : out.join('/');
}

/** @param directories where the shell may stand; empty = not known */
export function placesOf(path: string, directories: readonly string[]): readonly string[] {
  const places = namedPlaces(path, directories);
  const more = places.flatMap(otherNames);
  return more.length === 0 ? places : [...new Set([...places, ...more])];
}

/** `~/../../etc` is `/etc` from every home directory that lies so deep or less; `/proc/self/root` is the root. */
function otherNames(path: string): readonly string[] {
  const above = /^~[^/]*((?:\/\.\.)+)(\/.*)?$/.exec(path);
  if (above !== null) return [above[2] ?? '/'];
  const below = /^\/proc\/[^/]+(?:\/task\/[^/]+)?\/root(\/.*)?$/.exec(path);
  return below === null ? [] : [below[1] ?? '/'];
}

function namedPlaces(path: string, directories: readonly string[]): readonly string[] {
  if (path.startsWith('/') || path.startsWith('~')) return [normalPath(path)];
  // Something unknown in front may be an absolute path.
  if (path.startsWith('$') || path.startsWith('`')) return [path];
  if (directories.length === 0) {
    const normal = normalPath(path);
    return [normal === '.' || normal.startsWith('..') ? normal : `./${normal}`];
  }
  return directories.map((directory) => normalPath(`${directory}/${path}`));
}

export const baseName = (path: string): string => path.slice(path.lastIndexOf('/') + 1);
