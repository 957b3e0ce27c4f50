/** Kubernetes: an API server behind the gateway's HTTPS listener. What the agent's registry and `policy explain` import. */
export { classify } from './classify.ts';
export { createKubernetesDialect } from './session.ts';
