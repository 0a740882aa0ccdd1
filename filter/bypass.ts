/** Requests that the filter leaves alone, such as health checks. */
import { Ascii } from "./ascii";
import { Bytes } from "./host/bytes";

export class Bypass {
  constructor(
    private path: Bytes,
    /** Empty: on any host. */
    private hosts: Bytes[],
  ) {}

  /** Whether it is about this request. `path` with its query; `name`: the host, or at a waypoint the service; null: not known. */
  matches(path: Bytes, name: Bytes | null): bool {
    if (!path.startsWith(this.path)) return false;
    if (path.length != this.path.length && path.at(this.path.length) != Ascii.Question) return false;
    const hosts = this.hosts;
    for (let i = 0; i < hosts.length; i++) {
      if (name !== null && hosts[i].equals(name)) return true;
    }
    return hosts.length == 0;
  }
}
