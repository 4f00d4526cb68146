import type { ServerResponse } from 'node:http';
import { z } from 'zod';
import { SlipwayError } from '../../../facts/errors.ts';
import { value } from '../../../config/schema-parts.ts';
import { Mismatch, type ValueParser } from '../../../config/values.ts';
import type { ControlParts } from '../control-parts.ts';
import type { ControlScope } from '../../server/control-server.ts';
import { type ControlEvent, EVENT_TYPES, type EventType } from '../event-feed.ts';
import { eventJson } from '../event-json.ts';

/** Each may hold MAX_BACKLOG_BYTES. */
const MAX_STREAMS = 32;
/** What a reader may leave unread in this process; the socket's buffers hold about as much again. */
const MAX_BACKLOG_BYTES = 256 * 1024;
/** Keeps the connection from being taken for dead, by either side. */
const HEARTBEAT_MS = 15_000;
/** By then a peer on this computer has answered what it does not want. */
const PROBE_MS = 500;
const STREAM_HEADERS = { 'content-type': 'text/event-stream', 'cache-control': 'no-store' } as const;

const someTypes: ValueParser<readonly EventType[]> = (raw) => {
  const words = typeof raw === 'string' ? raw.split(',') : [];
  const types = words.flatMap((word) => EVENT_TYPES.find((type) => type === word) ?? []);
  const all = words.length > 0 && types.length === words.length;
  return all ? types : new Mismatch(`some of ${EVENT_TYPES.join(',')} with commas between them`);
};

const wantedTypes = value(someTypes)
  .optional()
  .meta({ type: 'string', description: `Some of ${EVENT_TYPES.join(',')}; all by default` });

/**
 * Server-sent events: what happens from now on. A reader that does not keep up is cut off
 * ('control-event-reader-dropped'). It can reread the lists to see what it missed; nothing is replayed.
 */
export function eventRoutes(
  scope: ControlScope,
  { events, counters }: Pick<ControlParts, 'events' | 'counters'>,
): void {
  const open = new Set<ServerResponse>();
  scope.get(
    '/v1/events',
    {
      schema: {
        summary: 'What happens, as server-sent events',
        tags: ['events'],
        querystring: z.strictObject({ types: wantedTypes }),
        response: { 200: { description: 'Done', content: { 'text/event-stream': { schema: z.string() } } } },
      },
    },
    ({ query, method }, reply) => {
      // It asks what a stream would be like, and gets none.
      if (method === 'HEAD') {
        void reply.headers(STREAM_HEADERS).send('');
        return;
      }
      if (open.size >= MAX_STREAMS) {
        counters.add('control-event-reader-limit');
        const hint = 'Close one of them.';
        throw new SlipwayError('ERR_CONTROL_BUSY', `there are ${MAX_STREAMS} event streams already`, hint);
      }
      reply.hijack();
      const stream = reply.raw;
      open.add(stream);
      const wanted: ReadonlySet<EventType> = new Set(query.types ?? EVENT_TYPES);
      const write = (text: string): void => {
        stream.write(text);
        if (stream.writableLength <= MAX_BACKLOG_BYTES) return;
        counters.add('control-event-reader-dropped');
        stream.destroy();
      };
      const unsubscribe = events.subscribe((event) => {
        if (wanted.has(event.type) && !stream.destroyed) write(eventText(event));
      });
      const heartbeat = setInterval(() => write(':\n\n'), HEARTBEAT_MS);
      heartbeat.unref();
      // Who only closed its side goes on reading. Who is gone is known by writing twice: the first may be what makes
      // the peer reset.
      let probe: NodeJS.Timeout | undefined;
      stream.socket?.once('end', () => {
        write(':\n\n');
        probe = setTimeout(() => write(':\n\n'), PROBE_MS);
      });
      stream.on('close', () => {
        clearInterval(heartbeat);
        clearTimeout(probe);
        unsubscribe();
        open.delete(stream);
      });
      stream.writeHead(200, { ...STREAM_HEADERS, connection: 'close' });
      // Tells that nothing is missed from here on.
      write('event: ready\ndata: {}\n\n');
    },
  );
}

function eventText(event: ControlEvent): string {
  // JSON has no line feeds, so one line of data is enough.
  const { type, ...data } = eventJson(event);
  return `event: ${type}\ndata: ${JSON.stringify(data)}\n\n`;
}
