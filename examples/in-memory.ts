// A network without a virtual machine, a device or any rights: its guest lives in this process. Good for tests.
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { text } from 'node:stream/consumers';
import { startNetwork } from 'slipway';

const server = createServer((client) => client.end('hello from this computer')).listen(0, '127.0.0.1');
await once(server, 'listening');

const network = await startNetwork();
network.setZone({ name: 'shop.test', records: [{ name: 'api', type: 'A', address: network.hostAddress }] });
const guest = await network.attachInMemory();
const socket = await guest.connect((server.address() as AddressInfo).port, 'api.shop.test');
const [flow] = await network.flows();
console.log(`${guest.address} asked ${flow?.remote}: ${await text(socket)}`);

server.close();
await once(server, 'close');
await network.stop();
