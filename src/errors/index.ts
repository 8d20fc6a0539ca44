export { CATALOGUE, type CatalogueEntry, type ErrorCode } from './catalogue.ts';
export { type ErrorDetails, formatError, TunesmithError } from './errors.ts';
export { nearestName } from './nearest.ts';
