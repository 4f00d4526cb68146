/** What the store takes; the types are the configuration's, which knows no service. */
export type { ZoneDescription, ZoneRecord } from '../../../config/zone-description.ts';
