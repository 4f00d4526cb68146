import { createHash, randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer as createHttpServer, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { pipeline, Readable } from 'node:stream';

const DOWNLOAD_BLOCKS = 100;
const BLOCK_BYTES = 2 ** 20;
const LOOPBACK = '127.0.0.1';

/** What the demo's guest talks to: servers on this computer's loopback, each on a port of its own choice. */
export interface DemoServers {
  readonly httpPort: number;
  readonly downloadBytes: number;
  readonly sha256: string;
  readonly refusedPort: number;
  readonly udpPort: number;
  close(): void;
}

export async function startDemoServers(): Promise<DemoServers> {
  const block = randomBytes(BLOCK_BYTES);
  const hash = createHash('sha256');
  for (let i = 0; i < DOWNLOAD_BLOCKS; i++) hash.update(block);
  const http = createHttpServer((_request, response) => send(response, block));
  const echo = createSocket('udp4', (message, from) => echo.send(message, from.port, from.address));
  echo.bind(0, LOOPBACK);
  await once(echo, 'listening');
  return {
    httpPort: await listen(http),
    downloadBytes: DOWNLOAD_BLOCKS * BLOCK_BYTES,
    sha256: hash.digest('hex'),
    refusedPort: await unusedPort(),
    udpPort: (echo.address() as AddressInfo).port,
    close: () => {
      http.closeAllConnections();
      http.close();
      echo.close();
    },
  };
}

function send(response: ServerResponse, block: Uint8Array): void {
  response.writeHead(200, {
    'content-length': DOWNLOAD_BLOCKS * block.length,
    'content-type': 'application/octet-stream',
  });
  const blocks = Readable.from(new Array<Uint8Array>(DOWNLOAD_BLOCKS).fill(block), { highWaterMark: 2 });
  // A guest that leaves in the middle is its own affair: the checklist shows it.
  pipeline(blocks, response, () => {});
}

async function listen(server: Server): Promise<number> {
  server.listen(0, LOOPBACK);
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** A port that was free a moment ago: nobody listens there. */
async function unusedPort(): Promise<number> {
  const server = createServer();
  const port = await listen(server);
  server.close();
  await once(server, 'close');
  return port;
}
