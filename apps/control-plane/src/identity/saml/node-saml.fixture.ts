/**
 * What node-saml says of an answer: a second judge for tests, written by others, who must let in whatever we let in.
 * Refuses to be used outside of tests.
 */
import { createRequire } from 'node:module';

interface NodeSaml {
  validatePostResponseAsync(form: { readonly SAMLResponse: string }): Promise<{
    readonly profile: { readonly getAssertionXml?: () => string; readonly nameID?: string } | null;
  }>;
}
const { SAML } = createRequire(import.meta.url)('@node-saml/node-saml') as {
  readonly SAML: new (options: object) => NodeSaml;
};

/** @returns the assertion that it takes for signed @throws Error when there is none */
export async function judgedByNodeSaml(
  base64: string,
  trust: {
    readonly certificates: readonly string[];
    /** What has to be signed. */
    readonly response: boolean;
    readonly assertion: boolean;
    readonly decryptionKey?: string | undefined;
  },
): Promise<string> {
  const { certificates, response, assertion, decryptionKey } = trust;
  const never = { saveAsync: nothing, getAsync: nothing, removeAsync: nothing };
  const { profile } = await new SAML({
    issuer: 'sp',
    audience: false,
    callbackUrl: 'https://sp.example/acs',
    idpCert: [...certificates],
    wantAuthnResponseSigned: response,
    wantAssertionsSigned: assertion,
    validateInResponseTo: 'never',
    cacheProvider: never,
    acceptedClockSkewMs: -1,
    ...(decryptionKey === undefined ? {} : { decryptionPvk: decryptionKey }),
  }).validatePostResponseAsync({ SAMLResponse: base64 });
  const xml = profile?.getAssertionXml?.();
  if (xml === undefined) throw new Error('no assertion');
  return xml;
}

const nothing = (): Promise<null> => Promise.resolve(null);
