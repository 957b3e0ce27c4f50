/** Our own metadata: who we are towards a SAML provider (SAML Metadata §2.4). Holds every key that may sign or open. */
import { NS } from './response-shape.ts';
import { escapeXml } from './xml.ts';

export interface SpMetadata {
  readonly entityId: string;
  readonly acsUrl: string;
  readonly sloUrl: string;
  /** PEM. */
  readonly certificates: readonly string[];
  readonly nameIdFormat: string | undefined;
}

const keyOf = (use: string, pem: string): string => {
  const body = pem.replace(/-----[^-]+-----/g, '').replace(/\s+/g, '');
  const methods =
    use === 'signing'
      ? ''
      : '<md:EncryptionMethod Algorithm="http://www.w3.org/2009/xmlenc11#aes256-gcm"/><md:EncryptionMethod Algorithm="http://www.w3.org/2009/xmlenc11#aes128-gcm"/><md:EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p"/>';
  return `<md:KeyDescriptor use="${use}"><ds:KeyInfo xmlns:ds="${NS.signature}"><ds:X509Data><ds:X509Certificate>${body}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>${methods}</md:KeyDescriptor>`;
};

export const spMetadata = (sp: SpMetadata): string =>
  `<?xml version="1.0" encoding="UTF-8"?>
<md:EntityDescriptor xmlns:md="${NS.metadata}" entityID="${escapeXml(sp.entityId)}"><md:SPSSODescriptor AuthnRequestsSigned="true" WantAssertionsSigned="true" protocolSupportEnumeration="${NS.protocol}">${sp.certificates
    .flatMap((pem) => [keyOf('signing', pem), keyOf('encryption', pem)])
    .join(
      '',
    )}<md:SingleLogoutService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="${escapeXml(sp.sloUrl)}"/>${
    sp.nameIdFormat === undefined ? '' : `<md:NameIDFormat>${escapeXml(sp.nameIdFormat)}</md:NameIDFormat>`
  }<md:AssertionConsumerService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="${escapeXml(sp.acsUrl)}" index="0" isDefault="true"/></md:SPSSODescriptor></md:EntityDescriptor>
`;
