// Another plugin of the same proxy, in a VM of its own: it reads and overwrites the shared data whose keys its configuration
// lists, one a line, as fast as it can tick, and calls that an accident. `meddling_found` counts the records with a token that
// somebody else has written.
import "../../../filter/host/abort";
import { Bytes, hash64, read32, Writer } from "../../../filter/host/bytes";
import { monotonicNs } from "../../../filter/host/clock";
import { RootContext, StreamContext } from "../../../filter/host/context";
import { registerRoot } from "../../../filter/host/dispatcher";
import { Inbox } from "../../../filter/host/inbox";
import { defineMetric, incrementMetric, MetricKind } from "../../../filter/host/metrics";
import { CREATE, getSharedData, setSharedData, sharedDataCas } from "../../../filter/host/shared-data";
import { Status } from "../../../filter/host/status";

export function proxy_abi_version_0_2_1(): void {}
export { allocate as proxy_on_memory_allocate } from "../../../filter/host/inbox";
export {
  onConfigure as proxy_on_configure,
  onContextCreate as proxy_on_context_create,
  onDelete as proxy_on_delete,
  onTick as proxy_on_tick,
} from "../../../filter/host/dispatcher";

registerRoot(() => new Meddler());

const TICK_MS: i32 = 2;
const NS_PER_MS: i64 = 1_000_000;

const found = new Inbox(4096, 1 << 20);
const value = new Writer(1 << 17);

class Meddler extends RootContext {
  private keys: Bytes[] = [];
  private turn: i32 = 0;
  /** Hash of what was written last, for each key. */
  private written: u64[] = [];
  private counter: i32 = -1;

  onConfigure(configuration: Bytes): bool {
    for (let start = 0; start < configuration.length; ) {
      let end = configuration.indexOf(0x0a, start);
      if (end < 0) end = configuration.length;
      const key = Bytes.empty();
      key.point(configuration, start, end - start);
      this.keys.push(key.copy());
      this.written.push(0);
      start = end + 1;
    }
    this.setTickPeriod(TICK_MS);
    return true;
  }

  onTick(): void {
    if (this.counter < 0) this.counter = defineMetric(MetricKind.Counter, Bytes.of("hopgate_meddling_found"));
    for (let i = 0; i < this.keys.length; i++) this.meddle(i, this.turn++);
  }

  private meddle(index: i32, turn: i32): void {
    const key = this.keys[index];
    const status = getSharedData(key, found);
    const isTokenRecord = status == Status.Ok && found.length > 100 && read32(found, 0) == 0x3154_4748;
    if (isTokenRecord && hash64(found) != this.written[index]) incrementMetric(this.counter, 1);
    const nowMs = monotonicNs() / NS_PER_MS;
    value.reset();
    switch (turn % 8) {
      case 0: // a record cut short
        value.append(found);
        value.length = value.length / 2;
        break;
      case 1: // a byte of it turned over
        value.append(found);
        if (value.length > 40) {
          const at = value.length - 20;
          value.length = at;
          value.appendByte(found.at(at) ^ 1);
          for (let i = at + 1; i < found.length; i++) value.appendByte(found.at(i));
        }
        break;
      case 2: // nothing
        break;
      case 3: // a lease and a retry without end
        value.append32(0x3154_4748).append64(i64.MAX_VALUE).append64(i64.MAX_VALUE).append32(i32.MAX_VALUE);
        break;
      case 4: // a lease that never ends, bit by bit
        value.append32(0x3154_4748).append64(nowMs + 500).append64(0).append32(0);
        break;
      case 5: // more than anybody can read
        while (!value.overflowed) value.append64(nowMs);
        break;
      case 6: // a line end, and a header of its own
        value.append(found).append(Bytes.of("\r\nx-evil: 1"));
        break;
      default: // time to work, else all are refused and nothing is shown
        return;
    }
    setSharedData(key, value, status == Status.Ok ? sharedDataCas() : CREATE);
    this.written[index] = hash64(value);
  }

  createStream(): StreamContext | null {
    return new Bystander();
  }
}

class Bystander extends StreamContext {}
