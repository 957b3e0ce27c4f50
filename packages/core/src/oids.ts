/**
 * Object identifiers and names that Sallyport's certificates carry: one extended key usage per purpose, so that a
 * certificate made for one cannot serve another. Refuses to know X.509 itself.
 * The arc is `2.25.<UUID as decimal>` (ITU-T X.667), which anyone may mint. Public contract: add, never reuse.
 */
const ARC = '2.25.119723528452151247704300342189696703083';

/** An agent's checkpoints over its trail segments. */
export const EKU_AGENT_TRAIL = `${ARC}.1`;
/** The control plane's own checkpoints and signed tree heads. */
export const EKU_CONTROL_TRAIL = `${ARC}.2`;
/** Bundle manifests. */
export const EKU_BUNDLE_SIGNING = `${ARC}.3`;
/** An agent's identity towards the control plane, beside TLS client authentication. */
export const EKU_AGENT_IDENTITY = `${ARC}.4`;
/** The control plane's identity towards agents, beside TLS server authentication. */
export const EKU_CONTROL_IDENTITY = `${ARC}.5`;
/** Approvals and revocations. */
export const EKU_APPROVAL_SIGNING = `${ARC}.6`;

/** The URI subject alternative name that binds a certificate to an agent. @param agentId UUID text */
export const agentUri = (agentId: string): string => `sallyport://agent/${agentId}`;
/** The URI subject alternative name that binds a certificate to a control plane. @param controlPlaneId UUID text */
export const controlPlaneUri = (controlPlaneId: string): string => `sallyport://control-plane/${controlPlaneId}`;
