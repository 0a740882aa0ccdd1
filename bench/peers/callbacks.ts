/** As the empty filter, with more callbacks that do nothing: what an export costs that is not needed. */
export function proxy_abi_version_0_2_1(): void {}

export function proxy_on_memory_allocate(_size: i32): usize {
  return 0;
}

export function proxy_on_context_create(_id: u32, _parent: u32): void {}

export function proxy_on_request_headers(_id: u32, _headers: i32, _endOfStream: i32): i32 {
  return 0;
}

export function proxy_on_response_headers(_id: u32, _headers: i32, _endOfStream: i32): i32 {
  return 0;
}

export function proxy_on_response_body(_id: u32, _size: i32, _endOfStream: i32): i32 {
  return 0;
}

export function proxy_on_done(_id: u32): i32 {
  return 1;
}

export function proxy_on_log(_id: u32): void {}

export function proxy_on_delete(_id: u32): void {}
