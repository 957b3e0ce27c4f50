/** OpenSSH's keys and certificates, for who issues them (control plane, agent) and who checks them (protocol-ssh). Pure. */
export {
  CERTIFICATE_BYTES_MAX,
  type CertificateKind,
  type CertificateRequest,
  type CertificateTerms,
  certificateBlob,
  certificateToSign,
  certificateType,
  checkCertificate,
  isCertificateType,
  PRINCIPALS_MAX,
  parseCertificate,
  type SshCertificate,
} from './certificate.ts';
export { opensshPrivateKey, type PrivateKey, privateKeyOf } from './private-key.ts';
export {
  fingerprint,
  jwkThumbprint,
  parsePublicKey,
  parsePublicKeyLine,
  publicKeyBlob,
  publicKeyLine,
  RSA_BITS_MIN,
  type SshPublicKey,
  signatureBlob,
  signatureHolds,
} from './public-key.ts';
export { WireReader, wireString, wireUint32, wireUint64 } from './wire.ts';
