/** Envoy configuration as plain JSON: protobuf JSON of the Envoy v3 API with the field names of the .proto files. */
export type Json = string | number | boolean | readonly Json[] | JsonObject;

export interface JsonObject {
  readonly [field: string]: Json;
}

/** A `google.protobuf.Any`: `message` is the full name of the protobuf message that `fields` spell out. */
export function typed(message: string, fields: JsonObject = {}): JsonObject {
  return { "@type": `type.googleapis.com/${message}`, ...fields };
}

/** The wrapper that names an extension, as in `http_filters` or `transport_socket`. */
export function extension(name: string, message: string, fields: JsonObject = {}): JsonObject {
  return { name, typed_config: typed(message, fields) };
}
