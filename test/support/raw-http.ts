import { connect, type Socket } from "node:net";

export interface RawHead {
  readonly status: number;
  /** In the order of the wire, names in lower case. */
  readonly headers: readonly (readonly [name: string, value: string])[];
}

export interface RawResponse extends RawHead {
  readonly body: Buffer;
}

const END_OF_HEAD = "\r\n\r\n";

/** One HTTP/1.1 connection to 127.0.0.1, byte by byte: for requests that no client library would send. */
export class RawConnection {
  private received = Buffer.alloc(0);
  private ended = false;
  private wake: () => void = () => undefined;

  private constructor(private readonly socket: Socket) {
    socket.on("data", (chunk: Buffer) => {
      this.received = Buffer.concat([this.received, chunk]);
      this.wake();
    });
    // A reset is an end like any other: whoever still reads is told that nothing more comes.
    socket.on("error", () => undefined);
    socket.on("close", () => {
      this.ended = true;
      this.wake();
    });
  }

  static async open(port: number): Promise<RawConnection> {
    const socket = connect({ host: "127.0.0.1", port, noDelay: true });
    await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject));
    return new RawConnection(socket);
  }

  write(bytes: string | Buffer): void {
    this.socket.write(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
  }

  /** The next response, whole. `withoutBody`: it answers a HEAD or a CONNECT. */
  async response({ withoutBody = false } = {}): Promise<RawResponse> {
    const head = await this.head();
    if (withoutBody || head.status === 204 || head.status === 304) return { ...head, body: Buffer.alloc(0) };
    return { ...head, body: await this.body(head) };
  }

  /** The next response's head alone, interim responses included. */
  async head(): Promise<RawHead> {
    const [start = "", ...lines] = (await this.until(END_OF_HEAD)).split("\r\n");
    const headers = lines.map((line): [string, string] => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    });
    return { status: Number(start.split(" ")[1]), headers };
  }

  /** Exactly `size` bytes. */
  async take(size: number): Promise<Buffer> {
    await this.more(() => this.received.length >= size);
    const taken = this.received.subarray(0, size);
    this.received = this.received.subarray(size);
    return taken;
  }

  close(): void {
    this.socket.destroy();
  }

  private async body(head: RawHead): Promise<Buffer> {
    const length = headerOf(head, "content-length");
    if (length !== undefined) return this.take(Number(length));
    if (headerOf(head, "transfer-encoding") !== "chunked") {
      await this.more(() => this.ended);
      return this.take(this.received.length);
    }
    const chunks: Buffer[] = [];
    for (;;) {
      const size = Number.parseInt(await this.until("\r\n"), 16);
      const chunk = await this.take(size);
      await this.until("\r\n");
      if (size === 0) return Buffer.concat(chunks);
      chunks.push(chunk);
    }
  }

  private async until(end: string): Promise<string> {
    await this.more(() => this.received.includes(end));
    const at = this.received.indexOf(end);
    return (await this.take(at + end.length)).subarray(0, at).toString("latin1");
  }

  private async more(isEnough: () => boolean): Promise<void> {
    while (!isEnough()) {
      if (this.ended) throw new Error(`the connection ended after ${JSON.stringify(this.received.toString("latin1"))}`);
      await new Promise<void>((resolve) => (this.wake = resolve));
    }
  }
}

/** Sends one request on a connection of its own. `text` is the request as it goes over the wire. */
export async function rawRequest(
  port: number,
  text: string,
  options: { withoutBody?: boolean } = {},
): Promise<RawResponse> {
  const connection = await RawConnection.open(port);
  connection.write(text);
  try {
    return await connection.response(options);
  } finally {
    connection.close();
  }
}

/** The first value of a header. */
export function headerOf(head: RawHead, name: string): string | undefined {
  return valuesOf(head, name)[0];
}

export function valuesOf(head: RawHead, name: string): string[] {
  return head.headers.filter(([known]) => known === name).map(([, value]) => value);
}
