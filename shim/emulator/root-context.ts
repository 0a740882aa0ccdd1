/** Root contexts: see context.ts. */
import { BufferType, Status } from "./abi.js";
import { Context } from "./context.js";
import type { HeaderMap } from "./header-map.js";
import type { HttpCall } from "./http-call.js";
import type { Plugin } from "./plugin.js";
import type { Vm } from "./vm.js";

/** What a callout brought, while its callback runs. */
export interface HttpCallResponse {
  readonly headers: HeaderMap;
  readonly body: Buffer;
  readonly trailers: HeaderMap | undefined;
}

/** A root: one configuration in one VM. It ticks, calls out, and outlives the configuration until its last stream. */
export class RootContext extends Context {
  readonly calls = new Map<number, HttpCall>();
  httpCallResponse: HttpCallResponse | undefined;
  statusCode = 0;
  statusMessage = "";
  /** Streams that run under this configuration. */
  streams = 0;
  /** A newer configuration has taken over. */
  retired = false;

  #configurationReadable = false;
  #pendingDone = false;
  #tickPeriodMs = 0;
  #stopTicking: (() => void) | undefined;

  constructor(vm: Vm, id: number, plugin: Plugin) {
    super(vm, id, plugin, undefined, undefined);
  }

  override get root(): this {
    return this;
  }

  /** proxy_on_context_create and proxy_on_vm_start: each root has both, not only the first of a VM. */
  start(): boolean {
    this.#configurationReadable = true;
    this.onCreate();
    this.#configurationReadable = false;
    if (this.vm.failed || !this.vm.exports("proxy_on_vm_start")) return !this.vm.failed;
    return this.notify("proxy_on_vm_start", this.vm.vmConfiguration.length) !== 0;
  }

  /** proxy_on_configure: whether the guest takes the configuration. A trap is a no. */
  configure(): boolean {
    if (!this.vm.exports("proxy_on_configure")) return true;
    this.#configurationReadable = true;
    const accepted = this.notify("proxy_on_configure", this.plugin.configuration.length) !== 0;
    this.#configurationReadable = false;
    return accepted;
  }

  override buffer(type: number): Buffer | undefined {
    if (type !== BufferType.PluginConfiguration) return super.buffer(type);
    return this.#configurationReadable ? this.plugin.configuration : undefined;
  }

  get tickPeriodMs(): number {
    return this.#tickPeriodMs;
  }

  setTickPeriod(ms: number): void {
    this.#tickPeriodMs = ms;
    this.#stopTicking?.();
    this.#stopTicking = ms > 0 ? this.vm.clock.after(ms, () => this.#tick()) : undefined;
  }

  #tick(): void {
    this.#stopTicking = undefined;
    this.notify("proxy_on_tick");
    if (this.vm.contexts.get(this.id) === this) this.setTickPeriod(this.#tickPeriodMs);
  }

  /** Called when the configuration or its last stream has gone: asks proxy_on_done, and deletes if it is ready. */
  shutDownIfUnused(): void {
    if (!this.retired || this.streams > 0 || this.#pendingDone) return;
    const ready = this.vm.failed || !this.vm.exports("proxy_on_done") || this.notify("proxy_on_done") !== 0;
    if (ready) this.delete();
    else this.#pendingDone = true;
  }

  /** proxy_done: the root that was not ready is. */
  done(): number {
    if (!this.#pendingDone) return Status.NotFound;
    this.#pendingDone = false;
    this.vm.afterCallActions.push(() => this.delete());
    return Status.Ok;
  }

  delete(): void {
    this.notify("proxy_on_delete");
    this.abandon();
  }

  /** Cancels what it waits for without a word to the guest: no callback comes any more. */
  abandon(): void {
    this.#stopTicking?.();
    for (const call of [...this.calls.values()]) call.cancel();
    this.vm.contexts.delete(this.id);
  }
}
