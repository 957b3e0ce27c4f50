/** Secrets that lie on the host itself: a variable of the process, a file (read at each ask, so a change is seen at once). */
import path from 'node:path';
import { type CredentialSource, FIELD, pickFrom, type SourceHost, USERNAME_FIELD, unavailable } from './source.ts';

/** What a variable may be called: never a setting of Sallyport's own (a join token or a master key stands in one). */
const VARIABLE = /(?!SALLYPORT_(?!SECRET_))[A-Za-z_][A-Za-z0-9_]{0,127}/;

export function envSource(host: SourceHost): CredentialSource {
  return {
    kind: 'env',
    about: 'A variable of the process.',
    settings: {
      name: { required: true, pattern: VARIABLE, help: 'a variable, and not one of Sallyport’s own' },
      field: FIELD,
      username_field: USERNAME_FIELD,
    },
    perSession: () => false,
    fetch: async (ask) => {
      const value = host.variable(ask.settings['name'] ?? '');
      if (value === undefined || value === '') throw unavailable('env', 'variable not set');
      return pickFrom('env', value, ask);
    },
  };
}

export function fileSource(host: SourceHost): CredentialSource {
  return {
    kind: 'file',
    about: 'A file of the host.',
    settings: {
      path: { required: true, pattern: /\/(?!.*\/\.\.\/)[^\0]{1,400}/, help: 'an absolute path' },
      field: FIELD,
      username_field: USERNAME_FIELD,
    },
    perSession: () => false,
    fetch: async (ask) => {
      const file = ask.settings['path'] ?? '';
      if (!path.isAbsolute(file)) throw unavailable('file', 'path not absolute');
      let text: string;
      try {
        text = await host.readText(file);
      } catch (cause) {
        throw unavailable('file', 'file cannot be read', cause);
      }
      return pickFrom('file', text, ask);
    },
  };
}
