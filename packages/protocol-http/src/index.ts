export type { HttpDialect } from '@sallyport/http-session';
