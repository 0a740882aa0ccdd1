import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

interface Place {
  readonly address: string;
  readonly port: number;
}

/** A place that leads to another. */
export interface Forwarder {
  /** How long it holds what goes to the other place, from now on. */
  delayMs: number;
  /** Ends all its connections, and stops listening. May be called twice. */
  close(): Promise<void>;
}

/** The forwarders of a box, which end with it. Servers of this process listen on 127.0.0.1 alone; through these they are reached at other places. */
export class Forwarders {
  private readonly opened: Forwarder[] = [];

  /** Listens at `from`, and hands on to `to` what comes there, and what comes back. @throws if the port is taken */
  async open(from: Place, to: Place): Promise<Forwarder> {
    const sockets = new Set<Socket>();
    const keep = (socket: Socket): void => {
      sockets.add(socket);
      socket.once("close", () => sockets.delete(socket));
    };
    const server = createServer({ noDelay: true, allowHalfOpen: true }, (client) => {
      const upstream = connect({ host: to.address, port: to.port, noDelay: true, allowHalfOpen: true });
      keep(client);
      keep(upstream);
      client.on("error", () => upstream.destroy());
      upstream.on("error", () => client.resetAndDestroy());
      upstream.pipe(client);
      void hand(client, upstream, forwarder);
    });
    const forwarder = { delayMs: 0, close: () => end(server, sockets) };
    server.listen(from.port, from.address);
    await once(server, "listening");
    this.opened.push(forwarder);
    return forwarder;
  }

  async close(): Promise<void> {
    await Promise.all(this.opened.map((forwarder) => forwarder.close()));
  }
}

async function hand(client: Socket, upstream: Socket, forwarder: { readonly delayMs: number }): Promise<void> {
  try {
    for await (const chunk of client as AsyncIterable<Buffer>) {
      if (forwarder.delayMs > 0) await delay(forwarder.delayMs);
      if (!upstream.write(chunk)) await once(upstream, "drain");
    }
    upstream.end();
  } catch {
    upstream.destroy();
  }
}

async function end(server: Server, sockets: ReadonlySet<Socket>): Promise<void> {
  if (!server.listening) return;
  server.close();
  for (const socket of sockets) socket.destroy();
  await once(server, "close");
}
