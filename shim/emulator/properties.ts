/** Properties of a context (context.cc: getProperty, setProperty). */
import { Status } from "./abi.js";
import type { Context } from "./context.js";

/** Tables are written with dots for the NULs of the ABI: "xds.cluster_name". */
const dotted = new Map<string, string>();
const MAX_PATHS = 256;

/**
 * The value of a path whose parts are separated by NUL, or the status that says why there is none. Values are
 * bytes as the guest gets them, as latin1 strings: numbers are eight bytes, little endian.
 */
export function getProperty(context: Context, path: string): string | number {
  if (path === "") return Status.SerializationFailure;
  const name = dots(path);
  switch (name) {
    case "plugin_name":
      return context.plugin.name;
    case "plugin_root_id":
      return context.plugin.rootId;
    case "plugin_vm_id":
      return context.plugin.vmId;
    default:
  }
  // A root has no request: its own plugin is all that it can ask for.
  const stream = context.stream;
  if (stream === undefined) return Status.NotFound;
  return (
    stream.property(name) ??
    context.vm.process.properties.get(name) ??
    stream.filterState.get(`wasm.${path}`) ??
    Status.NotFound
  );
}

/** A property of the stream, which getProperty then finds by the same path. */
export function setProperty(context: Context, path: string, value: string): number {
  if (context.stream === undefined) return Status.NotFound;
  context.stream.filterState.set(`wasm.${path}`, value);
  return Status.Ok;
}

/** A filter asks for the same few paths again and again. */
function dots(path: string): string {
  let name = dotted.get(path);
  if (name === undefined) {
    name = path.endsWith("\0") ? path.slice(0, -1) : path;
    name = name.replaceAll("\0", ".");
    if (dotted.size >= MAX_PATHS) dotted.clear();
    dotted.set(path, name);
  }
  return name;
}
