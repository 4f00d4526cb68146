import { oneOf, type ValueParser } from './values.ts';

/** The key `engine`: how the host's sockets are reached. 'auto' is epoll where it works. */
export const ENGINES = ['auto', 'epoll', 'node'] as const;
export type EngineChoice = (typeof ENGINES)[number];

export const engineChoice: ValueParser<EngineChoice> = oneOf(...ENGINES);
