import { appendFile } from "node:fs/promises";
import { dirname } from "node:path";

import { type CertificateAuthority, createCertificateAuthority } from "../../../shim/local/ca.js";
import type { LocalServer } from "../../../shim/local/server.js";
import type { WorkFiles } from "../../../shim/local/work-files.js";
import type { Addresses } from "./addresses.js";
import type { Forwarders } from "./forwarder.js";

/**
 * What the proxies find outside of their mesh. They resolve its names and trust its certificates as they would in production,
 * by DNS and the system's root certificates, so that what is deployed there needs no change here.
 */
export class Outside {
  private readonly servers: LocalServer[] = [];

  private constructor(
    /** In the place of each proxy's /etc/hosts. */
    readonly hostsPath: string,
    /** In the place of each proxy's /etc/ssl/certs: it has `ca` alone. */
    readonly trustFolder: string,
    /** Issues certificates that the proxies take for those of a public authority. */
    readonly ca: CertificateAuthority,
    private readonly addresses: Addresses,
    private readonly forwarders: Forwarders,
  ) {}

  static async open(files: WorkFiles, addresses: Addresses, forwarders: Forwarders): Promise<Outside> {
    const ca = await createCertificateAuthority();
    const hostsPath = await files.write("hosts", "127.0.0.1 localhost\n");
    const bundle = await files.write("trust/ca-certificates.crt", ca.certificate);
    return new Outside(hostsPath, dirname(bundle), ca, addresses, forwarders);
  }

  /** Lets `hosts` lead to a server of this process, at `port` of an address of their own, and closes it with the box. */
  async publish<T extends LocalServer>(hosts: readonly string[], port: number, server: T): Promise<T> {
    this.servers.push(server);
    const address = this.addresses.next();
    await this.forwarders.open({ address, port }, { address: "127.0.0.1", port: server.port });
    // It is mounted into the proxies: another file in its place would not be seen.
    await appendFile(this.hostsPath, hosts.map((host) => `${address} ${host}\n`).join(""));
    return server;
  }

  async close(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.close()));
  }
}
