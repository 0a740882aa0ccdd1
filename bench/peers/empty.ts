/** The least that Envoy accepts as a filter: what WebAssembly itself costs. It sees request headers and lets them pass. */
export function proxy_abi_version_0_2_1(): void {}

export function proxy_on_memory_allocate(_size: i32): usize {
  return 0;
}

export function proxy_on_context_create(_id: u32, _parent: u32): void {}

export function proxy_on_request_headers(_id: u32, _headers: i32, _endOfStream: i32): i32 {
  return 0;
}
