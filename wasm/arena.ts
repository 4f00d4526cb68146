/** What the arena's WebAssembly module exports; AssemblyScript, compiled by scripts/wasm.ts. */
export { sum } from './checksum';
export { train } from './train';
