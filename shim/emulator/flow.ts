/**
 * One direction of a stream through the filter: what comes in, what the filter holds back, what goes on
 * (Envoy: source/common/http/filter_manager.cc, for a chain of this one filter).
 */
import { DataAction } from "./abi.js";
import type { Body } from "./context.js";
import type { HeaderMap } from "./header-map.js";

/** The filter's answers: headers and trailers go on or not, data with one of FilterDataStatus. */
export interface FilterSide {
  headers(headers: HeaderMap, endOfStream: boolean): boolean;
  data(body: Body, endOfStream: boolean): number;
  trailers(trailers: HeaderMap): boolean;
}

type Held = "nothing" | "everything" | "data" | "trailers";

const STOP_NO_BUFFER = 3;

export class Flow {
  readonly #filter: FilterSide;
  /** The headers that came in; what the filter changes is changed here. */
  incoming: HeaderMap | undefined;
  #incomingEnd = false;
  #held: Held = "nothing";
  #bufferedByFilter = false;
  /** What is held, as the guest last saw it: it may still change it. */
  #buffer: Body[] = [];
  #incomingTrailers: HeaderMap | undefined;

  /** What has gone on. */
  passedHeaders: HeaderMap | undefined;
  passedTrailers: HeaderMap | undefined;
  readonly passedBody: Buffer[] = [];
  complete = false;
  /** A local reply or the end of the stream: nothing goes on any more. */
  aborted = false;

  constructor(filter: FilterSide) {
    this.#filter = filter;
  }

  /** Whether the filter holds something back. */
  get paused(): boolean {
    return this.#held !== "nothing" && !this.aborted;
  }

  receiveHeaders(headers: HeaderMap, endOfStream: boolean): void {
    this.incoming = headers;
    this.#incomingEnd = endOfStream;
    const goOn = this.#filter.headers(headers, endOfStream);
    if (this.aborted) return;
    if (goOn) this.#passHeaders();
    else this.#held = "everything";
  }

  receiveData(bytes: Buffer, endOfStream: boolean): void {
    this.#incomingEnd = endOfStream;
    if (this.aborted) return;
    if (this.#held === "everything") this.#buffer.push({ bytes });
    else this.#filterData(bytes);
  }

  receiveTrailers(trailers: HeaderMap): void {
    this.#incomingTrailers = trailers;
    this.#incomingEnd = true;
    if (this.aborted || this.#held === "everything") return;
    this.#filterTrailers(trailers);
  }

  /** The guest lets it go on. */
  resume(): void {
    if (this.aborted || this.complete) return;
    const held = this.#held;
    this.#held = "nothing";
    if (this.passedHeaders === undefined) this.#passHeaders();
    if (held === "everything") this.#filterHeld();
    else this.#passBuffer();
    if (held === "trailers") this.#passTrailers();
  }

  /** What arrived while everything was held has not been through the filter yet. */
  #filterHeld(): void {
    const bytes = this.#takeBuffer();
    if (bytes.length > 0) this.#filterData(bytes);
    if (this.#incomingTrailers !== undefined && !this.aborted) this.#filterTrailers(this.#incomingTrailers);
  }

  #filterData(bytes: Buffer): void {
    const end = this.#incomingEnd && this.#incomingTrailers === undefined;
    // The filter that asked for a buffer sees all of it again, with what is new at its end.
    if (this.#bufferedByFilter) bytes = Buffer.concat([this.#takeBuffer(), bytes]);
    const body = { bytes };
    const action = this.#filter.data(body, end);
    this.#bufferedByFilter = action === DataAction.StopAndBuffer;
    if (this.aborted) return;
    if (action !== STOP_NO_BUFFER) this.#buffer.push(body);
    if (action === DataAction.Continue) {
      this.#held = "nothing";
      this.#passBuffer();
    } else {
      this.#held = "data";
    }
  }

  #filterTrailers(trailers: HeaderMap): void {
    const goOn = this.#filter.trailers(trailers);
    if (this.aborted) return;
    this.#held = goOn ? "nothing" : "trailers";
    if (!goOn) return;
    this.#passBuffer();
    this.#passTrailers();
  }

  #passHeaders(): void {
    this.passedHeaders = this.incoming;
    if (this.#incomingEnd && this.#buffer.length === 0 && this.#incomingTrailers === undefined) this.complete = true;
  }

  #passBuffer(): void {
    if (this.#buffer.length > 0) this.passedBody.push(this.#takeBuffer());
    if (this.#incomingEnd && this.#incomingTrailers === undefined) this.complete = true;
  }

  #takeBuffer(): Buffer {
    return Buffer.concat(this.#buffer.splice(0).map((body) => body.bytes));
  }

  #passTrailers(): void {
    this.passedTrailers = this.#incomingTrailers;
    this.complete = true;
  }
}
