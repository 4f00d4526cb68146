import { z } from 'zod';
import { type ControlInput, controlEndpoint, controlSocket, tokenFile } from './control-config.ts';
import { value } from './schema-value.ts';

/** The key `control` of the file. */
export const controlSchema: z.ZodType<ControlInput> = z
  .strictObject({
    socket: value(controlSocket),
    tcp: value(controlEndpoint),
    tokenFile: value(tokenFile),
  })
  .partial();
