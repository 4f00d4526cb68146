/** What a flow speaks. */
export type FlowProtocol = 'tcp' | 'udp';
