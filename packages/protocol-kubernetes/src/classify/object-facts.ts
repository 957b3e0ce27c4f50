/** What rules about objects ask for: read in the model, since the control plane explains calls with it. Refuses to know more. */
export { NO_OBJECT, type ObjectFacts, objectFactsOf } from '@sallyport/model';
