/** The agent's version, for the record and the control plane. */
export const VERSION = '0.1.0';
